"""The log grows seldom, by room for many commits; whoever reads it finds no more in it than was committed."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, room
from pulpo_adapter_file.committing import Committer
from pulpo_adapter_file.locking import FileLock
from pulpo_adapter_file.store import Store
from pulpo_core import Envelope, SystemClock, SystemJitter

from .conftest import Opener

FRAME = 4096 + 24


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def size_of(path: Path) -> int:
    return log_of(path).stat().st_size


async def sizes(opened: Opener, path: Path, count: int, parameters: str = "queue=orders") -> list[int]:
    """How long the log is after each of *count* publishes."""
    queue, found = await opened(parameters), []
    for _ in range(count):
        await queue.publish([Envelope(body=b"x" * 100)])
        found.append(size_of(path))
    return found


async def test_the_log_grows_seldom(opened: Opener, path: Path) -> None:
    found = await sizes(opened, path, 300)

    assert len(set(found)) < 30, "a dozen times by the last commit, and by room for more"
    assert found[-1] < 300 * 3 * FRAME, "about what is committed, and a little more"


async def test_a_single_message_does_not_make_room_for_many(opened: Opener, path: Path) -> None:
    [size] = await sizes(opened, path, 1)

    assert size < 40 * FRAME


async def test_what_is_not_flushed_needs_no_room(opened: Opener, path: Path) -> None:
    found = await sizes(opened, path, 50, "queue=orders&durability=normal")

    assert len(set(found)) == 50


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
async def test_a_disk_without_room_for_it_takes_messages_all_the_same(
    opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refused(*_: object) -> int:
        raise OSError(error, os.strerror(error))

    await sizes(opened, path, 1)  # the file is there
    monkeypatch.setattr("os.pwrite", refused)

    assert len(set(await sizes(opened, path, 20))) == 20


async def test_a_copy_of_the_files_holds_what_was_committed_and_no_more(opened: Opener, path: Path) -> None:
    """As after a crash: the log is read from its beginning, and ends where the last commit ended."""
    queue = await opened()
    for count in range(1, 60):
        await queue.publish([Envelope(body=b"x" * 100)])

        assert count_in(copied(path)) == count


def copied(path: Path) -> Path:
    folder = path.parent / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for each in (path, log_of(path)):
        shutil.copy(each, folder)
    return folder / path.name


def count_in(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found: int = connection.execute("SELECT count(*) FROM message").fetchone()[0]
        return found
    finally:
        connection.close()


@contextmanager
def committers(path: Path, count: int) -> Iterator[list[Committer]]:
    """As many as processes would have, on one file."""
    lock = FileLock(path)
    stores = [Store.open(path, lock, create=True, timeout=5) for _ in range(count)]
    try:
        yield [Committer(store) for store in stores]
    finally:
        for store in stores:
            store.close()
        lock.close()


async def test_processes_that_take_turns_do_not_outgrow_each_other(opened: Opener, path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}")])
    with committers(path, 8) as every:
        for number in range(400):
            every[number % 8].commit(
                lambda transaction: transaction.change("UPDATE meta SET value = value"), flush=True
            )

        written = 400 * FRAME
        assert size_of(path) < written + 8 * room.MOST


async def test_zeros_are_not_written_over_what_others_have_added(opened: Opener, path: Path) -> None:
    """They come behind the end as it is then, inside of a transaction, in which nobody else adds anything."""
    queue = await opened()
    for number in range(30):
        await queue.publish([Envelope(body=b"x" * 100)])
        by_hand(path, number)

    assert count_in(copied(path)) == 60


def by_hand(path: Path, number: int) -> None:
    """Another program publishes, which knows nothing of locks and of room."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(
        "INSERT INTO message (id, queue, state, priority, published, uid, body) "
        "SELECT next_id.id, 1, 0, 65536, 0, ?, ? FROM next_id",
        (f"by hand {number}", b"x" * 100),
    )
    connection.close()
