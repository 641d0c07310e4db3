"""The events that an `Observer` is told."""

from .ports.observer import (
    Alarm,
    Event,
    LeaseExtended,
    LeaseGone,
    Published,
    PublishFailed,
    Received,
    ReceiveFailed,
    RouteStarted,
    RouteStopped,
    Settled,
    SettleFailed,
    Started,
)

__all__ = [
    "Alarm",
    "Event",
    "LeaseExtended",
    "LeaseGone",
    "PublishFailed",
    "Published",
    "ReceiveFailed",
    "Received",
    "RouteStarted",
    "RouteStopped",
    "SettleFailed",
    "Settled",
    "Started",
]
