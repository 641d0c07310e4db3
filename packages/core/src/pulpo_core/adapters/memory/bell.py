"""Waking those who wait for a message, across the event loops of one process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict


class Waiter:
    """One waiting receive: an event, and the loop to which it belongs."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def wake(self) -> bool:
        """Set the event, from whatever thread; `False` when its loop is no more."""
        if self._loop.is_closed():
            return False
        if asyncio._get_running_loop() is self._loop:
            self.event.set()
        else:
            self._loop.call_soon_threadsafe(self.event.set)
        return True


class Bell:
    """Rings for one waiter at a time, the longest waiting first: no herd, and nobody is forgotten.

    Whoever was rung for passes the bell on when it leaves and something is still there to be had.

    Attributes:
        waiters: those to ring for, the longest waiting first.
    """

    def __init__(self) -> None:
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()

    def join(self, waiter: Waiter) -> None:
        """From now on *waiter* is rung for."""
        waiter.event.clear()
        self.waiters[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """*waiter* is not rung for any more."""
        self.waiters.pop(waiter, None)

    def ring(self) -> None:
        """Wake the longest waiting."""
        while self.waiters:
            waiter, _ = self.waiters.popitem(last=False)
            if waiter.wake():
                return

    def ring_for_all(self) -> None:
        """Wake everybody: the time until which they meant to wait has changed."""
        while self.waiters:
            self.ring()
