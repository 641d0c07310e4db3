"""The checks that are the same for every queue: a table of small functions, each telling what it found.

What depends on the kind of queue is looked at by its adapter, see `pulpo_core.Examiner`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from pulpo_cli.errors import one_line
from pulpo_cli.units import plural, span
from pulpo_core import (
    Capabilities,
    ConfigurationError,
    Diagnosis,
    InvalidURL,
    Level,
    PermissionDenied,
    Policy,
    PulpoError,
    QueueNotFound,
    Route,
    Unavailable,
    UnknownScheme,
    Usage,
    as_table,
)
from pulpo_core.foresight import MAX_HOLD, Premises, fit, horizon, limits_of

#: No message has been published before pulpo was there: a clock that says so was never set.
_EARLIEST: Final = datetime(2026, 1, 1, tzinfo=UTC)

#: What to do about an error, by its class; the first that fits.
_ADVICE: Final[Sequence[tuple[type[PulpoError], str]]] = (
    (QueueNotFound, "create it: pulpo queue create --queue URL"),
    (PermissionDenied, "give the user or the credentials in use the permission that is named"),
    (UnknownScheme, "install the adapter, or correct the URL"),
    (InvalidURL, "correct the URL"),
    (Unavailable, "start the broker, or correct host and port"),
)


def diagnosis_of(error: PulpoError, check: str) -> Diagnosis:
    """What *error*, met while looking at *check*, says."""
    advice = next((advice for cls, advice in _ADVICE if isinstance(error, cls)), "")
    return Diagnosis(check=check, level=Level.ERROR, found=one_line(str(error)), advice=advice)


@attrs.frozen(kw_only=True)
class Opened:
    """A route whose queue could be opened.

    Attributes:
        grace: how long handlers may go on after a signal.
    """

    route: Route
    capabilities: Capabilities
    grace: timedelta

    @property
    def policy(self) -> Policy:
        """The route's, as the queue can honour it; as it is, where the queue cannot."""
        try:
            return fit(self.route.policy, self.capabilities)
        except ConfigurationError:
            return self.route.policy

    @property
    def limits(self) -> Sequence[timedelta]:
        """The time limits of its handlers, the shortest first."""
        return limits_of(self.route)

    @property
    def usage(self) -> Usage:
        """What the route means to do with its queue."""
        takes = self.limits[-1] if self.limits else timedelta()
        premises = Premises(policy=self.policy, capabilities=self.capabilities, takes=takes)
        limit = self.policy.attempts_limit
        return Usage(horizon=horizon(premises), max_attempts=None if math.isinf(limit) else int(limit))


Check = Callable[[Opened], Iterator[Diagnosis]]


def _handlers(opened: Opened) -> Iterator[Diagnosis]:
    table = as_table(opened.route.handlers)
    default = ", and one for every other type" if table.default is not None else ""
    found = f"{plural(len(table.by_type), 'request type')}{default}"
    yield Diagnosis(check="handlers", level=Level.OK, found=found)


def _redrive(opened: Opened) -> Iterator[Diagnosis]:
    try:
        fitted = fit(opened.route.policy, opened.capabilities)
    except ConfigurationError as error:
        found, _, advice = one_line(str(error)).rpartition(": ")
        yield Diagnosis(check="attempts", level=Level.ERROR, found=found, advice=advice)
        return
    limit = fitted.attempts_limit
    told = "unlimited" if math.isinf(limit) else f"{limit:g}, then buried"
    if math.isinf(limit) and fitted.max_age is None:
        advice = "set max_attempts, or max_age, so that a message that always fails is set aside some day"
        yield Diagnosis(check="attempts", level=Level.WARNING, found=told, advice=advice)
    else:
        yield Diagnosis(check="attempts", level=Level.OK, found=told)


def _needs(opened: Opened) -> Iterator[Diagnosis]:
    for name in opened.route.needs:
        if not getattr(opened.capabilities, name):
            yield Diagnosis(
                check="needs",
                level=Level.ERROR,
                found=f"the route needs {name}, which its queue does not offer",
                advice="take another queue, or leave it out of needs",
            )


def _lease(opened: Opened) -> Iterator[Diagnosis]:
    lease, limits = opened.capabilities.lease, opened.limits
    if lease is None or not limits or limits[-1] <= lease:
        yield Diagnosis(check="lease", level=Level.OK, found="does not end" if lease is None else span(lease))
        return
    yield Diagnosis(
        check="lease",
        level=Level.WARNING,
        found=f"{span(lease)}, shorter than the time limit of a handler, {span(limits[-1])}: it is extended meanwhile,"
        " but a worker that stalls for longer loses the message to another",
        advice="a longer lease in the URL, or a shorter timeout",
    )


def _time_limits(opened: Opened) -> Iterator[Diagnosis]:
    longest = min(MAX_HOLD, opened.capabilities.max_hold or MAX_HOLD)
    unlimited = any((bound.timeout or opened.route.timeout) is None for bound in as_table(opened.route.handlers))
    if opened.limits and opened.limits[-1] > longest:
        yield Diagnosis(
            check="timeout",
            level=Level.ERROR,
            found=f"{span(opened.limits[-1])}, but a message is kept for {span(longest)} at most",
            advice=f"a timeout below {span(longest)}",
        )
    elif unlimited:
        yield Diagnosis(
            check="timeout",
            level=Level.WARNING,
            found=f"none: a handler that hangs holds its slot for {span(longest)}",
            advice="give the route a timeout",
        )
    else:
        yield Diagnosis(check="timeout", level=Level.OK, found=span(opened.limits[-1]))


def _grace(opened: Opened) -> Iterator[Diagnosis]:
    wait = min(opened.route.wait, opened.capabilities.max_wait)
    if not opened.capabilities.prompt_interrupt and wait >= opened.grace:
        yield Diagnosis(
            check="grace",
            level=Level.ERROR,
            found=f"{span(opened.grace)}, but a receive that cannot be interrupted waits for {span(wait)}",
            advice="a shorter wait, or a longer grace",
        )
    elif opened.limits and opened.limits[-1] > opened.grace:
        yield Diagnosis(
            check="grace",
            level=Level.WARNING,
            found=f"{span(opened.grace)}, shorter than the time limit of a handler: a deployment cuts those that take"
            " longer, and they begin anew",
            advice="a longer grace, here and where the process is managed",
        )
    else:
        yield Diagnosis(check="grace", level=Level.OK, found=span(opened.grace))


#: What is looked at in every route whose queue could be opened.
CHECKS: Final[Sequence[Check]] = (_handlers, _redrive, _needs, _lease, _time_limits, _grace)


def check_clock(now: datetime) -> Diagnosis:
    """Whether *now* can be."""
    if now < _EARLIEST:
        return Diagnosis(
            check="clock",
            level=Level.ERROR,
            found=f"{now:%Y-%m-%d %H:%M} UTC, which has passed",
            advice="let this host's clock be set over the network",
        )
    return Diagnosis(check="clock", level=Level.OK, found=f"{now:%Y-%m-%d %H:%M} UTC")
