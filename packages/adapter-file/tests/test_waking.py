"""Who waits is woken: by this process, by others, by time, and even when no datagram can come."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, wakeup
from pulpo_core import Delivery, Envelope, Queue, SystemClock, SystemJitter
from pulpo_core.testing import ManualClock

from .conftest import Opener
from .stage import HANG_GUARD, stage, until

LONG = timedelta(seconds=20)


def sockets_of(path: Path) -> list[Path]:
    folder = path.with_name(path.name + ".wake")
    return list(folder.iterdir()) if folder.is_dir() else []


async def sockets(path: Path, count: int) -> list[Path]:
    """The sockets of those who wait, once there are *count*."""
    await until(lambda: len(sockets_of(path)) == count)
    return sockets_of(path)


async def begun(group: asyncio.TaskGroup, queue: Queue, path: Path) -> asyncio.Task[Sequence[Delivery]]:
    """A receive that waits."""
    task = group.create_task(queue.receive(1, LONG))
    await sockets(path, 1)
    await asyncio.sleep(0.02)  # past its first look
    return task


async def test_publishing_in_the_same_process_wakes(opened: Opener, path: Path) -> None:
    consumer, producer = await opened(), await opened()
    await producer.publish([])
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = await begun(group, consumer, path)
        await producer.publish([Envelope(body=b"{}")])

        assert len(await waiting) == 1


async def test_another_queue_of_the_file_does_not_wake(opened: Opener, path: Path) -> None:
    consumer, producer = await opened("queue=orders"), await opened("queue=mail")
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = await begun(group, consumer, path)
        await producer.publish([Envelope(body=b"{}")])
        await asyncio.sleep(0.05)
        assert not waiting.done()

        consumer.interrupt()
        assert await waiting == []


async def test_interrupting_ends_waiting_now_and_later(opened: Opener, path: Path) -> None:
    queue = await opened()
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = await begun(group, queue, path)
        queue.interrupt()
        queue.interrupt()

        assert await waiting == []
    assert await queue.receive(1, LONG) == ()


async def test_a_delay_that_ends_wakes(opened: Opener, path: Path, clock: ManualClock) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}", not_before=clock.now() + timedelta(seconds=0.5))])
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = await begun(group, queue, path)
        await clock.advance(0.499)
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await clock.advance(0.002)

        assert len(await waiting) == 1


async def test_resuming_wakes(opened: Opener, path: Path) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    await queue.pause()
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = await begun(group, queue, path)
        assert not waiting.done()
        await queue.resume()

        assert len(await waiting) == 1


async def test_a_cancelled_receive_gives_back_what_it_took(opened: Opener) -> None:
    queue = await opened()
    for round_ in range(30):
        await queue.publish([Envelope(body=b"{}")])
        receiving = asyncio.create_task(queue.receive(10, timedelta()))
        for _ in range(round_ % 3):
            await asyncio.sleep(0)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving

    deliveries: list[Delivery] = []
    async with asyncio.timeout(HANG_GUARD):
        while len(deliveries) < 30:
            deliveries += await queue.receive(100, timedelta(seconds=1))
    assert {delivery.attempt for delivery in deliveries} == {1}, "what was given back does not count"


async def test_who_stops_waiting_leaves_no_socket(path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.receive(1, timedelta(milliseconds=1))
        assert len(sockets_of(path)) == 1

    assert not sockets_of(path)


# --- across processes ---


async def test_the_socket_of_a_killed_process_is_cleared_away(path: Path) -> None:
    url = f"file://{path}"
    async with stage() as start:
        worker = await start("work", url, 1)
        await sockets(path, 1)
        worker.kill()
        await worker.process.wait()

        async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
            await queue.publish([Envelope(body=b"{}")])

        assert not sockets_of(path)


async def wake_times(url: str, path: Path, count: int) -> list[float]:
    """How long after it was asked to publish each of *count* messages was in another process's hands, and back here."""
    times = []
    async with stage() as start, FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        worker = await start("work", url, 1)
        await sockets(path, 1)
        for number in range(count):
            await asyncio.sleep(0.005)  # it waits again
            began = time.perf_counter()
            await queue.publish([Envelope(body=b"{}", uid=f"m-{number}")])
            await worker.until("got", number + 1)
            times.append(time.perf_counter() - began)
    return sorted(times)


async def test_a_message_of_another_process_wakes_long_before_anybody_looks(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"

    times = await wake_times(f"file://{path}", path, 30)

    assert times[15] < wakeup.LOOK_AGAIN / 5


async def test_a_path_too_long_for_an_address_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "shop.db"

    times = await wake_times(f"file://{path}", path, 10)

    assert times[5] < wakeup.LOOK_AGAIN / 5


async def test_without_any_socket_it_is_seen_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.with_name("shop.db.wake").write_text("a file where the sockets should be")
    async with (
        asyncio.timeout(HANG_GUARD),
        FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue,
        asyncio.TaskGroup() as group,
    ):
        waiting = group.create_task(queue.receive(1, LONG))
        async with stage() as start:
            producer = await start("publish", f"file://{path}", "p", 1, 1)
            await producer.until("ok")

            assert len(await waiting) == 1


async def test_an_idle_worker_costs_next_to_nothing(path: Path) -> None:
    """At most 2 ms of processor time a second; here with room for a busy machine."""
    async with stage() as start:
        worker = await start("work", f"file://{path}", 1)
        await sockets(path, 1)
        await asyncio.sleep(0.3)
        before = cpu_seconds(worker.process.pid)
        await asyncio.sleep(3)

        assert (cpu_seconds(worker.process.pid) - before) / 3 < 0.01


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used."""
    return (
        sum(int(task.joinpath("schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())
        / 1e9
    )
