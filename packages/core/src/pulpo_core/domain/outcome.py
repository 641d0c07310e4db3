"""What came of handling one delivery, as a closed union of values.

The pipeline makes exactly one of these for each delivery, and `decision.decide` turns it into a
settlement. None of them holds the body of a message.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from .message import Message
from .settlement import FollowUp, Settlement


@attrs.frozen(slots=True)
class Handled:
    """The handler did its work; *follow_ups* are the messages it returned."""

    follow_ups: tuple[Message | FollowUp, ...] = ()


@attrs.frozen(slots=True)
class Asked:
    """The handler or the error handler named a settlement.

    Attributes:
        error: the failure behind it, if any, as text.
    """

    settlement: Settlement
    error: str = ""


@attrs.frozen(slots=True)
class Rejected:
    """The handler raised `RejectMessage`: the message is to be gone, and not as a success."""


@attrs.frozen(slots=True, eq=False)
class Failed:
    """The handler raised.

    Attributes:
        delay: the least delay that the exception asked for.
        fatal: said outright by the one who failed; the policy's classification counts otherwise.
    """

    error: BaseException
    delay: timedelta | None = None
    fatal: bool = False


@attrs.frozen(slots=True)
class TimedOut:
    """The handler ran longer than *limit* and was cancelled."""

    limit: timedelta


@attrs.frozen(slots=True, eq=False)
class Untranslatable:
    """The translator could not make a message of the envelope."""

    error: BaseException


@attrs.frozen(slots=True)
class Unroutable:
    """No handler is registered for this request type."""

    request_type: str | None


@attrs.frozen(slots=True)
class Expired:
    """The message's time was over before its handler started."""

    expiration: datetime


@attrs.frozen(slots=True)
class Exhausted:
    """Its attempts were used up before this delivery: a crash loop."""

    attempt: int
    lost: int = 0


@attrs.frozen(slots=True)
class Cancelled:
    """The worker shut down before the handler finished, or before it started."""


@attrs.frozen(slots=True)
class GroupFailed:
    """An earlier message of its group was not acknowledged, so this one must not overtake it."""


@attrs.frozen(slots=True)
class LostLease:
    """The delivery stopped being ours while it was in hand.

    Attributes:
        work_done: the handler finished its work all the same.
    """

    work_done: bool = False


@attrs.frozen(slots=True)
class Abandoned:
    """A handler did not end in time and cannot be stopped: whatever it still does, nothing is settled."""

    after: timedelta


Outcome = (
    Handled
    | Asked
    | Rejected
    | Failed
    | TimedOut
    | Untranslatable
    | Unroutable
    | Expired
    | Exhausted
    | Cancelled
    | GroupFailed
    | LostLease
    | Abandoned
)
