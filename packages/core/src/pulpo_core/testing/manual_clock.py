"""A clock that stands still until a test moves it, on any event loop."""

from __future__ import annotations

import asyncio
import functools
import heapq
import math
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from .virtual_loop import START

#: How often others get a turn after each step of time: longer than any chain of tasks that wake each other.
_TURNS: Final = 50


class ManualClock:
    """The `Clock` port with hands: `advance` moves it, everything due by then happens in order.

    Unlike virtual time it works on an ordinary loop, beside real threads and sockets.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic = 1000.0
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        """The moment, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds that were advanced since some moment in the past."""
        return self._monotonic

    @property
    def waiting(self) -> int:
        """How many sleeps and waits with an end are going on."""
        return sum(not timer.done() for _, _, timer in self._timers)

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by *seconds*."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._timer(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Return once *event* is set or the clock was advanced by *seconds*."""
        if seconds <= 0 or event.is_set():
            await asyncio.sleep(0)
            return event.is_set()
        timer = self._timer(seconds)
        try:
            async with asyncio.timeout(None) as limit:
                timer.add_done_callback(functools.partial(_end, limit))
                return await event.wait()
        except TimeoutError:
            return event.is_set()
        finally:
            timer.cancel()

    def _timer(self, seconds: float) -> asyncio.Future[None]:
        timer = asyncio.get_running_loop().create_future()
        if not math.isinf(seconds):
            heapq.heappush(self._timers, (self._monotonic + seconds, next(self._order), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass: each timer fires at its own moment, and what it wakes runs before the next."""
        await self._give_turns()
        end = self._monotonic + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            if not timer.done():
                self._move_to(due)
                timer.set_result(None)
                await self._give_turns()
        self._move_to(end)
        await self._give_turns()

    def _move_to(self, moment: float) -> None:
        if moment > self._monotonic:
            self._now += timedelta(seconds=moment - self._monotonic)
            self._monotonic = moment

    async def _give_turns(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def set_back(self, seconds: float) -> None:
        """Step the wall clock back; spans are not touched."""
        self._now -= timedelta(seconds=seconds)

    def set_forward(self, seconds: float) -> None:
        """Step the wall clock forward; spans are not touched."""
        self._now += timedelta(seconds=seconds)


def _end(limit: asyncio.Timeout, timer: asyncio.Future[None]) -> None:
    if not timer.cancelled():
        limit.reschedule(0)
