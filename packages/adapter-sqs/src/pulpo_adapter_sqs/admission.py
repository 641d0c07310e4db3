"""Deliveries of received messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from pulpo_core import Delivery, Lease

from .channel import Channel
from .codec import decode, receives
from .hops import Hops
from .receipt import Receipt


@attrs.frozen(slots=True, eq=False)
class Admission:
    """Makes deliveries of what a poll has brought; what came before its time is sent on instead."""

    _visibility: int
    _hops: Hops

    def __call__(self, channel: Channel, messages: Sequence[Mapping[str, Any]], taken_at: float) -> Sequence[Delivery]:
        """The deliveries to hand out of *messages*, whose leases run from *taken_at* on."""
        deadline = taken_at + self._visibility
        deliveries = [_delivery(channel, message, taken_at, deadline) for message in messages]
        return self._hops.send_on_early(channel, deliveries)


def _delivery(channel: Channel, message: Mapping[str, Any], taken_at: float, deadline: float) -> Delivery:
    envelope, extras = decode(message)
    return Delivery(
        id=message["MessageId"],
        envelope=envelope,
        attempt=extras.attempts_base + receives(message),
        lease=Lease(deadline),
        receipt=Receipt(channel=channel, message=message, extras=extras, taken_at=taken_at, deadline=deadline),
    )
