"""The limit of handlers for the whole process, over all of its routes."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable


class Gate:
    """Lets *limit* holders in at once, the others in the order they came.

    Routes look at `free` before they receive, so that deliveries do not pile up in front of the
    gate: beyond the limit each route holds at most what it was receiving while the gate closed.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._when_free: list[Callable[[], None]] = []

    @property
    def unlimited(self) -> bool:
        """Whether nobody ever waits."""
        return self._limit is None

    @property
    def free(self) -> float:
        """How many could come in now."""
        return math.inf if self._limit is None else self._limit - self._taken - len(self._waiting)

    def when_free(self, call: Callable[[], None]) -> None:
        """Have *call* called whenever somebody leaves."""
        if self._limit is not None:
            self._when_free.append(call)

    async def __aenter__(self) -> None:
        if self._limit is None:
            return
        if self._taken >= self._limit:
            await self._wait()
        else:
            self._taken += 1

    async def __aexit__(self, *_: object) -> None:
        if self._limit is None:
            return
        if not self._pass_on():
            self._taken -= 1
        for call in self._when_free:
            call()

    async def _wait(self) -> None:
        """Wait for a place that somebody passes on."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not self._pass_on():
                self._taken -= 1
            raise
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def _pass_on(self) -> bool:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return True
        return False
