"""Threads for handlers that are plain functions.

Unlike those of `concurrent.futures` they never hold up the exit of the process, a thread that does
not come back can be given up, and many results reach the event loop by one wake-up.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import attrs

from .places import Places


@attrs.define(slots=True, eq=False)
class Job:
    """One call on its way through a thread.

    Attributes:
        future: its result; belongs to the loop that submitted it.
    """

    call: Callable[[], Any]
    context: contextvars.Context
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    _claim: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def begin(self) -> bool:
        """For the thread: whether the call is to be made."""
        return self._claim.acquire(blocking=False)

    def withdraw(self) -> bool:
        """See to it that the call is not made; whether that was still possible. Then its future never ends."""
        return self._claim.acquire(blocking=False)

    def run(self) -> None:
        """Make the call, and keep what came of it."""
        try:
            self.result = self.context.run(self.call)
        except BaseException as error:  # noqa: BLE001 - it is handed to whoever awaits the job
            self.error = error

    def still_to_come(self) -> asyncio.Future[Any]:
        """Its result once more, for whoever was cancelled while it awaited that and wants it all the same."""
        if self.future.cancelled():
            self.future = self.future.get_loop().create_future()
        return self.future

    def deliver(self) -> None:
        """In the loop: hand over what came of it."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(_settable(self.error))
            self.future.exception()  # whoever gave it up does not ask, and asyncio must not log what it says


def _settable(error: BaseException) -> BaseException:
    """A future refuses `StopIteration`, a coroutine takes `GeneratorExit` for its own end, and handlers raise both."""
    if isinstance(error, (StopIteration, GeneratorExit)):
        return RuntimeError(f"the handler raised {type(error).__name__}")
    return error


class Threads:
    """A pool of up to *size* daemon threads, started as they are needed.

    Args:
        size: at most so many calls at once; further ones wait their turn.
        on_exhausted: called when every place is taken by a thread that was given up.

    Attributes:
        places: who has one when it submits a call finds a thread free for it.
    """

    def __init__(self, size: int, *, on_exhausted: Callable[[], None] = lambda: None) -> None:
        self.places = Places(size)
        self._size = size
        self._on_exhausted = on_exhausted
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: deque[Job] = deque()
        self._reporting = False
        self._idle = 0
        self._started = 0
        self._abandoned = 0
        self._lock = threading.Lock()

    @property
    def abandoned(self) -> int:
        """Threads given up: they may still be running, and their places stay taken."""
        return self._abandoned

    @property
    def exhausted(self) -> bool:
        """Whether every place is taken by a thread that was given up."""
        return self._abandoned >= self._size

    def submit(self, call: Callable[[], Any], context: contextvars.Context) -> Job:
        """Run *call* in a thread, inside *context*, as soon as one is free."""
        job = Job(call, context, asyncio.get_running_loop().create_future())
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif self._started < self._size:
                name = f"pulpo-handler-{self._started + 1}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
                self._started += 1  # afterwards: the system may refuse a thread
        self._jobs.put(job)
        return job

    def abandon(self) -> None:
        """Give up one thread that does not come back, and whose place is about to be left."""
        self._abandoned += 1
        self.places.keep()
        if self.exhausted:
            self._on_exhausted()

    def close(self) -> None:
        """Let idle threads end; those at work are not waited for."""
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            begun = job.begin()
            if begun:
                job.run()
            with self._lock:  # before it is told, so that whoever answers with the next call finds it idle
                if self._jobs.empty():
                    self._idle += 1
            if begun:
                self._report(job)

    def _report(self, job: Job) -> None:
        self._done.append(job)
        if not self._reporting:  # cleared before the results are drained, so none is left behind
            self._reporting = True
            try:
                job.future.get_loop().call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits for this any more
                self._done.clear()

    def _deliver(self) -> None:
        self._reporting = False
        while self._done:
            self._done.popleft().deliver()
