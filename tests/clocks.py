"""The time of servers that tests run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from pulpo_core.testing import ManualClock


class TellsTime(Protocol):
    """Whatever tells the moment, in UTC."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        ...


class MeasuresTime(TellsTime, Protocol):
    """Whatever measures spans as well."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...


class SystemTime:
    """The operating system's time."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)


class SteadyClock:
    """The time of a server: it goes as fast as that of its clients, and does not step when theirs does."""

    def __init__(self, clock: MeasuresTime) -> None:
        self._clock = clock
        self._start = clock.now() - timedelta(seconds=clock.monotonic())

    def now(self) -> datetime:
        """The moment, in UTC."""
        return self._start + timedelta(seconds=self._clock.monotonic())


class PatientClock(ManualClock):
    """A manual clock that lets a server answer before it moves: time stands still while requests are on their way."""

    def __init__(self, idle: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._idle = idle

    async def advance(self, seconds: float) -> None:
        """Wait until the server is idle, then let *seconds* pass."""
        await self._idle()
        await super().advance(seconds)
