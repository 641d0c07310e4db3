"""The clock on the wall is set back or forward by an hour: nothing is lost, nothing is stuck, nobody loses a lease."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_file.timekeeping import SECOND, Now, Step, Timekeeper, micros
from pulpo_core import Ack, Delivery, Envelope, Queue, Retry, Settling
from pulpo_core.testing import ManualClock, SeededJitter

from .conftest import Opener

HOUR = 3600.0
LEASE = 30.0  # the default
NO_TIME = timedelta()


async def take(queue: Queue, limit: int = 10) -> Sequence[Delivery]:
    return await queue.receive(limit, NO_TIME)


async def settle(queue: Queue, delivery: Delivery, settlement: Ack | Retry) -> object:
    (answer,) = await queue.settle([Settling(delivery, settlement)])
    return answer


def set_by(clock: ManualClock, seconds: float) -> None:
    (clock.set_forward if seconds > 0 else clock.set_back)(abs(seconds))


both_ways = pytest.mark.parametrize("seconds", [HOUR, -HOUR, 10 * 24 * HOUR, -10 * 24 * HOUR])


@both_ways
async def test_a_living_holder_keeps_its_lease(opened: Opener, clock: ManualClock, seconds: float) -> None:
    queue, other = await opened(), await opened("queue=orders&lease=5s")
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)

    set_by(clock, seconds)
    await other.publish([Envelope(body=b"{}", priority=0)])  # somebody notices the step

    assert [each.id for each in await take(other)] == ["2"]
    assert await settle(queue, delivery, Ack()) is None


@both_ways
async def test_the_lease_of_a_dead_holder_ends_in_its_own_time(
    opened: Opener, clock: ManualClock, seconds: float
) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    await take(queue)

    set_by(clock, seconds)
    assert not await take(queue)
    await clock.advance(LEASE + 1)

    (again,) = await take(queue)
    assert (again.attempt, again.lost) == (2, 1)


@both_ways
async def test_a_retry_waits_as_long_as_it_was_told(opened: Opener, clock: ManualClock, seconds: float) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)
    await settle(queue, delivery, Retry(delay=timedelta(seconds=60)))

    set_by(clock, seconds)
    assert not await take(queue)
    await clock.advance(59)
    assert not await take(queue)
    await clock.advance(2)

    assert len(await take(queue)) == 1


async def test_a_moment_that_a_publisher_named_is_not_moved(opened: Opener, clock: ManualClock) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}", not_before=clock.now() + timedelta(hours=1))])

    clock.set_forward(HOUR + 1)

    assert len(await take(queue)) == 1


async def test_a_moment_after_the_clock_was_set_back_is_still_that_moment(opened: Opener, clock: ManualClock) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}", not_before=clock.now() + timedelta(seconds=10))])

    clock.set_back(HOUR)
    await clock.advance(HOUR + 9)
    assert not await take(queue)
    await clock.advance(2)

    assert len(await take(queue)) == 1


async def test_one_step_seen_by_several_moves_the_leases_once(opened: Opener, clock: ManualClock) -> None:
    first, second = await opened(), await opened()
    third = await opened(clock=clock)
    await first.publish([Envelope(body=b"{}")])
    await take(first)
    for queue in (second, third):
        assert not await take(queue)

    clock.set_forward(HOUR)
    for queue in (first, second, third):
        await queue.publish([Envelope(body=b"{}", not_before=clock.now() + timedelta(days=1))])
    await clock.advance(LEASE + 1)

    assert len(await take(second)) == 1


@pytest.mark.parametrize(
    ("seconds", "left"),
    [
        pytest.param(HOUR, 0.0, id="forward: it is over"),
        pytest.param(-HOUR, LEASE, id="back: it lasts no longer than it may"),
    ],
)
async def test_a_lease_survives_no_step_that_nobody_saw(
    path: Path, clock: ManualClock, seconds: float, left: float
) -> None:
    async with FileAdapter().open(f"file://{path}", clock=clock, jitter=SeededJitter(1)) as queue:
        await queue.publish([Envelope(body=b"{}")])
        await take(queue)

    set_by(clock, seconds)
    async with FileAdapter().open(f"file://{path}", clock=clock, jitter=SeededJitter(1)) as queue:
        assert bool(await take(queue)) is not bool(left)
        await clock.advance(left + 1)
        assert bool(await take(queue)) is bool(left)


async def test_a_retry_survives_no_step_back_that_nobody_saw(path: Path, clock: ManualClock) -> None:
    async with FileAdapter().open(f"file://{path}", clock=clock, jitter=SeededJitter(1)) as queue:
        await queue.publish([Envelope(body=b"{}")])
        (delivery,) = await take(queue)
        await settle(queue, delivery, Retry(delay=timedelta(seconds=60)))

    clock.set_back(HOUR)
    async with FileAdapter().open(f"file://{path}", clock=clock, jitter=SeededJitter(1)) as queue:
        await clock.advance(61)

        assert len(await take(queue)) == 1


async def test_order_of_arrival_does_not_depend_on_the_clock(opened: Opener, clock: ManualClock) -> None:
    queue = await opened()
    for step in (0, -HOUR, HOUR, -HOUR):
        if step:
            set_by(clock, step)
        await queue.publish([Envelope(body=str(step).encode())])

    assert [delivery.id for delivery in await take(queue)] == ["1", "2", "3", "4"]


async def test_a_pause_with_an_end_is_over_at_that_moment(opened: Opener, clock: ManualClock) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    await queue.pause(timedelta(minutes=1))

    assert not await take(queue)
    assert (await queue.stats()).paused
    await clock.advance(61)

    assert len(await take(queue)) == 1


def test_time_that_passes_is_not_a_step() -> None:
    clock = ManualClock()
    timekeeper = Timekeeper(clock)
    first = timekeeper.read()

    clock._move_to(clock.monotonic() + HOUR)
    second = timekeeper.read()

    assert timekeeper.step is None
    assert second == Now(first.wall + round(HOUR * SECOND), first.monotonic + HOUR)


def test_a_clock_that_is_slewed_is_not_set() -> None:
    clock = ManualClock()
    timekeeper = Timekeeper(clock)
    timekeeper.read()

    clock.set_forward(1.5)
    timekeeper.read()

    assert timekeeper.step is None


def test_a_step_is_owed_until_it_is_dealt_with() -> None:
    clock = ManualClock()
    timekeeper = Timekeeper(clock)
    before = micros(clock.now())
    timekeeper.read()

    clock.set_forward(HOUR)
    timekeeper.read()
    clock.set_forward(HOUR)
    timekeeper.read()

    assert timekeeper.step == Step(before, round(2 * HOUR * SECOND))
    timekeeper.forget()
    assert timekeeper.step is None
