"""Virtual time passes without waiting, in order, and never hangs."""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from pulpo_core.testing import START, LoopClock, Stuck, run_virtual, virtual_time


def test_a_year_of_sleep_takes_no_time():
    async def sleeper() -> timedelta:
        clock = LoopClock()
        before = clock.now()
        await clock.sleep(365 * 86_400)
        return clock.now() - before

    began = time.perf_counter()

    assert run_virtual(sleeper()) == timedelta(days=365)
    assert time.perf_counter() - began < 30


def test_timers_of_all_tasks_fire_in_the_order_of_their_moments():
    async def three() -> list[tuple[str, float]]:
        clock, seen = LoopClock(), []
        began = clock.monotonic()

        async def note(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            seen.append((name, clock.monotonic() - began))

        async with asyncio.TaskGroup() as group:
            for name, seconds in [("c", 3), ("a", 1), ("b", 2)]:
                group.create_task(note(name, seconds))
        return seen

    assert run_virtual(three) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_the_clock_starts_where_it_is_told():
    start = datetime(2030, 5, 6, tzinfo=UTC)

    async def now() -> datetime:
        return LoopClock().now()

    assert run_virtual(now(), start=start) == start


@virtual_time
async def test_the_decorator_runs_a_test_in_virtual_time():
    clock = LoopClock()

    await clock.sleep(3600)

    assert clock.now() == START + timedelta(hours=1)


@pytest.mark.parametrize("seconds", [pytest.param(5, id="marked"), pytest.param(50, id="as well")])
@virtual_time
async def test_the_decorator_keeps_parameters(seconds: float):
    clock = LoopClock()

    assert await clock.wait(asyncio.Event(), seconds) is False
    assert clock.now() == START + timedelta(seconds=seconds)


@virtual_time
async def test_wait_ends_when_the_event_is_set():
    clock, event = LoopClock(), asyncio.Event()
    asyncio.get_running_loop().call_later(7, event.set)

    assert await clock.wait(event, 60) is True
    assert clock.now() == START + timedelta(seconds=7)


@virtual_time
async def test_wait_without_end_waits_for_the_event_alone():
    clock, event = LoopClock(), asyncio.Event()
    asyncio.get_running_loop().call_later(10**6, event.set)

    assert await clock.wait(event, float("inf")) is True


@pytest.mark.parametrize("seconds", [0, -1])
@virtual_time
async def test_wait_for_no_time_only_looks(seconds: float):
    clock, event = LoopClock(), asyncio.Event()

    assert await clock.wait(event, seconds) is False
    event.set()
    assert await clock.wait(event, seconds) is True
    assert clock.now() == START


@virtual_time
async def test_cancellation_passes_through_a_wait():
    clock = LoopClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await clock.wait(asyncio.Event(), 60)

    assert clock.now() == START + timedelta(seconds=3)


@virtual_time
async def test_the_wall_clock_can_be_stepped_without_touching_spans():
    clock = LoopClock()
    began = clock.monotonic()

    clock.set_back(3600)
    assert clock.now() == START - timedelta(hours=1)
    clock.set_forward(7200)
    assert clock.now() == START + timedelta(hours=1)
    assert clock.monotonic() == began


def test_waiting_for_ever_is_an_error_that_tells_where():
    async def forgotten() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match=r"no timer is set(.|\n)*test_virtual_loop\.py:\d+ in .*forgotten|locks\.py"):
        run_virtual(forgotten())


def test_polling_for_ever_is_an_error():
    async def poll() -> None:
        clock = LoopClock()
        while True:
            await clock.sleep(60)

    with pytest.raises(Stuck, match="virtual time have passed"):
        run_virtual(poll(), time_limit=timedelta(hours=10))


def test_a_thread_is_waited_for_before_time_jumps():
    async def work() -> tuple[str, datetime]:
        clock = LoopClock()
        async with asyncio.timeout(60):
            answer = await asyncio.to_thread(lambda: (time.sleep(0.001), "done")[1])
        return answer, clock.now()

    assert run_virtual(work()) == ("done", START)


def test_a_thread_without_timers_beside_it_is_not_called_stuck():
    async def work() -> None:
        await asyncio.to_thread(time.sleep, 0.1)

    run_virtual(work())


def test_a_hung_thread_does_not_stop_time():
    release = threading.Event()

    async def work() -> datetime:
        clock = LoopClock()
        hung = asyncio.get_running_loop().run_in_executor(None, release.wait)
        await clock.sleep(30)
        release.set()
        await hung
        return clock.now()

    assert run_virtual(work()) == START + timedelta(seconds=30)


def test_threads_can_read_the_clock():
    async def work() -> datetime:
        clock = LoopClock()
        await clock.sleep(5)
        return await asyncio.to_thread(clock.now)

    assert run_virtual(work()) == START + timedelta(seconds=5)


def test_the_clock_needs_a_virtual_loop():
    async def misuse() -> None:
        LoopClock().now()

    with pytest.raises(TypeError, match="run_virtual"):
        asyncio.run(misuse())


def test_a_clock_made_before_the_loop_runs_follows_it():
    clock = LoopClock()

    async def now() -> datetime:
        await clock.sleep(1)
        return clock.now()

    assert run_virtual(now()) == START + timedelta(seconds=1)


@virtual_time
async def test_advancing_lets_everything_due_by_then_happen():
    clock, seen = LoopClock(), []
    async with asyncio.TaskGroup() as group:

        async def note() -> None:
            await clock.sleep(10)
            seen.append(clock.monotonic())

        group.create_task(note())
        await clock.advance(10)

        assert len(seen) == 1
