"""One message as the queue in memory keeps it."""

from __future__ import annotations

from datetime import datetime

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.settlement import Settlement


@attrs.frozen(slots=True)
class Burial:
    """Why and when a message was set aside."""

    reason: str
    error: str
    at: datetime


@attrs.define(slots=True, eq=False)
class Stored:
    """One message.

    Attributes:
        order: place by arrival; kept for ever, so what comes back comes back to its place.
        state: changed by `pulpo_core.domain.lifecycle.advance` alone.
        until: end of the lease when reserved, of the delay when delayed.
        token: number of the latest reservation, the fencing token of its receipt.
        settled: how the reservation *token* was settled.
    """

    id: str
    envelope: Envelope
    order: int
    state: State
    until: float = 0.0
    attempts: int = 0
    lost: int = 0
    token: int = 0
    settled: type[Settlement] | None = None
    burial: Burial | None = None
