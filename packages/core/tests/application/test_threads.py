"""The pool of threads itself, in real time."""

import asyncio
import contextvars
import gc
import threading

import pytest

from pulpo_core.application.threads import Threads

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


@pytest.fixture
def pool():
    threads = Threads(2)
    yield threads
    threads.close()


def submit(pool: Threads, call):
    return pool.submit(call, contextvars.copy_context())


async def test_what_a_call_returns_or_raises_comes_to_its_future(pool):
    def fails():
        raise ValueError("broken")

    assert await submit(pool, lambda: 5).future == 5
    with pytest.raises(ValueError, match="broken"):
        await submit(pool, fails).future


@pytest.mark.parametrize(
    "error", [StopIteration(), GeneratorExit(), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()]
)
async def test_no_exception_is_lost_on_its_way(pool, error):
    def fails():
        raise error

    expected = RuntimeError if isinstance(error, (StopIteration, GeneratorExit)) else type(error)
    with pytest.raises(expected):
        await submit(pool, fails).future


async def test_what_a_call_raises_after_it_was_given_up_is_not_logged(pool, caplog):
    begun, go_on = threading.Event(), threading.Event()

    def fails():
        begun.set()
        go_on.wait(10)
        raise ValueError("with the customer's name in it")

    job = submit(pool, fails)
    await asyncio.to_thread(begun.wait, 10)
    pool.abandon()
    go_on.set()
    await asyncio.wait([job.future], timeout=10)
    del job
    gc.collect()

    assert caplog.records == []


async def test_a_call_runs_in_its_own_context(pool):
    VARIABLE.set(3)

    def call():
        VARIABLE.set(VARIABLE.get() + 1)
        return VARIABLE.get()

    assert [await submit(pool, call).future for _ in range(3)] == [4, 4, 4]
    assert VARIABLE.get() == 3


async def test_threads_are_started_as_they_are_needed_and_used_again(pool):
    names = {await submit(pool, lambda: threading.current_thread().name).future for _ in range(20)}
    assert len(names) == 1

    both = threading.Barrier(2)
    jobs = [submit(pool, lambda: (both.wait(10), threading.current_thread().name)[1]) for _ in range(2)]
    assert len({await job.future for job in jobs}) == 2


async def test_more_calls_than_threads_wait_their_turn_in_order(pool):
    order = []
    jobs = [submit(pool, lambda number=number: order.append(number)) for number in range(50)]
    for job in jobs:
        await job.future

    assert sorted(order) == list(range(50))


async def test_calls_that_block_are_all_at_work_at_once():
    pool, all_of_them = Threads(20), threading.Barrier(20)
    try:
        for _ in range(3):  # with new threads, and with idle ones
            jobs = [submit(pool, lambda: all_of_them.wait(10)) for _ in range(20)]
            assert sorted([await job.future for job in jobs]) == list(range(20))
    finally:
        pool.close()


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_a_result_is_told_however_long_the_next_call_takes(size):
    pool, told = Threads(size), threading.Event()
    try:
        for _ in range(3):
            quick, slow = submit(pool, lambda: "quick"), submit(pool, lambda: told.wait(20))
            assert await asyncio.wait_for(quick.future, 10) == "quick"
            told.set()
            assert await slow.future
            told.clear()
    finally:
        pool.close()


async def test_a_pool_that_is_closed_still_makes_and_tells_the_calls_it_has():
    pool, closed = Threads(2), threading.Event()
    jobs = [submit(pool, lambda: closed.wait(10)) for _ in range(2)]
    jobs += [submit(pool, lambda: True) for _ in range(20)]
    pool.close()
    closed.set()

    assert all([await asyncio.wait_for(job.future, 10) for job in jobs])


async def test_many_calls_from_many_moments_all_come_back(pool):
    async def one(number):
        await asyncio.sleep(number % 7 / 1000)
        return await submit(pool, lambda: number).future

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in range(300)]

    assert [task.result() for task in tasks] == list(range(300))


async def test_a_call_that_was_not_begun_can_be_withdrawn_and_is_never_made(pool):
    gate, made = threading.Event(), []
    busy = [submit(pool, lambda: gate.wait(10)) for _ in range(2)]
    waiting = submit(pool, lambda: made.append("made"))

    assert waiting.withdraw()
    gate.set()
    for job in busy:
        await job.future
    await submit(pool, lambda: None).future
    assert made == []
    assert not waiting.future.done()


async def test_a_call_that_was_begun_cannot_be_withdrawn(pool):
    gate, begun = threading.Event(), threading.Event()
    job = submit(pool, lambda: (begun.set(), gate.wait(10)))
    assert begun.wait(10)

    assert not job.withdraw()
    gate.set()
    await job.future


async def test_a_future_that_nobody_awaits_any_more_harms_nobody(pool):
    gate = threading.Event()
    job = submit(pool, lambda: gate.wait(10))
    job.future.cancel()
    gate.set()

    assert await submit(pool, lambda: 5).future == 5


async def test_when_every_place_is_given_up_that_is_told():
    told = []
    pool = Threads(2, on_exhausted=lambda: told.append(pool.abandoned))

    pool.abandon()
    assert (pool.abandoned, pool.exhausted, told) == (1, False, [])
    pool.abandon()
    assert (pool.abandoned, pool.exhausted, told) == (2, True, [2])
    pool.close()


async def test_a_pool_that_is_closed_lets_its_idle_threads_end():
    pool = Threads(3)
    thread = await submit(pool, threading.current_thread).future
    pool.close()
    thread.join(10)

    assert not thread.is_alive()
    assert thread.daemon, "one that does not end never holds up the exit"


def test_a_thread_that_ends_after_its_loop_is_closed_harms_nobody():
    gate, ended = threading.Event(), []

    async def main():
        pool = Threads(1)
        submit(pool, lambda: gate.wait(10))
        thread = next(each for each in threading.enumerate() if each.name.startswith("pulpo-handler"))
        pool.close()
        return thread

    thread = asyncio.run(main())
    gate.set()
    thread.join(10)
    ended.append(thread.is_alive())

    assert ended == [False]


async def test_a_thread_that_the_system_refuses_takes_no_place_in_the_pool(monkeypatch):
    pool = Threads(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            submit(pool, lambda: 5)

    assert await submit(pool, lambda: 5).future == 5
    pool.close()


def _refuse(thread):
    raise RuntimeError("can't start new thread")


async def test_who_is_cancelled_while_it_awaits_a_call_can_still_have_its_result(pool):
    gate = threading.Event()
    job = submit(pool, lambda: gate.wait(10))
    job.future.cancel()
    result = job.still_to_come()
    gate.set()

    assert await result is True
    assert job.still_to_come() is result
