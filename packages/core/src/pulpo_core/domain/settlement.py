"""What is done with a delivery: `Ack`, `Retry`, `Bury` or `Release`.

A handler may return any of these to say outright what it wants; the policy chooses one otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

import attrs

from .backoff import read_hint
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
    ABANDONED = "abandoned"


@attrs.frozen(slots=True)
class FollowUp:
    """A message for another queue than the one whose delivery it follows.

    Attributes:
        queue: the URL of the other queue.
    """

    message: Message
    queue: str


def _messages(value: Iterable[Message | FollowUp]) -> tuple[Message | FollowUp, ...]:
    return tuple(value)


@attrs.frozen(slots=True)
class Ack:
    """Done: take it out of the queue.

    Attributes:
        follow_ups: messages to publish with it. They are in the queue before the acknowledged one
            is out of it, in one transaction where the queue can do that.
    """

    follow_ups: tuple[Message | FollowUp, ...] = attrs.field(default=(), converter=_messages)


@attrs.frozen(slots=True)
class Retry:
    """Hand it out again, not before *delay* has passed; the attempt counts.

    Attributes:
        delay: seconds or timedelta; `None`, or less than 0, leaves the delay to the policy's backoff.
        error: what went wrong, for those who look at the queue meanwhile.
    """

    delay: timedelta | None = attrs.field(default=None, converter=read_hint)
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
