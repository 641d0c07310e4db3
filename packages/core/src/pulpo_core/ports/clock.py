"""Time and chance, the only two ways in which the world outside reaches a decision."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio


class Clock(Protocol):
    """What time it is, and waiting for it to pass.

    `now` says when things happen to messages and may be set back or forward by its owner;
    `monotonic` measures spans and never goes back. All methods may be called from any task;
    `now` and `monotonic` from any thread as well.
    """

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment in the past."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*; at once for 0 or less. Cancellation passes through."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Return as soon as *event* is set (`True`) or *seconds* have passed (`False`).

        Cancellation passes through. ``inf`` waits for the event alone.
        """
        ...


class Jitter(Protocol):
    """Where random numbers come from."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...

    def getrandbits(self, bits: int) -> int:
        """*bits* random bits, for identities."""
        ...
