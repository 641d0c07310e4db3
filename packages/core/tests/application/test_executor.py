"""The pool behind `asyncio.to_thread`, in real time."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from pulpo_core.application.executor import LoopThreads


@contextlib.contextmanager
def pool(size: int = 2, last_calls: float = 10) -> Iterator[LoopThreads]:
    threads = LoopThreads(size, last_calls=last_calls)
    try:
        yield threads
    finally:
        threads.shutdown()


def fail() -> None:
    raise ValueError("broken")


def test_what_a_call_returns_or_raises_comes_to_its_future() -> None:
    with pool() as threads:
        assert threads.submit(divmod, 7, 2).result(10) == (3, 1)
        with pytest.raises(ValueError, match="broken"):
            threads.submit(fail).result(10)


def test_threads_are_used_again_and_never_more_than_the_size_of_the_pool() -> None:
    with pool(2) as threads:
        used = {future.result(10) for future in [threads.submit(threading.get_ident) for _ in range(50)]}
        used |= {threads.submit(threading.get_ident).result(10) for _ in range(50)}

    assert len(used) <= 2


def test_a_call_that_is_cancelled_before_its_turn_is_never_made() -> None:
    made, go_on = [], threading.Event()
    with pool(1) as threads:
        threads.submit(go_on.wait, 10)
        late = threads.submit(made.append, 1)
        assert late.cancel()
        go_on.set()

    assert made == []


def test_what_is_under_way_at_the_end_has_a_moment() -> None:
    done = []
    with pool() as threads:
        threads.submit(lambda: (time.sleep(0.05), done.append(1)))

    assert done == [1]


def test_what_does_not_end_holds_up_nobody_and_nothing_is_begun_afterwards() -> None:
    forever = threading.Event()
    begun = time.monotonic()
    with pool(last_calls=0.05) as threads:
        threads.submit(forever.wait, 30)

    assert time.monotonic() - begun < 10
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(fail)
    forever.set()


def test_an_event_loop_takes_it_for_its_own() -> None:
    async def in_thread() -> str:
        return await asyncio.to_thread(lambda: threading.current_thread().name)

    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(LoopThreads())
        assert runner.run(in_thread()).startswith("pulpo-loop-")
