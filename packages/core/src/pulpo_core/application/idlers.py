"""Tasks that wait for work, woken one at a time."""

from __future__ import annotations

import asyncio
from collections import deque


class Idlers:
    """Where workers wait. One is woken for new work; once it runs it may wake the next.

    Waking one at a time lets a worker that never suspends take everything, and costs one wake-up
    then.
    """

    def __init__(self) -> None:
        #: Who waits; to be looked at only.
        self.waiting: deque[asyncio.Future[None]] = deque()
        #: How many were woken and have not run yet; to be looked at only.
        self.on_the_way = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self) -> None:
        """Wait to be woken."""
        if self._loop is None:  # asked once: finding the running loop costs a system call on Python 3.11
            self._loop = asyncio.get_running_loop()
        future = self._loop.create_future()
        self.waiting.append(future)
        try:
            await future
        finally:
            if future.done() and not future.cancelled():
                self.on_the_way -= 1
            elif future in self.waiting:
                self.waiting.remove(future)

    def wake_one(self) -> None:
        """Wake one worker, unless one is on its way already."""
        while self.waiting and not self.on_the_way:
            self._wake(self.waiting.popleft())

    def wake(self, count: int) -> None:
        """Wake so many workers, whoever is on the way.

        Workers of which each that is woken wakes two are all at work after as many steps of the loop as doubling takes.
        """
        for _ in range(min(count, len(self.waiting))):
            self._wake(self.waiting.popleft())

    def wake_all(self) -> None:
        """Wake every worker."""
        while self.waiting:
            self._wake(self.waiting.popleft())

    def _wake(self, future: asyncio.Future[None]) -> None:
        if not future.done():  # else its worker was cancelled a moment ago, and does not know yet
            self.on_the_way += 1
            future.set_result(None)
