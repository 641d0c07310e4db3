"""The power fails at any moment: whatever was confirmed is there, and the file is sound."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_file.queue import FileQueue
from pulpo_core import Ack, Bury, Envelope, Retry, Settling, SystemClock, SystemJitter

from .power import Recording, Sync, Write, cuts, recording

NO_TIME = timedelta()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[FileQueue]:
    async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        assert isinstance(queue, FileQueue)
        yield queue


async def a_day_of_work(url: str, recorded: Recording) -> None:
    """Some of everything: large and small messages, follow-ups, burial, retry, kick; twice, with a restart between."""
    for day in range(2):
        async with opened(url) as queue:
            for number in range(8):
                uid = f"{day}-{number}"
                batch = [Envelope(body=b"x" * (10 if number % 3 else 9000), uid=uid)]
                if number % 2 or queue.publish_blocking(batch) is None:
                    await queue.publish(batch)
                recorded.note(f"published {uid}")
            deliveries = await queue.receive(6, NO_TIME)
            for place, delivery in enumerate(deliveries):
                uid = delivery.envelope.uid
                settlement = (Ack(), Bury("broken"), Retry(), Ack())[place % 4]
                follow_ups = [Envelope(body=b"{}", uid=f"child of {uid}")] if place == 0 else []
                await queue.settle([Settling(delivery, settlement, follow_ups)])
                recorded.note(f"{type(settlement).__name__} {uid}")
                if follow_ups:
                    recorded.note(f"published {follow_ups[0].uid}")
            await queue.kick(limit=1)


def restored(disk: dict[str, bytes], original: Path, folder: Path) -> Path:
    """The files of *disk* in a folder of their own; the shared memory beside them does not outlive a power failure."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in disk.items():
        (folder / Path(name).name).write_bytes(content)
    return folder / original.name


def uids_in(path: Path) -> set[str]:
    """Every message of the file; it is sound."""
    if not path.exists() or path.stat().st_size == 0:
        return set()
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # this disk is thrown away
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message'").fetchone():
            return set()
        large = "SELECT count(*) FROM message WHERE body IS NULL AND id NOT IN (SELECT id FROM body)"
        assert connection.execute(large).fetchone()[0] == 0, "a message without its body"
        return {uid for (uid,) in connection.execute("SELECT uid FROM message")}
    finally:
        connection.close()


def named(notes: set[str], what: str) -> set[str]:
    """The messages of which *what* was noted."""
    return {note.removeprefix(f"{what} ") for note in notes if note.startswith(f"{what} ")}


@attrs.define
class Losses:
    """In how many cuts something confirmed was undone."""

    published: int = 0
    acknowledged: int = 0


def losses(recorded: Recording, path: Path, folder: Path) -> Losses:
    """Cut the power everywhere, and compare what is found with what was confirmed."""
    found = Losses()
    ever_acked = named(recorded.notes(len(recorded.events)), "Ack")
    seen: dict[int, set[str]] = {}  # many cuts leave the same disk
    for end, disk in cuts(recorded, seed=1):
        key, notes = hash(frozenset(disk.items())), recorded.notes(end)
        if key not in seen:
            seen[key] = uids_in(restored(disk, path, folder))
        there = seen[key]
        # What is acknowledged some day may be gone a moment before that is confirmed.
        found.published += not named(notes, "published") - ever_acked <= there
        found.acknowledged += bool(named(notes, "Ack") & there)
    return found


async def recorded_day(path: Path, durability: str) -> Recording:
    path.parent.mkdir()
    with recording(path.parent) as recorded:
        await a_day_of_work(f"file://{path}?durability={durability}", recorded)
    return recorded


@pytest.fixture
def after() -> Iterator[Path]:
    """Where the disks after a power failure are looked at: in memory if there is a place, since there are many."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as name:
        yield Path(name) / "disk"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the queue file is; many checkpoints come in its short days."""
    monkeypatch.setattr("pulpo_adapter_file.workplace.CHECKPOINT_AFTER", 30)
    return tmp_path / "disk" / "shop.db"


async def test_nothing_that_was_published_is_lost(disk: Path, after: Path) -> None:
    recorded = await recorded_day(disk, "publish")

    assert sum(isinstance(event, Write) for event in recorded.events) > 100
    assert any(isinstance(event, Sync) and event.path == str(disk) for event in recorded.events), "a checkpoint is cut"
    assert losses(recorded, disk, after).published == 0


async def test_full_durability_loses_no_acknowledgement_either(disk: Path, after: Path) -> None:
    assert losses(await recorded_day(disk, "full"), disk, after) == Losses(0, 0)


async def test_the_model_loses_what_was_not_flushed(disk: Path, after: Path) -> None:
    """The control: at the level that promises less, the same cuts do lose messages, and damage nothing."""
    assert losses(await recorded_day(disk, "normal"), disk, after).published > 0
