"""How long to wait before the next attempt: a pure function of the attempt and one random number."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Final

import attrs

from .errors import ConfigurationError
from .fields import as_span, is_number, is_span

#: From this attempt on the delay no longer grows: keeps the arithmetic small for any counter.
_LAST_GROWING_ATTEMPT: Final = 64

#: A delay that somebody named is never shortened and stretched by at most this much.
_HINT_SPREAD: Final = 0.1

#: No delay is longer, whatever the limits say, so that the moment it leads to is still in the calendar.
LONGEST_DELAY: Final = timedelta(days=365_000)


class JitterMode(StrEnum):
    """How much of a delay is left to chance."""

    NONE = "none"  # lowest = highest
    EQUAL = "equal"  # lowest = half of the highest
    FULL = "full"  # lowest = 0

    @classmethod
    def _missing_(cls, value: object) -> JitterMode:
        raise ConfigurationError(f"jitter: expected one of {', '.join(cls)}, not {value!r:.40}")

    @property
    def lowest(self) -> float:
        """The lowest delay, as a part of the highest."""
        return {JitterMode.NONE: 1.0, JitterMode.EQUAL: 0.5, JitterMode.FULL: 0.0}[self]


def read_hint(value: object) -> timedelta | None:
    """The least delay that somebody asks for, as seconds or timedelta: one reader, so that all hints are read alike.

    `None` and a negative one ask for nothing; an infinite one asks for `LONGEST_DELAY`.

    Raises:
        ConfigurationError: *value* is none of these.
    """
    span = as_span(max(min(value, LONGEST_DELAY.total_seconds()), -1) if is_number(value) else value)
    if isinstance(span, timedelta):
        return min(span, LONGEST_DELAY) if span >= timedelta() else None
    if span is None:
        return None
    raise ConfigurationError(f"delay: expected seconds or timedelta, not {value!r:.40}")


def _factor(_: object, __: object, value: object) -> None:
    if not is_number(value) or not 1 <= value <= 1000:
        raise ConfigurationError(f"factor: expected a number from 1 to 1000, not {value!r:.40}")


@attrs.frozen(kw_only=True, slots=True)
class Backoff:
    """Exponential delays with jitter: ``base``, ``base × factor``, … up to ``cap``.

    Attributes:
        base: highest delay after the first attempt.
        factor: growth for each further attempt, 1 to 1000.
        cap: highest delay of all.
        jitter: how much is left to chance.
    """

    base: timedelta = attrs.field(default=timedelta(seconds=5), converter=as_span, validator=is_span)
    factor: float = attrs.field(default=2.0, validator=_factor)
    cap: timedelta = attrs.field(default=timedelta(seconds=900), converter=as_span, validator=is_span)
    jitter: JitterMode = attrs.field(default=JitterMode.EQUAL, converter=JitterMode)

    def highest(self, attempt: int) -> float:
        """The longest delay after *attempt*, in seconds; never falls as attempts rise."""
        steps = min(max(attempt, 1), _LAST_GROWING_ATTEMPT) - 1
        cap = min(self.cap, LONGEST_DELAY).total_seconds()
        return min(cap, self.base.total_seconds() * float(self.factor) ** steps)

    def delay(self, attempt: int, u: float) -> timedelta:
        """The delay after *attempt* (from 1) for the random number *u* in [0, 1)."""
        highest = self.highest(attempt)
        lowest = highest * self.jitter.lowest
        return timedelta(seconds=lowest + (highest - lowest) * u)


def at_least(hint: timedelta, *, limit: timedelta, u: float) -> timedelta:
    """The delay for a *hint* that somebody named: never shorter, unless over *limit*, and spread a little."""
    return min(min(hint, limit, LONGEST_DELAY) * (1 + _HINT_SPREAD * u), LONGEST_DELAY)
