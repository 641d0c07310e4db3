"""What a message costs does not depend on how many others wait, are delayed or are buried."""

import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, workplace
from pulpo_adapter_file.calls import Calls
from pulpo_adapter_file.operations import Change
from pulpo_adapter_file.queue import FileQueue, open_calls
from pulpo_adapter_file.settings import Settings
from pulpo_adapter_file.transaction import Transaction
from pulpo_core import Ack, Envelope, Queue, Settling, SystemClock

NO_TIME = timedelta()

#: What the issue of flat cost allows between any two backlogs.
FLAT = 1.25


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[Calls, Queue]]:
    async with open_calls(Settings.of(f"file://{path}"), SystemClock()) as (calls, ear):
        yield calls, FileQueue(calls, ear, FileAdapter().capabilities)


async def load(calls: Calls, count: int, *, now: datetime) -> None:
    """A backlog behind whatever is published later with priority 0: half of it waits, a quarter each is not ready."""
    micros = int(now.timestamp() * 1e6)

    def insert(transaction: Transaction) -> None:
        queue = transaction.make_queue(calls.desk)
        ids = transaction.take_ids(count)
        transaction.connection.executemany(
            "INSERT INTO message (id, queue, state, priority, due, published, uid, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (name, queue, state, 9, micros + 10**12 + name if state else None, micros, f"b-{name}", b"x" * 200)
                for name, state in zip(ids, [0, 1, 0, 3] * (count // 4 + 1), strict=False)
            ),
        )

    await calls.ask(Change(calls.desk, insert, makes_file=True))


async def one_of_everything(queue: Queue) -> None:
    await queue.publish([Envelope(body=b"x" * 200, priority=0)])
    await queue.publish([Envelope(body=b"x" * 200, priority=0, not_before=SystemClock().now() + timedelta(days=30))])
    (delivery,) = await queue.receive(1, NO_TIME)
    await queue.extend([delivery])
    assert await queue.settle([Settling(delivery, Ack())]) == [None]


async def steps_of(calls: Calls, work: Callable[[], object]) -> int:
    """How many instructions SQLite's machine executes for *work*: the same on every computer, however busy."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    def watch(handler: Callable[[], None] | None) -> Change:
        return Change(calls.desk, lambda transaction: transaction.connection.set_progress_handler(handler, 1))

    await calls.ask(watch(count))
    try:
        await work()  # type: ignore[misc] # a coroutine function
    finally:
        await calls.ask(watch(None))
    return steps


async def test_the_work_is_the_same_behind_twenty_thousand(path: Path) -> None:
    async with opened(path) as (calls, queue):
        await one_of_everything(queue)
        empty = await steps_of(calls, lambda: one_of_everything(queue))
        await load(calls, 20_000, now=SystemClock().now())
        full = await steps_of(calls, lambda: one_of_everything(queue))

    assert empty > 100
    assert full < empty * FLAT


async def test_waiting_costs_the_same_behind_twenty_thousand(path: Path) -> None:
    async with opened(path) as (calls, queue):
        await queue.publish([])

        async def wait() -> None:
            assert not await queue.receive(1, NO_TIME)

        await queue.receive(1, NO_TIME)
        empty = await steps_of(calls, wait)
        await load(calls, 20_000, now=SystemClock().now())
        await calls.ask(Change(calls.desk, lambda t: t.change("UPDATE message SET state = 3 WHERE state = 0")))
        full = await steps_of(calls, wait)

    assert full < empty * FLAT


async def statements_of(calls: Calls, work: Callable[[], object]) -> list[str]:
    """The first words of what SQLite is asked for *work*."""
    asked: list[str] = []

    def watch(note: Callable[[str], None] | None) -> Change:
        return Change(calls.desk, lambda transaction: transaction.connection.set_trace_callback(note))

    await calls.ask(watch(lambda statement: asked.append(" ".join(statement.split()[:2]))))
    try:
        await work()  # type: ignore[misc] # a coroutine function
    finally:
        await calls.ask(watch(None))
    return asked[1:-1]  # without the ends of those that watch


async def test_only_who_has_reason_to_find_nothing_looks_before_taking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workplace, "ROUND", 3600.0)  # no housekeeping between
    async with opened(path) as (calls, queue):

        async def take() -> None:
            await queue.receive(1, NO_TIME)

        await queue.publish([Envelope(body=b"x")] * 2)
        asked = [(await statements_of(calls, take)).count("SELECT paused_until,") for _ in range(4)]
        begun = [await statements_of(calls, take) for _ in range(2)]

    assert asked == [2, 1, 1, 1], (
        "a look and a taking; a taking; a taking that finds nothing; a look that finds nothing"
    )
    assert not any("BEGIN IMMEDIATE" in each for each in begun), "waiting is nobody's hindrance"


async def cost(queue: Queue, count: int) -> float:
    """Seconds of processor time for one publish, receive and acknowledgement."""
    began = time.process_time()
    for _ in range(count):
        await queue.publish([Envelope(body=b"x" * 200, priority=0)])
        (delivery,) = await queue.receive(1, NO_TIME)
        await queue.settle([Settling(delivery, Ack())])
    return (time.process_time() - began) / count


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_million_messages_cost_what_none_cost(tmp_path: Path) -> None:
    """The same in time: several files side by side, taken in turns, so that a busy machine is busy for all."""
    backlogs = (0, 10_000, 100_000, 1_000_000)
    costs: dict[int, list[float]] = {backlog: [] for backlog in backlogs}
    for backlog in backlogs:
        async with opened(tmp_path / f"{backlog}.db") as (calls, queue):
            for _ in range(0, backlog, 10_000):
                await load(calls, 10_000, now=SystemClock().now())
            await cost(queue, 50)
    for _ in range(9):
        for backlog in backlogs:
            async with opened(tmp_path / f"{backlog}.db") as (_, queue):
                await cost(queue, 50)
                costs[backlog].append(await cost(queue, 300))
    medians = {backlog: statistics.median(measured) for backlog, measured in costs.items()}

    print({backlog: f"{median * 1e6:.0f} us" for backlog, median in medians.items()})
    assert max(medians.values()) < min(medians.values()) * FLAT, medians
