"""Threads for handlers that are plain functions.

Unlike those of `concurrent.futures` they never hold up the exit of the process, a thread that does
not come back can be given up, and many results reach the event loop by one wake-up.

Threads are called up one at a time: each calls the next when it has taken a call, before it begins it.
So calls that end at once are made by one thread or two, without a switch between threads for each, and
calls that block are all at work a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
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
        self._calls: deque[Job] = deque()
        self._wake: SimpleQueue[bool] = SimpleQueue()  # for one thread each: whether to go on, or to end
        self._rising = False  # a thread was called up, and has not looked for a call yet
        self._done: deque[Job] = deque()
        self._telling = False
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
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
        loop = self._loop = asyncio.get_running_loop()
        job = Job(call, context, loop.create_future())
        with self._lock:
            self._calls.append(job)
            try:
                self._call_up()
            except RuntimeError:
                self._calls.pop()
                raise
        return job

    def _call_up(self) -> None:
        """See to it that a thread is on its way, if any call waits and any thread is free. To be called with the lock.

        Raises:
            RuntimeError: the system refuses another thread.
        """
        if self._rising or self._closed or not self._calls:
            return
        if self._idle:
            self._idle -= 1
            self._rising = True
            self._wake.put(True)
        elif self._started < self._size:
            name = f"pulpo-handler-{self._started + 1}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
            self._started += 1  # afterwards: the system may refuse a thread
            self._rising = True

    def abandon(self) -> None:
        """Give up one thread that does not come back, and whose place is about to be left."""
        self._abandoned += 1
        self.places.keep()
        if self.exhausted:
            self._on_exhausted()

    def close(self) -> None:
        """Let idle threads end; those at work are not waited for."""
        with self._lock:
            self._closed = True
        for _ in range(self._started):
            self._wake.put(False)

    def _work(self) -> None:
        job = self._take(risen=True)
        while True:
            while job is not None:
                if job.begin():
                    job.run()
                    self._done.append(job)
                job = self._take()
            if not self._wake.get():
                return
            job = self._take(risen=True)

    def _take(self, *, risen: bool = False) -> Job | None:
        """For a thread, which has *risen* if it was called up: the next call; `None` when it is to sleep.

        What has ended is told now, when the thread counts as free, so that who answers with a call finds it;
        or by the next thread, if that is on its way: it runs at the latest when a call blocks.
        """
        with self._lock:
            if risen:
                self._rising = False
            job = self._calls.popleft() if self._calls else None
            if job is None:
                self._idle += 1
            with contextlib.suppress(RuntimeError):  # refused: then those that there are do it all
                self._call_up()
            told_by_next = self._rising and not risen
        if not told_by_next:
            self._tell()
        return job

    def _tell(self) -> None:
        if self._done and self._loop is not None and not self._telling:
            self._telling = True  # until just before the results are drained, so none is left behind
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits for this any more
                self._done.clear()

    def _deliver(self) -> None:
        self._telling = False
        while self._done:
            self._done.popleft().deliver()
