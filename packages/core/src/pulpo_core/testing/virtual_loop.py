"""Virtual time: an event loop whose clock jumps to the next timer whenever nothing else is to be done.

Code under it waits for hours and returns in microseconds, in the same order each time. `LoopClock`
is the `Clock` port over it, so a whole dispatcher runs in virtual time without knowing it::

    @virtual_time
    async def test_a_day_passes_at_once():
        clock = LoopClock()
        await clock.sleep(86_400)

Threads live in real time. While there are threads that the run has started, time jumps only after
they had a moment (`PATIENCE`) to report back.
"""

from __future__ import annotations

import asyncio
import functools
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)  # any moment does; always the same makes failures repeatable

#: How long, in real seconds, running threads may keep time from jumping: ample to wake the loop.
PATIENCE: Final = 0.02

#: How long, in real seconds, running threads may keep a loop without timers from being called stuck.
THREAD_GUARD: Final = 10.0

#: More virtual time than this means a loop that polls for ever.
TIME_LIMIT: Final = timedelta(days=400)

_BEGINNING: Final = 1000.0  # not 0, which would hide mistakes with "no time yet"


class Stuck(RuntimeError):
    """Nothing can happen any more: nothing is ready and no timer is set, or virtual time ran out."""


class _JumpingSelector(selectors.DefaultSelector):
    """Reports what real events there are, and lets time jump instead of waiting."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.loop.threads_at_work():
            events = super().select(THREAD_GUARD if timeout is None else PATIENCE)
        if not events:
            self.loop.jump(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time.

    Attributes:
        start: what `LoopClock.now` says at the beginning.
    """

    def __init__(self, start: datetime = START, time_limit: timedelta = TIME_LIMIT) -> None:
        self.start = start
        self._moment = _BEGINNING
        self._last_moment = _BEGINNING + time_limit.total_seconds()
        self._threads_before = set(threading.enumerate())
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds since some moment in the past."""
        return self._moment

    def elapsed(self) -> timedelta:
        """Virtual time since the loop was made."""
        return timedelta(seconds=self._moment - _BEGINNING)

    def threads_at_work(self) -> bool:
        """Whether there are threads that were started since the loop was made."""
        return not self._threads_before.issuperset(threading.enumerate())

    def jump(self, seconds: float | None) -> None:
        """Let *seconds* pass at once.

        Raises:
            Stuck: `None`, which means that nothing will ever happen, or the time limit is passed.
        """
        if seconds is None:
            raise Stuck(f"nothing is ready and no timer is set; waiting for ever:{_waiting_tasks(self)}")
        self._moment += seconds
        # asyncio runs what is due before now + resolution; late in a long run a nanosecond is too little to add to now.
        self._clock_resolution = 2 * math.ulp(self._moment)
        if self._moment > self._last_moment:
            raise Stuck(f"{self.elapsed()} of virtual time have passed; still running:{_waiting_tasks(self)}")


def _waiting_tasks(loop: VirtualLoop) -> str:
    return "".join(f"\n  {task.get_name()} at {_place(task)}" for task in asyncio.all_tasks(loop))


def _place(task: asyncio.Task[Any]) -> str:
    """The innermost line of our own code in which *task* waits."""
    at: Any = task.get_coro()
    place = repr(at)
    while (frame := getattr(at, "cr_frame", None)) is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        at = at.cr_await
    return place


class LoopClock:
    """The `Clock` port over the running `VirtualLoop`; may be made before the loop runs.

    `set_back` and `set_forward` step the wall clock alone, as its owner may; spans are not touched.
    """

    def __init__(self) -> None:
        self._loop: VirtualLoop | None = None
        self._step = timedelta()
        if asyncio._get_running_loop() is not None:  # made inside: bound at once, so that threads can read it
            self._bind()

    def _bind(self) -> VirtualLoop:
        if self._loop is None:
            loop = asyncio.get_running_loop()
            if not isinstance(loop, VirtualLoop):
                raise TypeError("LoopClock follows a virtual loop: run this inside run_virtual()")
            self._loop = loop
        return self._loop

    def now(self) -> datetime:
        """The virtual moment, in UTC."""
        loop = self._bind()
        return loop.start + loop.elapsed() + self._step

    def monotonic(self) -> float:
        """The time of the loop."""
        return self._bind().time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual *seconds* pass for this task."""
        self._bind()
        await asyncio.sleep(max(seconds, 0))

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for *event*, at most *seconds*."""
        self._bind()
        if seconds <= 0 or event.is_set():
            await asyncio.sleep(0)
            return event.is_set()
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                return await event.wait()
        except TimeoutError:
            return event.is_set()

    async def advance(self, seconds: float) -> None:
        """Return after *seconds*, when everything that was due by then has happened."""
        await self.sleep(seconds)
        await asyncio.sleep(0)

    def set_back(self, seconds: float) -> None:
        """Step the wall clock back."""
        self._step -= timedelta(seconds=seconds)

    def set_forward(self, seconds: float) -> None:
        """Step the wall clock forward."""
        self._step += timedelta(seconds=seconds)


def run_virtual(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    start: datetime = START,
    time_limit: timedelta = TIME_LIMIT,
) -> T:
    """Run *main*, a coroutine or what makes one, in virtual time from *start* on, and give back its result.

    Raises:
        Stuck: it would wait for ever, or for longer than *time_limit*; the text tells where.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start, time_limit)) as runner:
        return runner.run(main() if callable(main) else main)


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make a plain test function of a coroutine function: it runs in virtual time from `START` on."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run
