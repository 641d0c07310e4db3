"""When a route receives no more for a while: `RateLimit` and `Breaker`, and the state each keeps.

Both are pure: the moment is an argument, in seconds of a clock that never goes back.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

import attrs

from .decision import Decision, Tally
from .errors import ConfigurationError
from .fields import as_span, is_span, whole_from
from .settlement import Reason

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE: Final = re.compile(r"\s*(\d{1,12})\s*/\s*(\d{1,12})?\s*([smhd])\s*", re.ASCII)

#: A handler could not do its work: what it needs may be down.
_FAILURES: Final = frozenset({Reason.FAILED, Reason.TIMED_OUT, Reason.ATTEMPTS_EXHAUSTED})

#: How far below a whole message rounding may leave a bucket that has refilled to just that message.
_ROUNDING: Final = 1e-9


def _longer_than_nothing(_: object, attribute: attrs.Attribute[Any], value: timedelta) -> None:
    if not value:
        raise ConfigurationError(f"{attribute.name}: expected a time span longer than 0")


@attrs.frozen(slots=True)
class RateLimit:
    """So many messages in so much time: *count* at once, after a rest, and evenly then.

    Attributes:
        count: messages, from 1.
        per: seconds or timedelta; one second unless given.
    """

    count: int = attrs.field(validator=whole_from(1))
    per: timedelta = attrs.field(
        default=timedelta(seconds=1),
        converter=as_span,
        validator=[is_span, _longer_than_nothing],
    )

    @classmethod
    def of(cls, value: RateLimit | str) -> RateLimit:
        """*value*, or what it says as text: ``100/s``, ``30/m``, ``5/10s``; units are s, m, h and d.

        Raises:
            ConfigurationError: it says nothing of that kind.
        """
        if isinstance(value, RateLimit):
            return value
        match = _RATE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise ConfigurationError(f"rate_limit: expected a text such as 100/s or 5/10s, not {value!r:.40}")
        count, spans, unit = match.groups()
        return cls(int(count), int(spans or 1) * _UNITS[unit])

    def __str__(self) -> str:
        return f"{self.count}/{self.per.total_seconds():g}s"


@attrs.frozen(slots=True)
class Breaker:
    """Stops receiving when handlers do nothing but fail, since what they all need is probably down.

    After *failures* in a row nothing is received for *pause*. Then one message is tried: if it is
    handled all goes on, and if it fails the pause begins anew. Messages that are themselves at
    fault, unreadable or failed for good, say nothing either way.

    Attributes:
        failures: failed and timed-out handlings in a row, from 1.
        pause: seconds or timedelta.
    """

    failures: int = attrs.field(default=5, validator=whole_from(1))
    pause: timedelta = attrs.field(
        default=timedelta(seconds=30),
        converter=as_span,
        validator=[is_span, _longer_than_nothing],
    )


@attrs.define(slots=True)
class Bucket:
    """How much a `RateLimit` allows at the moment."""

    limit: RateLimit
    _left: float = attrs.field(init=False)
    _as_of: float = attrs.field(init=False, default=-math.inf)

    def __attrs_post_init__(self) -> None:
        self._left = self.limit.count

    def allows(self, now: float) -> int:
        """How many messages may be received now."""
        if now > self._as_of:
            grown = (now - self._as_of) * self._each_second if math.isfinite(self._as_of) else 0.0
            self._left = min(self._left + grown, float(self.limit.count))
            self._as_of = now
        return max(int(self._left + _ROUNDING), 0)

    def took(self, count: int) -> None:
        """So many were received."""
        self._left -= count

    def wait(self) -> float:
        """Seconds from the last look until there is one more; 0 when there is one."""
        return max(1 - self._left, 0.0) / self._each_second

    @property
    def _each_second(self) -> float:
        return self.limit.count / self.limit.per.total_seconds()


class CircuitState(Enum):
    """Of a breaker."""

    CLOSED = auto()  # messages flow
    OPEN = auto()  # nothing is received until its pause is over
    TRYING = auto()  # one message is tried


@attrs.define(slots=True)
class Circuit:
    """What a `Breaker` allows at the moment.

    Attributes:
        state: of it.
    """

    breaker: Breaker
    state: CircuitState = CircuitState.CLOSED
    _failures: int = 0
    _until: float = 0.0
    _tried: bool = False

    def allows(self, now: float) -> float:
        """How many messages may be received now."""
        if self.state is CircuitState.OPEN and now >= self._until:
            self.state, self._tried = CircuitState.TRYING, False
        if self.state is CircuitState.TRYING:
            return 0 if self._tried else 1
        return math.inf if self.state is CircuitState.CLOSED else 0

    def took(self, count: int) -> None:
        """So many were received."""
        self._tried = self._tried or (self.state is CircuitState.TRYING and count > 0)

    def wait(self, now: float) -> float:
        """Seconds until it allows one by itself; infinite when that depends on the message being tried."""
        return self._until - now if self.state is CircuitState.OPEN else math.inf

    def note(self, decision: Decision, now: float) -> bool:
        """Take note of how a delivery was handled; whether the state has changed by that."""
        if decision.reason in _FAILURES:
            return self._failed(now)
        if decision.tally is Tally.ACKED:
            return self._worked()
        changed = self.state is CircuitState.TRYING and self._tried
        self._tried = False  # it said nothing: the next one may be tried
        return changed

    def _failed(self, now: float) -> bool:
        self._failures += 1
        if self.state is CircuitState.OPEN or (
            self.state is CircuitState.CLOSED and self._failures < self.breaker.failures
        ):
            return False
        self.state, self._until = CircuitState.OPEN, now + self.breaker.pause.total_seconds()
        return True

    def _worked(self) -> bool:
        self._failures = 0
        if self.state is not CircuitState.TRYING:
            return False
        self.state = CircuitState.CLOSED
        return True
