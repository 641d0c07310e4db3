"""How far a run has come, and whether it gets anywhere: what health checks ask."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from .pump import Pump


class Phase(StrEnum):
    """The life of a dispatcher, in this order."""

    STARTING = "starting"  # queues are being opened
    RECEIVING = "receiving"
    DRAINING = "draining"  # it was told to stop, and what runs may finish
    ENDED = "ended"


@attrs.frozen(kw_only=True, slots=True)
class Progress:
    """When a route last got anywhere. An empty queue and a broker that is away look different here.

    Attributes:
        last_receive: how long ago a receive succeeded, even if it brought nothing; `None` before the first.
        last_settled: how long ago the queue answered about settlements; `None` before the first.
        in_hand: deliveries received and not settled yet.
        running: those of them whose handler runs; the others wait for it, or for their settlement.
    """

    last_receive: timedelta | None
    last_settled: timedelta | None
    in_hand: int
    running: int


def progress_of(pump: Pump, now: float) -> Progress:
    """The progress of *pump* at *now*, in seconds of its clock."""
    return Progress(
        last_receive=_since(pump.last_receive, now),
        last_settled=_since(pump.last_settled, now),
        in_hand=len(pump.in_hand),
        running=pump.running,
    )


def _since(then: float | None, now: float) -> timedelta | None:
    return None if then is None else timedelta(seconds=now - then)
