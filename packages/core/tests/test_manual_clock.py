"""A manual clock moves only by hand, and what is due happens at its own moment."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core.testing import START, ManualClock, SeededJitter


async def test_it_stands_still_until_advanced():
    clock = ManualClock()
    before = clock.monotonic()
    await asyncio.sleep(0)

    assert (clock.now(), clock.monotonic()) == (START, before)

    await clock.advance(1.5)

    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=1.5), before + 1.5)


async def test_sleepers_wake_in_order_each_at_its_own_moment():
    clock, seen = ManualClock(), []

    async def note(seconds: float) -> None:
        await clock.sleep(seconds)
        seen.append((seconds, clock.now() - START))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(note(seconds))
        await clock.advance(2)

        assert seen == [(1, timedelta(seconds=1)), (2, timedelta(seconds=2))]

        await clock.advance(1)

    assert seen[-1] == (3, timedelta(seconds=3))


async def test_a_sleeper_that_sleeps_again_is_woken_in_the_same_advance():
    clock, seen = ManualClock(), []

    async def tick() -> None:
        for _ in range(5):
            await clock.sleep(10)
            seen.append(clock.now() - START)

    async with asyncio.TaskGroup() as group:
        group.create_task(tick())
        await clock.advance(50)

    assert seen == [timedelta(seconds=10 * n) for n in range(1, 6)]


@pytest.mark.parametrize("seconds", [0, -5])
async def test_no_time_is_no_sleep(seconds: float):
    clock = ManualClock()

    await clock.sleep(seconds)
    assert await clock.wait(asyncio.Event(), seconds) is False


async def test_wait_tells_the_event_from_the_end_of_the_time():
    clock, event = ManualClock(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        early = group.create_task(clock.wait(asyncio.Event(), 5))
        waited = group.create_task(clock.wait(event, 60))
        endless = group.create_task(clock.wait(event, float("inf")))
        await clock.advance(5)

        assert early.result() is False
        assert not waited.done()

        event.set()

    assert waited.result() is True
    assert endless.result() is True
    assert clock.waiting == 0


async def test_cancellation_passes_through_and_leaves_no_timer():
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(clock.sleep(5))
        waiter = group.create_task(clock.wait(asyncio.Event(), 5))
        await clock.advance(1)
        assert clock.waiting == 2
        sleeper.cancel()
        waiter.cancel()

    assert sleeper.cancelled()
    assert waiter.cancelled()
    assert clock.waiting == 0
    await clock.advance(10)


async def test_a_step_of_the_wall_clock_wakes_nobody():
    clock = ManualClock()
    async with asyncio.TaskGroup() as group:
        sleeper = group.create_task(clock.sleep(60))
        await clock.advance(0)
        clock.set_forward(3600)
        await clock.advance(59)

        assert not sleeper.done()
        assert clock.now() == START + timedelta(hours=1, seconds=59)

        clock.set_back(3600)
        await clock.advance(1)

    assert clock.now() == START + timedelta(minutes=1)


def test_the_same_seed_gives_the_same_chance():
    one, two, other = SeededJitter(7), SeededJitter(7), SeededJitter(8)

    numbers = [one.random() for _ in range(5)]

    assert numbers == [two.random() for _ in range(5)]
    assert numbers != [other.random() for _ in range(5)]
    assert all(0 <= number < 1 for number in numbers)
    assert one.getrandbits(74) == two.getrandbits(74)
