"""The time of servers that tests run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


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
