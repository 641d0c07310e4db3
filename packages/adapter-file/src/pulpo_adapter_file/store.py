"""The open file: one SQLite connection with its settings, made, checked and closed under the lock."""

from __future__ import annotations

import logging
import sqlite3
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pulpo_core import ConfigurationError, PulpoError, QueueNotFound

from .filesystem import Folder, check_is_local, check_place, create_owner_only, sync_directory
from .header import Header, Identity, identity_if_there, identity_of
from .locking import FileLock
from .room import Room
from .schema import migrate

_log: Final = logging.getLogger("pulpo.adapter.file")

#: SQLite's own locks are a second line of defence behind ours; nobody should ever wait for them.
_BUSY_SECONDS: Final = 5.0

#: What a checkpoint leaves of the log of a large load, instead of keeping it for ever.
_LOG_LIMIT: Final = 64 * 1024 * 1024

#: Pages of log after which SQLite itself would checkpoint, inside a commit: far beyond where `Checkpoints` does.
_LAST_RESORT: Final = 16_384

_PRAGMAS: Final = (
    f"journal_size_limit = {_LOG_LIMIT}",
    f"wal_autocheckpoint = {_LAST_RESORT}",
    "cache_size = -8192",  # KiB; the pages that a queue touches are few, however long it is
    "mmap_size = 0",  # a truncated file would kill the process instead of being an error
    "temp_store = MEMORY",
    "secure_delete = FAST",  # bodies are overwritten where that costs no further write
    "trusted_schema = OFF",
)


class NotThereYet(QueueNotFound):
    """The file is not there, and what was asked does not create it."""


class Store:
    """A queue file, open. Used by one thread at a time.

    Attributes:
        connection: in autocommit mode: who needs a transaction begins one.
        damage: what makes going on impossible; raised by `check` from then on.
        room: at the end of its log.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, header: Header) -> None:
        self.path = path
        self.connection = connection
        self.damage: PulpoError | None = None
        self._name, self._log_name = str(path), str(_log_of(path))
        self.room = Room(self._log_name)
        self._identity = identity_of(path)
        self._folder = Folder(path.parent)
        self._log_identity: Identity | None = None
        self._size = header.size()
        self._header = header
        self._synchronous = ""

    @classmethod
    def open(cls, path: Path, lock: FileLock, *, create: bool, timeout: float) -> Store:
        """The queue file at *path*, brought to the latest schema.

        Args:
            create: make it if it is not there.
            timeout: seconds to wait for other processes.

        Raises:
            NotThereYet: it is not there, and *create* was not given.
            ConfigurationError: it is not ours, from a newer pulpo, damaged, or in a place where it cannot be.
            Unavailable: other processes held the lock all that time.
        """
        check_place(path)
        check_is_local(path)
        if not create and not path.exists():
            raise NotThereYet(f"there is no queue file {path}; publishing to it or running a worker creates it")
        with lock.within(timeout):
            created = _is_missing(path)
            if created:
                _create(path, lock)
            store = _opened(path)
            lock.mark()
        if created:
            sync_directory(path.parent)
            _log.info("created queue file %s", path)
        return store

    def check(self, *, locked: bool) -> None:
        """Make sure that the file is still the one that was opened; cheap enough for every transaction.

        Args:
            locked: the caller holds the lock, so the size of the file means something.

        Raises:
            ConfigurationError: it was removed, replaced or cut; nothing may be written any more.
        """
        self.damage = self.damage or self._find_damage(locked=locked)
        if self.damage is not None:
            raise self.damage

    def condemn(self, damage: PulpoError) -> None:
        """Let nobody touch the file any more."""
        self.damage = damage

    def _find_damage(self, *, locked: bool) -> PulpoError | None:
        damage = self._find_another() if self._names_may_have_changed() else None
        if damage is None and locked:
            before, self._size = self._size, self._header.size()
            if self._size < before and not self._header.fits(self._size):
                return ConfigurationError(f"queue file {self.path} was truncated while it was in use; restore it")
        return damage

    def _names_may_have_changed(self) -> bool:
        try:
            return not self._folder.is_as_seen()
        except FileNotFoundError:
            return True

    def _find_another(self) -> PulpoError | None:
        """Whether the names are of other files than those that were opened."""
        found = identity_if_there(self._name)
        if found is None:
            return QueueNotFound(f"queue file {self.path} was removed while it was in use; restore it")
        if found != self._identity:
            return ConfigurationError(f"queue file {self.path} was replaced by another while it was in use")
        log = identity_if_there(self._log_name)
        if self._log_identity is None:  # made by the first transaction after opening
            self._log_identity = log
        if log != self._log_identity:
            return ConfigurationError(f"queue file {self.path}: its -wal file was removed or replaced in use")
        if log is not None:
            self._folder.note_seen()
        return None

    def synchronous(self, level: str) -> None:
        """Let the next transactions be as durable as *level* (FULL, NORMAL) says."""
        if level != self._synchronous:
            self.connection.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    def checkpoint(self) -> None:
        """Bring what is in the log into the file; the caller holds the lock."""
        self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._size = self._header.size()

    def close(self) -> None:
        """Close the connection; the caller holds the lock, for the last one to close does a checkpoint."""
        self.connection.close()
        self._header.close()
        self.room.close()


def _is_missing(path: Path) -> bool:
    """Whether there is no file, or one into which nothing was ever written."""
    return not path.exists() or (path.stat().st_size == 0 and not _log_of(path).exists())


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _create(path: Path, lock: FileLock) -> None:
    log = _log_of(path)
    if log.exists() and log.stat().st_size:
        raise ConfigurationError(
            f"queue file {path} is gone, but {log.name} with messages of it is there: restore the file, "
            f"or remove {log.name} to begin with an empty queue"
        )
    if lock.is_marked():
        raise ConfigurationError(
            f"queue file {path} is {'empty' if path.exists() else 'gone'}, but {lock.path.name} says that there were "
            f"messages in it: restore the file, or remove {lock.path.name} to begin with an empty queue"
        )
    if not path.exists():
        create_owner_only(path)


def _opened(path: Path) -> Store:
    header = Header(path)
    connection = _connect(path)
    try:
        _prepare(connection, path)
        return Store(path, connection, header)
    except BaseException:
        connection.close()
        header.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # opened by the writer's thread, closed by whoever is last
    )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")  # elsewhere fsync means what it says
    if path.stat().st_size == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # must be said before the first page is written
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    migrate(connection, path)
