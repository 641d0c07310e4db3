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
    ReceiveRecovered,
    RouteHeld,
    RouteResumed,
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
    "ReceiveRecovered",
    "Received",
    "RouteHeld",
    "RouteResumed",
    "RouteStarted",
    "RouteStopped",
    "SettleFailed",
    "Settled",
    "Started",
]
