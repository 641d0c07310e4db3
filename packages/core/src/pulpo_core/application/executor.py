"""Threads for whatever runs in the event loop's own pool: `asyncio.to_thread`, a look-up of a host's name.

The pool that asyncio makes is waited for when the loop ends and once more when the interpreter does,
without a limit: a worker that was told to stop would go on for as long as a call that nobody awaits
any more. Threads of this one never hold up the end of the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from .clock import SystemClock

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds that calls nobody awaits any more, such as a last line for a log, have at the end of the loop.
LAST_CALLS: Final = 1.0


class LoopThreads(ThreadPoolExecutor):
    """A pool of up to *size* daemon threads, started as they are needed; a loop takes only a descendant of this base.

    Args:
        size: at most so many calls at once, further ones wait; as many as asyncio's own pool has unless given.
        last_calls: how many seconds `shutdown` waits for calls that are under way.
    """

    def __init__(self, size: int | None = None, *, last_calls: float = LAST_CALLS) -> None:
        self._size = size or min(32, (os.cpu_count() or 1) + 4)
        super().__init__(self._size)
        self._last_calls = last_calls
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._guard = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *fn* in a thread, as soon as one is free.

        Raises:
            RuntimeError: the pool was shut down.
        """
        future: Future[T] = Future()
        with self._guard:
            if self._closed:
                raise RuntimeError("no call is begun any more: this pool was shut down")
            self._have_a_thread()
            self._calls.put(lambda: _call(future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; with *wait*, calls have a moment to end, and are left to themselves then.

        Args:
            cancel_futures: of no effect: those who wait for their turn come to it as long as the process lives.
        """
        del cancel_futures
        with self._guard:
            self._closed = True
            for _ in self._started:
                self._calls.put(None)
        end = SystemClock().monotonic() + self._last_calls
        for thread in self._started if wait else ():
            thread.join(max(end - SystemClock().monotonic(), 0))

    def _have_a_thread(self) -> None:
        if self._idle:
            self._idle -= 1
        elif len(self._started) < self._size:
            thread = threading.Thread(target=self._work, name=f"pulpo-loop-{len(self._started) + 1}", daemon=True)
            thread.start()
            self._started.append(thread)  # afterwards: the system may refuse a thread

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds must not live until the next one comes
            with self._guard:
                if self._calls.empty():
                    self._idle += 1


def _call(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits the future
        future.set_exception(error)
    else:
        future.set_result(result)
