"""The one observer that is always there: tells the standard library's logging what happened.

pulpo never configures logging. Per delivery there is a line at INFO; what a person should look at
is a WARNING. Bodies are never logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pulpo_core.domain.wording import error_text
from pulpo_core.ports.observer import (
    Alarm,
    Event,
    LeaseGone,
    ReceiveFailed,
    ReceiveRecovered,
    RouteHeld,
    RouteResumed,
    RouteStarted,
    RouteStopped,
    Settled,
    SettleFailed,
)

log = logging.getLogger("pulpo.dispatcher")


class LogObserver:
    """Writes events to the logger ``pulpo.dispatcher``, with their facts in ``extra`` as ``pulpo_…``.

    Args:
        queues: the queue of each route, for those who read the facts.
    """

    def __init__(self, queues: Mapping[str, str] | None = None) -> None:
        self._queues = queues or {}

    @staticmethod
    def wants_deliveries() -> bool:
        """Whether lines for single deliveries would be seen by anybody."""
        return log.isEnabledFor(logging.INFO)

    def __call__(self, event: Event) -> None:
        """Log *event*, if it is worth a line."""
        match event:
            case Settled():
                if self.wants_deliveries():
                    _settled(event, self._queues.get(event.route))
            case ReceiveFailed(route=route, error=error, delay=delay):
                _warn(route, "receive failed, next in %.1f s: %s", delay.total_seconds(), error_text(error))
            case ReceiveRecovered(route=route, failures=failures):
                _warn(route, "receiving works again, after %d %s", failures, "failure" if failures == 1 else "failures")
            case SettleFailed(route=route, delivery=delivery, error=error, final=final):
                again = "" if final else ", will be repeated"
                _warn(route, "settling %s failed%s: %s", delivery.id, again, error_text(error), id=delivery.id)
            case LeaseGone(route=route, delivery=delivery):
                _warn(route, "the lease of %s is lost; another worker may have it", delivery.id, id=delivery.id)
            case Alarm(route=route, text=text):
                _warn(route, "%s", text)
            case RouteHeld(route=route, cause=cause, duration=duration):
                span = f" for {duration.total_seconds():g} s" if duration else ""
                _warn(route, "receives nothing%s (%s)", span, cause)
            case RouteResumed(route=route):
                _warn(route, "receives again")
            case RouteStarted(route=route):
                log.info("%s: receiving", route, extra=_facts(route=route))
            case RouteStopped(route=route):
                log.info("%s: stopped", route, extra=_facts(route=route))
            case _:
                pass


def _warn(route: str, text: str, *values: object, **facts: Any) -> None:
    log.warning(f"%s: {text}", route, *values, extra=_facts(route=route, **facts))


def _settled(event: Settled, queue: str | None) -> None:
    duration = None if event.handling is None else _milliseconds(event.handling)
    log.info(
        "%s: %s %s attempt %d %s (%s)%s%s",
        event.route,
        event.request_type or "-",
        event.delivery.id,
        event.delivery.attempt,
        event.tally,
        event.reason,
        "" if duration is None else f" in {duration:.1f} ms",
        f": {event.error}" if event.error else "",
        extra=_facts(
            route=event.route,
            queue=queue,
            id=event.delivery.id,
            uid=event.delivery.envelope.uid,
            type=event.request_type,
            attempt=event.delivery.attempt,
            settlement=str(event.tally),
            reason=str(event.reason),
            duration_ms=duration,
            elapsed_ms=_milliseconds(event.elapsed),
            error=event.error,
        ),
    )


def _milliseconds(value: timedelta) -> float:
    return round(value.total_seconds() * 1000, 3)


def _facts(**facts: Any) -> dict[str, Any]:
    return {f"pulpo_{name}": value for name, value in facts.items()}
