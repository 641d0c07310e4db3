"""The real clock and the real dice."""

import asyncio
import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from pulpo_core import SystemClock, SystemJitter


def test_the_moment_is_now_in_utc():
    moment = SystemClock().now()

    assert moment.tzinfo is UTC
    assert abs(datetime.now(UTC) - moment) < timedelta(seconds=10)


def test_monotonic_time_never_goes_back():
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(1_000)]

    assert readings == sorted(readings)


@pytest.mark.parametrize("seconds", [0, -5])
async def test_no_time_to_sleep_is_no_sleep(seconds):
    began = time.monotonic()
    await SystemClock().sleep(seconds)

    assert time.monotonic() - began < 5


async def test_sleeping_takes_its_time():
    began = time.monotonic()
    await SystemClock().sleep(0.02)

    assert time.monotonic() - began >= 0.019


async def test_waiting_ends_with_the_event_or_with_the_time():
    clock, event = SystemClock(), asyncio.Event()

    assert await clock.wait(event, 0.01) is False
    assert await clock.wait(event, 0) is False
    asyncio.get_running_loop().call_later(0.01, event.set)
    assert await clock.wait(event, math.inf) is True
    assert await clock.wait(event, 0) is True


async def test_a_cancelled_wait_is_cancelled():
    async with asyncio.TaskGroup() as group:
        task = group.create_task(SystemClock().wait(asyncio.Event(), math.inf))
        await asyncio.sleep(0)
        task.cancel()

    assert task.cancelled()


def test_chance_is_in_its_range_and_not_the_same_twice():
    jitter = SystemJitter()
    numbers = [jitter.random() for _ in range(100)]

    assert all(0 <= number < 1 for number in numbers)
    assert len(set(numbers)) == 100
    assert max(jitter.getrandbits(76).bit_length() for _ in range(100)) > 70
