"""What is done with a delivery: `Ack`, `Retry`, `Bury` or `Release`.

A handler may return any of these to say outright what it wants; the policy chooses one otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

import attrs

from .errors import ConfigurationError
from .message import Message


class Reason(StrEnum):
    """Why a delivery was settled as it was: a closed list of words, used in queues, logs and commands."""

    HANDLED = "handled"
    ASKED = "asked"
    REJECTED = "rejected"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    FATAL = "fatal"
    ATTEMPTS_EXHAUSTED = "attempts-exhausted"
    UNTRANSLATABLE = "untranslatable"
    NO_HANDLER = "no-handler"
    EXPIRED = "expired"
    WOULD_EXPIRE = "would-expire"
    MAX_AGE = "max-age"
    SHUTDOWN = "shutdown"
    LATE_ACK = "late-ack"
    LEASE_LOST = "lease-lost"
    GROUP_FAILED = "group-failed"


def _messages(value: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(value)


@attrs.frozen(slots=True)
class Ack:
    """Done: take it out of the queue.

    Attributes:
        follow_ups: messages to publish with it. They are in the queue before the acknowledged one
            is out of it, in one transaction where the queue can do that.
    """

    follow_ups: tuple[Message, ...] = attrs.field(default=(), converter=_messages)


def _delay(value: object) -> timedelta | None:
    """Seconds or timedelta; what a person may have meant is kept, what nobody can have meant is refused."""
    if value is None or isinstance(value, timedelta):
        return None if value is None else max(value, timedelta())
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value):
        try:
            return timedelta(seconds=max(value, 0))
        except OverflowError:
            return timedelta.max
    raise ConfigurationError(f"delay: expected seconds or timedelta, not {value!r:.40}")


@attrs.frozen(slots=True)
class Retry:
    """Hand it out again, not before *delay* has passed; the attempt counts.

    Attributes:
        delay: seconds or timedelta; `None` leaves the delay to the policy's backoff.
        error: what went wrong, for those who look at the queue meanwhile.
    """

    delay: timedelta | None = attrs.field(default=None, converter=_delay)
    error: str = ""


@attrs.frozen(slots=True)
class Bury:
    """Set it aside with its reason until somebody kicks or deletes it.

    Attributes:
        reason: one of `Reason`, or the user's own words.
        error: the last error as text, without the body of the message.
    """

    reason: str = Reason.ASKED.value
    error: str = ""


@attrs.frozen(slots=True)
class Release:
    """Give it back at once: nobody's fault, ready for another worker."""


#: Everything that can be done with a delivery.
Settlement = Ack | Retry | Bury | Release

SETTLEMENTS: tuple[type[Settlement], ...] = (Ack, Retry, Bury, Release)
