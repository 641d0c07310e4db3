"""The places of a pool of threads or processes, and the line of messages in front of it."""

from __future__ import annotations

import asyncio
from collections import deque


class Places:
    """Lets up to *size* messages have a thread, or a process, at once; first come, first served.

    Nothing begins for a message before it has its place: neither its time nor its middleware, and what
    stands in line can still be given back. To be used in one event loop.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._to_keep = 0
        self._line: deque[asyncio.Future[None]] = deque()

    def take_at_once(self) -> bool:
        """Take a place if one is free; whether one was."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Wait for a place. Whoever is cancelled meanwhile has none."""
        if self.take_at_once():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came at the same moment
                self.leave()
            raise

    def leave(self) -> None:
        """Pass a place on to who has waited longest."""
        if self._to_keep:
            self._to_keep -= 1
            return
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def keep(self) -> None:
        """Let the next place that is left stay taken, for ever: what ran there does not end."""
        self._to_keep += 1
