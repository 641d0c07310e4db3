"""How long to wait before the next attempt: a pure function of the attempt and one random number."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import StrEnum
from typing import Final

import attrs

from .errors import ConfigurationError

#: From this attempt on the delay no longer grows: keeps the arithmetic small for any counter.
_LAST_GROWING_ATTEMPT: Final = 64

#: A delay that somebody named is never shortened and stretched by at most this much.
_HINT_SPREAD: Final = 0.1


class JitterMode(StrEnum):
    """How much of a delay is left to chance."""

    NONE = "none"  # lowest = highest
    EQUAL = "equal"  # lowest = half of the highest
    FULL = "full"  # lowest = 0

    @property
    def lowest(self) -> float:
        """The lowest delay, as a part of the highest."""
        return {JitterMode.NONE: 1.0, JitterMode.EQUAL: 0.5, JitterMode.FULL: 0.0}[self]


def seconds(value: object) -> timedelta:
    """Seconds or timedelta as timedelta.

    Raises:
        ConfigurationError: *value* is neither, negative, or more than a calendar holds.
    """
    span = value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        try:
            span = timedelta(seconds=value)
        except OverflowError:
            span = None
    if isinstance(span, timedelta) and span >= timedelta():
        return span
    raise ConfigurationError(f"expected a time span from 0 (seconds or timedelta), not {value!r:.40}")


def _factor(_: object, __: object, value: float) -> None:
    if not (math.isfinite(value) and 1 <= value <= 1000):
        raise ConfigurationError(f"factor: expected a number from 1 to 1000, not {value!r}")


@attrs.frozen(kw_only=True, slots=True)
class Backoff:
    """Exponential delays with jitter: ``base``, ``base × factor``, … up to ``cap``.

    Attributes:
        base: highest delay after the first attempt.
        factor: growth for each further attempt, 1 to 1000.
        cap: highest delay of all.
        jitter: how much is left to chance.
    """

    base: timedelta = attrs.field(default=timedelta(seconds=5), converter=seconds)
    factor: float = attrs.field(default=2.0, validator=_factor)
    cap: timedelta = attrs.field(default=timedelta(seconds=900), converter=seconds)
    jitter: JitterMode = attrs.field(default=JitterMode.EQUAL, converter=JitterMode)

    def highest(self, attempt: int) -> float:
        """The longest delay after *attempt*, in seconds; never falls as attempts rise."""
        steps = min(max(attempt, 1), _LAST_GROWING_ATTEMPT) - 1
        return min(self.cap.total_seconds(), self.base.total_seconds() * float(self.factor) ** steps)

    def delay(self, attempt: int, u: float) -> timedelta:
        """The delay after *attempt* (from 1) for the random number *u* in [0, 1)."""
        highest = self.highest(attempt)
        lowest = highest * self.jitter.lowest
        return timedelta(seconds=lowest + (highest - lowest) * u)


def at_least(hint: timedelta, *, limit: timedelta, u: float) -> timedelta:
    """The delay for a *hint* that somebody named: never shorter, unless over *limit*, and spread a little."""
    return min(hint, limit) * (1 + _HINT_SPREAD * u)
