"""The tables of a queue file, and how older files are brought forward.

==========  ====================================================================================
table       what
==========  ====================================================================================
message     one row for each message that is not finished; bodies over `INLINE_BODY` lie in `body`
queue       the queues of the file, by name, and until when each is paused
archive     finished messages, where the URL asks for them
imported    what was imported from elsewhere, so that nothing is imported twice
meta        the last id given, and other single values
==========  ====================================================================================

Two rules. An id is never given twice, not even after the table was empty: the next one is above
every message that is there and above `meta.sequence`, which a trigger raises when the newest goes.
So storing a message writes nothing but the message and its index. And every question that a
running queue asks is answered by a partial index, so that its cost does not depend on how many
messages wait, are delayed or are buried.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pulpo_core import ConfigurationError

#: Written into the header of every queue file ("pulp"): another program's SQLite file is not touched.
APPLICATION_ID: Final = 0x70756C70

#: Longer bodies lie in a table of their own, because moving a message to another state rewrites its whole row.
INLINE_BODY: Final = 1024

READY, DELAYED, RESERVED, BURIED = 0, 1, 2, 3  # `message.state`; the partial indexes name them by number

_FIRST: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('sequence', 0), ('seen', 0), ('stepped', 0);

CREATE TABLE queue (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    paused_until INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE message (
    id         INTEGER PRIMARY KEY,          -- order of arrival; from meta.sequence
    queue      INTEGER NOT NULL,
    state      INTEGER NOT NULL,             -- 0 ready, 1 delayed, 2 reserved, 3 buried
    priority   INTEGER NOT NULL,
    due        INTEGER,                      -- end of the delay or lease; moment of the burial
    since      INTEGER,                      -- when a lease or a retry's delay began; null: `due` is a moment
    generation INTEGER NOT NULL DEFAULT 0,   -- of the lease: grows with every receive
    attempts   INTEGER NOT NULL DEFAULT 0,
    lost       INTEGER NOT NULL DEFAULT 0,   -- of the attempts: those whose lease ran out
    published  INTEGER NOT NULL,
    expiration INTEGER,
    uid        TEXT NOT NULL,
    extra      TEXT,                         -- what else an envelope carries, as JSON
    reason     TEXT,
    error      TEXT,
    body       BLOB                          -- null: in table body
);
CREATE INDEX ready    ON message (queue, priority, id) WHERE state = 0;
CREATE INDEX delayed  ON message (queue, due)          WHERE state = 1;
CREATE INDEX reserved ON message (queue, due)          WHERE state = 2;
CREATE INDEX buried   ON message (queue, due, id)      WHERE state = 3;

CREATE TABLE body (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TRIGGER body_goes_with_its_message AFTER DELETE ON message WHEN old.body IS NULL
BEGIN
    DELETE FROM body WHERE id = old.id;
END;

CREATE TABLE archive (
    id         INTEGER PRIMARY KEY,
    queue      INTEGER NOT NULL,
    finished   INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    published  INTEGER NOT NULL,
    expiration INTEGER,
    uid        TEXT NOT NULL,
    extra      TEXT,
    body       BLOB NOT NULL
);
CREATE INDEX finished ON archive (queue, finished, id);

CREATE TABLE imported (source TEXT PRIMARY KEY, message INTEGER NOT NULL) WITHOUT ROWID;
"""

#: The page of `meta` was a third of what a publish writes and flushes. A trigger, so that whatever
#: removes messages keeps the rule; the first removal covers all that are there, and the next find nothing to do.
_IDS_OF_WHAT_IS_GONE: Final = """
CREATE VIEW next_id (id) AS
SELECT 1 + max((SELECT value FROM meta WHERE key = 'sequence'), coalesce((SELECT max(id) FROM message), 0));

CREATE TRIGGER no_id_is_given_twice AFTER DELETE ON message
WHEN old.id > (SELECT value FROM meta WHERE key = 'sequence')
BEGIN
    UPDATE meta SET value = max(old.id, (SELECT id - 1 FROM next_id)) WHERE key = 'sequence';
END;
"""

#: Each brings a file from the version of its place to the next: never edited, only added to.
MIGRATIONS: Final[Sequence[str]] = (_FIRST, _IDS_OF_WHAT_IS_GONE)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of the file; 0 for an empty one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def check_is_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that another program made.

    Raises:
        ConfigurationError: it is one.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application == APPLICATION_ID:
        return
    if application != 0 or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ConfigurationError(
            f"{path} is an SQLite file of another program, not a queue of pulpo; name another file"
        )


def check_is_known(version: int, path: Path, *, known: int = len(MIGRATIONS)) -> None:
    """Refuse a file that a newer pulpo made.

    Raises:
        ConfigurationError: it is one.
    """
    if version > known:
        raise ConfigurationError(
            f"queue file {path} has schema version {version}, and this pulpo-adapter-file knows up to {known}: "
            "a newer one has written it; upgrade pulpo-adapter-file here too"
        )


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the file to the latest version, all at once or not at all; the caller holds the lock.

    Raises:
        ConfigurationError: the file is another program's, or a newer pulpo's; it was not touched.
    """
    check_is_ours(connection, path)
    version = version_of(connection)
    check_is_known(version, path, known=len(migrations))
    if version == len(migrations):
        return
    script = "".join(migrations[version:])
    connection.execute("PRAGMA synchronous = FULL")
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {len(migrations)}; COMMIT;"
        )
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
