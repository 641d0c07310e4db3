"""The file does not grow without bound, and what is kept is kept within its limits."""

from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, workplace
from pulpo_core import Ack, Envelope, Peek, Queue, Settling, State, SystemClock, SystemJitter
from pulpo_core.testing import ManualClock

from .conftest import Opener

NO_TIME = timedelta()
MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes between two rounds of housekeeping."""
    monkeypatch.setattr(workplace, "ROUND", 0.0)
    monkeypatch.setattr(workplace, "SOON", 0.0)


def size_of(path: Path) -> int:
    return sum(found.stat().st_size for found in path.parent.iterdir() if found.is_file())


async def publish(queue: Queue, count: int, size: int = 2000) -> None:
    await queue.publish([Envelope(body=bytes(size)) for _ in range(count)])


async def drain(queue: Queue) -> int:
    drained = 0
    while deliveries := await queue.receive(200, NO_TIME):
        drained += len(deliveries)
        await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
    return drained


async def kept(queue: Queue, last: int) -> list[int]:
    """The ids, up to *last*, that the archive still has."""
    found = [await queue.peek(Peek.ID, str(number)) for number in range(1, last + 1)]
    return [int(record.id) for record in found if record is not None and record.state is State.GONE]


async def test_an_archive_by_number_keeps_the_latest(opened: Opener) -> None:
    queue = await opened("queue=orders&archive=3")
    for _ in range(8):
        await publish(queue, 1)
        await drain(queue)
    await publish(queue, 1)  # housekeeping comes after the work

    assert await kept(queue, 8) == [6, 7, 8]


async def test_an_archive_by_time_forgets_what_is_older(opened: Opener, clock: ManualClock) -> None:
    queue = await opened("queue=orders&archive=1h")
    for _ in range(3):
        await publish(queue, 1)
        await drain(queue)
        await clock.advance(1500)
    for _ in range(2):
        await publish(queue, 1)

    assert await kept(queue, 3) == [2, 3]


async def test_each_queue_of_a_file_has_an_archive_of_its_own(opened: Opener) -> None:
    orders, mail = await opened("queue=orders&archive=1"), await opened("queue=mail&archive=100")
    for _ in range(3):
        for queue in (orders, mail):
            await publish(queue, 1)
            await drain(queue)
    await publish(orders, 1)

    assert await kept(orders, 6) == [5]
    assert await kept(mail, 6) == [2, 4, 6]


async def test_room_is_given_back_after_a_large_load(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}"
    async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        for _ in range(20):
            await publish(queue, 500)
        assert await drain(queue) == 10_000
        for _ in range(100):
            await publish(queue, 1)
            await drain(queue)

    assert size_of(path) < 2 * MEGABYTE, "20 MB had been there"


async def test_purging_gives_the_room_back_at_once(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}"
    async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        for _ in range(20):
            await publish(queue, 500)
        before = size_of(path)

        assert await queue.purge(frozenset({State.READY})) == 10_000

    assert before > 15 * MEGABYTE
    assert size_of(path) < MEGABYTE


async def test_the_log_stays_short_under_a_steady_load(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}"
    async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        for _ in range(60):
            await publish(queue, 200)
            await drain(queue)

        assert path.with_name("shop.db-wal").stat().st_size < 24 * MEGABYTE, "50 MB went through it"
