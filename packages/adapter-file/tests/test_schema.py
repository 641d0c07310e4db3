"""Files of other versions, and of other programs."""

import sqlite3
from pathlib import Path

import pytest

from pulpo_adapter_file.schema import APPLICATION_ID, MIGRATIONS, migrate, version_of
from pulpo_core import ConfigurationError, Envelope

from .conftest import Opener


def there(path: Path) -> bool:
    return path.exists()


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_an_old_file_is_brought_forward_with_what_is_in_it(path: Path) -> None:
    connection = connect(path)
    migrate(connection, path, ["CREATE TABLE thing (id); INSERT INTO thing VALUES (1);"])

    migrate(connection, path, ["", "ALTER TABLE thing ADD COLUMN name DEFAULT 'x';", "CREATE TABLE other (id);"])

    assert version_of(connection) == 3
    assert connection.execute("SELECT * FROM thing").fetchall() == [(1, "x")]
    connection.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    connection = connect(path)
    migrate(connection, path, ["CREATE TABLE thing (id);"])

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, path, ["", "CREATE TABLE other (id);", "CREATE TABLE thing (id);"])

    assert version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("thing",)]
    connection.close()


def test_what_is_up_to_date_is_not_written_to(path: Path) -> None:
    connection = connect(path)
    migrate(connection, path)
    changes = connection.total_changes

    migrate(connection, path)

    assert connection.total_changes == changes
    connection.close()


async def test_a_newer_file_is_refused_and_not_touched(opened: Opener, path: Path) -> None:
    connection = connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    before = content(path)

    with pytest.raises(ConfigurationError, match=r"schema version \d+.*upgrade pulpo-adapter-file"):
        await opened()

    assert content(path)[:18] == before[:18]  # up to the bytes that name the kind of journal


async def test_the_file_of_another_program_is_refused(opened: Opener, path: Path) -> None:
    connection = connect(path)
    connection.execute("CREATE TABLE accounts (id)")
    connection.close()

    with pytest.raises(ConfigurationError, match="of another program"):
        await opened()


async def test_a_text_file_is_refused(opened: Opener, path: Path) -> None:
    write(path, b"not a database, and longer than the header of one. " * 20)

    with pytest.raises(ConfigurationError, match="not a queue of pulpo"):
        await opened()

    assert content(path).startswith(b"not a database")


async def test_an_empty_file_becomes_a_queue(opened: Opener, path: Path) -> None:
    write(path, b"")

    queue = await opened()

    assert await queue.publish([Envelope(body=b"{}")]) == ["1"]


async def test_a_log_without_its_file_is_not_thrown_away(opened: Opener, path: Path) -> None:
    write(path.with_name("shop.db-wal"), b"messages of a file that somebody removed")

    queue = await opened()
    with pytest.raises(ConfigurationError, match=r"is gone, but shop\.db-wal"):
        await queue.publish([Envelope(body=b"{}")])

    assert there(path.with_name("shop.db-wal"))
    assert not there(path)


async def test_a_file_whose_creator_was_killed_is_finished_by_the_next(opened: Opener, path: Path) -> None:
    connection = connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()

    queue = await opened()

    assert await queue.publish([Envelope(body=b"{}")]) == ["1"]
