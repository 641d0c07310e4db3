"""What happened, as typed events for logs, metrics and traces.

Events are frozen values without bodies. An observer is called in the event loop and must not
block; one that raises is logged and otherwise ignored. Without observers no event is made.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol

import attrs

from pulpo_core.domain.decision import Tally
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.message import Message
from pulpo_core.domain.settlement import Reason, Settlement


@attrs.frozen(kw_only=True, slots=True, eq=False)
class RouteStarted:
    """A route is open and receives."""

    route: str


@attrs.frozen(kw_only=True, slots=True, eq=False)
class RouteStopped:
    """A route has settled what it could and is closed."""

    route: str


@attrs.frozen(kw_only=True, slots=True, eq=False)
class RouteHeld:
    """A route receives no more for a while.

    Attributes:
        cause: ``paused``, by a person, or ``breaker``, since its handlers do nothing but fail.
        duration: for how long; `None` until a person says otherwise.
    """

    route: str
    cause: str
    duration: timedelta | None


@attrs.frozen(kw_only=True, slots=True, eq=False)
class RouteResumed:
    """A route that was held receives again."""

    route: str


@attrs.frozen(kw_only=True, slots=True, eq=False)
class Received:
    """A delivery came in."""

    route: str
    delivery: Delivery


@attrs.frozen(kw_only=True, slots=True, eq=False)
class Started:
    """A handler is about to run; if it needs a thread or a process, there is one for it."""

    route: str
    delivery: Delivery
    message: Message


@attrs.frozen(kw_only=True, slots=True, eq=False)
class Settled:
    """A delivery is settled, and the queue has confirmed it; or it is left alone (*settlement* `None`).

    Attributes:
        request_type: `None` when the envelope could not be translated.
        elapsed: from receipt to this settlement.
        handling: what its handler took of that; `None` when none ran.
        error: the failure behind it as one line, else empty.
    """

    route: str
    delivery: Delivery
    request_type: str | None
    settlement: Settlement | None
    reason: Reason
    tally: Tally
    elapsed: timedelta
    handling: timedelta | None = None
    error: str = ""


@attrs.frozen(kw_only=True, slots=True, eq=False)
class LeaseExtended:
    """Leases were extended, *count* at once."""

    route: str
    count: int


@attrs.frozen(kw_only=True, slots=True, eq=False)
class LeaseGone:
    """A delivery stopped being ours while it was in hand."""

    route: str
    delivery: Delivery


@attrs.frozen(kw_only=True, slots=True, eq=False)
class ReceiveFailed:
    """A receive failed for now; the next one comes after *delay*."""

    route: str
    error: BaseException
    delay: timedelta


@attrs.frozen(kw_only=True, slots=True, eq=False)
class ReceiveRecovered:
    """A receive succeeded, whether or not it brought anything, after *failures* in a row that did not."""

    route: str
    failures: int


@attrs.frozen(kw_only=True, slots=True, eq=False)
class SettleFailed:
    """A settlement was not confirmed; *final* when it will not be tried again."""

    route: str
    delivery: Delivery
    error: BaseException
    final: bool


@attrs.frozen(kw_only=True, slots=True, eq=False)
class Alarm:
    """Something a person should look at: user code that policy asked for failed, a hook raised."""

    route: str
    text: str


@attrs.frozen(kw_only=True, slots=True, eq=False)
class Published:
    """A message is in a queue.

    Attributes:
        queue: the URL of the queue.
        message: with its id, unless it was published together with an acknowledgement.
    """

    queue: str
    message: Message


@attrs.frozen(kw_only=True, slots=True, eq=False)
class PublishFailed:
    """A message is not in the queue that *queue* names, or may not be."""

    queue: str
    message: Message
    error: BaseException


Event = (
    RouteStarted
    | RouteStopped
    | RouteHeld
    | RouteResumed
    | Received
    | Started
    | Settled
    | LeaseExtended
    | LeaseGone
    | ReceiveFailed
    | ReceiveRecovered
    | SettleFailed
    | Alarm
    | Published
    | PublishFailed
)


class Observer(Protocol):
    """Is told what happens."""

    def __call__(self, event: Event) -> None:
        """Take note of *event*, quickly."""
        ...
