"""What a queue holds and hands out: `Envelope` and `Delivery`.

An envelope is what lies in the queue before any translator has looked at it. A delivery is one
handing-out of it: ours for the time of a lease, and settled by its receipt, never by an id alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .message import DEFAULT_PRIORITY

_NOTHING: Mapping[str, Any] = {}


@attrs.frozen(kw_only=True, slots=False, hash=False)  # made for every message: a dictionary is filled faster
class Envelope:
    """Body bytes and broker metadata, exactly as they came from or go to the queue.

    Attributes:
        body: what the queue stores; nobody but a translator looks inside.
        uid: the publisher's identity of the message. A queue keeps it where it can (a column, a
            message attribute); a foreign message has ``<scheme>:<native id>``.
        priority: 0 first … 4294967295 last.
        not_before: aware UTC moment before which the envelope must not be handed out.
        expiration: aware UTC moment after which it need not be handed out; queues may ignore it.
        published_at: aware UTC moment of publishing, of the broker where it tells one.
        group: deliveries of one group are handed out in order, one after another (FIFO queues).
        dedup_id: a second publish with the same id within the queue's window is dropped by the queue.
        attributes: short texts a queue carries beside the body where it has room for them, such as
            the trace context; they are in the body's header too, so losing them loses nothing.
        metadata: what the broker said about the envelope at receipt, in the broker's own words.
    """

    body: bytes = attrs.field(repr=False)
    uid: str = ""
    priority: int = DEFAULT_PRIORITY
    not_before: datetime | None = None
    expiration: datetime | None = None
    published_at: datetime | None = None
    group: str | None = None
    dedup_id: str | None = None
    attributes: Mapping[str, str] = _NOTHING
    metadata: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)

    __hash__ = None  # type: ignore[assignment]  # the mappings in it have none either


@attrs.define(slots=True, eq=False)
class Lease:
    """The time for which a delivery is ours. Written by the dispatcher alone, read by anybody.

    Attributes:
        deadline: when it ends, in seconds of `Clock.monotonic`, told conservatively: counted from
            before the request that took it. ``inf`` where a lease cannot end.
        lost: it ended, or the queue said so: nothing may be settled any more. A handler that runs
            in a thread looks here, since a thread cannot be cancelled.
    """

    deadline: float
    lost: bool = False


@attrs.frozen(kw_only=True, slots=False, eq=False)  # likewise
class Delivery:
    """One handing-out of an envelope.

    Attributes:
        id: the queue's own name for the message, as text.
        attempt: deliveries since publish or kick including this one, as far as the queue counts.
        lost: how many of the earlier attempts ended without any outcome (a killed process, a
            lease that ran out), where the queue can tell; else 0.
        lease: until when it is ours.
        receipt: what the adapter needs to settle it; nobody else looks inside.
    """

    id: str
    envelope: Envelope
    attempt: int = 1
    lost: int = 0
    lease: Lease
    receipt: Any = attrs.field(default=None, repr=False)

    @property
    def lease_lost(self) -> bool:
        """Whether the delivery stopped being ours; a long handler in a thread should look now and then."""
        return self.lease.lost
