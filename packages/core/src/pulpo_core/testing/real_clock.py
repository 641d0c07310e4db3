"""Real time, for contracts of queues whose broker keeps its own clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from pulpo_core.application.clock import SystemClock


class RealClock(SystemClock):
    """The operating system's time; advancing it takes as long as it says.

    A step of the wall clock is seen by those who hold this clock, not by the broker.
    """

    def __init__(self) -> None:
        self._step = timedelta()

    def now(self) -> datetime:
        """The moment, as far as it was not stepped."""
        return super().now() + self._step

    async def advance(self, seconds: float) -> None:
        """Return after *seconds*."""
        await self.sleep(seconds)

    def set_back(self, seconds: float) -> None:
        """Step the wall clock back."""
        self._step -= timedelta(seconds=seconds)

    def set_forward(self, seconds: float) -> None:
        """Step the wall clock forward."""
        self._step += timedelta(seconds=seconds)
