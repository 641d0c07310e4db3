"""What a route would do about everything that can become of a delivery: found out by asking, nothing is told by heart.

Each event is turned into an outcome by the code that does it for real deliveries, and the policy is
asked about that outcome at one attempt after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby, islice
from typing import Any, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.course import BEGINNING, LONGEST, MANY_ATTEMPTS, SHORTEST, Premises, Step, course, step
from pulpo_core.domain.decision import Tally
from pulpo_core.domain.errors import TranslationError
from pulpo_core.domain.outcome import (
    Abandoned,
    Cancelled,
    GroupFailed,
    LostLease,
    Outcome,
    TimedOut,
    Unroutable,
    Untranslatable,
)
from pulpo_core.domain.policy import Policy, guard
from pulpo_core.domain.settlement import Ack, Bury, Reason, Release, Retry, Settlement
from pulpo_core.domain.signals import BuryMessage, KeepMessage, RejectMessage, RetryMessage

from .binding import RunsIn
from .handlers import as_table
from .results import outcome_of_error, outcome_of_error_handler, outcome_of_result
from .route import Route

_INSTANT: Final = timedelta(microseconds=1)

#: After so many attempts no delay rises any more; see `Backoff`.
_RISING: Final = 64


@attrs.frozen(kw_only=True, slots=True)
class Stretch:
    """Attempts in a row that end alike.

    Attributes:
        first, last: from the how manieth attempt to the how manieth; `None` when it goes on without end.
        settlement: of the first of them; `None` when nothing is settled.
        delays: after each of them, the shortest and the longest time until the next; empty unless it is retried.
    """

    first: int
    last: int | None
    settlement: Settlement | None
    reason: Reason
    tally: Tally
    delays: Sequence[tuple[timedelta, timedelta]] = ()


@attrs.frozen(kw_only=True, slots=True)
class Prospect:
    """What becomes of a message whose every attempt ends with *event*.

    Attributes:
        event: a word, see `EVENTS`.
        detail: which exception class, which time limit.
    """

    event: str
    stretches: Sequence[Stretch]
    detail: str = ""


@attrs.frozen(kw_only=True, slots=True)
class Crash:
    """What becomes of a message whose every attempt ends with the process.

    Attributes:
        lease: after so long it is handed out again at the latest; `None` when nothing but the end of the
            connection or of the queue gives it back.
        attempts: how often it is handed to a handler; `None` for without end.
    """

    lease: timedelta | None
    attempts: int | None


@attrs.frozen(slots=True)
class _Event:
    """Something that can happen: its word, and what it is about in one route, if it can happen there."""

    word: str
    instances: Callable[[Route, Capabilities], Iterable[tuple[str, Outcome]]]
    expiration: timedelta | None = None


def _always(make: Callable[[], Outcome]) -> Callable[[Route, Capabilities], Iterable[tuple[str, Outcome]]]:
    return lambda _route, _capabilities: [("", make())]


def _returning(value: Any) -> Callable[[Route, Capabilities], Iterable[tuple[str, Outcome]]]:
    return lambda route, _: [("", outcome_of_result(value, falsy_retries=route.falsy_retries))]


def _listed(severity: str) -> Callable[[Route, Capabilities], Iterable[tuple[str, Outcome]]]:
    def instances(route: Route, _: Capabilities) -> Iterator[tuple[str, Outcome]]:
        for cls in getattr(route.policy, severity):
            if issubclass(cls, BaseExceptionGroup):
                continue  # a group is as severe as what is in it, and nothing is in one that nobody has raised
            yield cls.__qualname__, outcome_of_error(_unraised(cls))

    return instances


def _answering(answer: Any) -> Callable[[Route, Capabilities], Iterable[tuple[str, Outcome]]]:
    def instances(route: Route, _: Capabilities) -> Iterator[tuple[str, Outcome]]:
        if route.error_handler is not None:
            yield "", outcome_of_error_handler(answer, outcome_of_error(Exception()))

    return instances


def _unraised(cls: type[BaseException]) -> BaseException:
    """One of *cls* that nobody has raised, without what its constructor would want to know."""
    return BaseException.__new__(cls)


def limits_of(route: Route) -> Sequence[timedelta]:
    """Every time limit of the handlers of *route*, the shortest first."""
    return sorted({limit for bound in as_table(route.handlers) if (limit := bound.timeout or route.timeout)})


def _timed_out(route: Route, _: Capabilities) -> Iterator[tuple[str, Outcome]]:
    for limit in limits_of(route):
        yield f"{limit.total_seconds():g} s", TimedOut(limit)


def _unknown(route: Route, _: Capabilities) -> Iterator[tuple[str, Outcome]]:
    if as_table(route.handlers).find(None) is None:
        yield "", Unroutable(None)


def _in_group(_: Route, capabilities: Capabilities) -> Iterator[tuple[str, Outcome]]:
    if capabilities.groups:
        yield "", GroupFailed()


def _in_thread(route: Route, _: Capabilities) -> Iterator[tuple[str, Outcome]]:
    if any(bound.runs_in is RunsIn.THREAD for bound in as_table(route.handlers)):
        yield "", Abandoned(timedelta())


#: Everything that can happen, in the order in which people ask. A plain `Exception` stands for all that no list names.
_EVENTS: Final = (
    _Event("returned", _returning(object())),
    _Event("raised", _always(lambda: outcome_of_error(Exception()))),
    _Event("raised-fatal", _listed("fatal")),
    _Event("raised-transient", _listed("transient")),
    _Event("raised-reject", _listed("reject")),
    _Event("raised-retry-message", _always(lambda: outcome_of_error(RetryMessage()))),
    _Event("raised-bury-message", _always(lambda: outcome_of_error(BuryMessage()))),
    _Event("raised-reject-message", _always(lambda: outcome_of_error(RejectMessage()))),
    _Event("raised-keep-message", _always(lambda: outcome_of_error(KeepMessage()))),
    _Event("returned-none", _returning(None)),
    _Event("returned-false", _returning(False)),
    _Event("returned-falsy", _returning("")),
    _Event("returned-retry", _returning(Retry())),
    _Event("returned-bury", _returning(Bury())),
    _Event("returned-release", _returning(Release())),
    _Event("returned-ack", _returning(Ack())),
    _Event("error-handler-truthy", _answering(True)),
    _Event("error-handler-falsy", _answering(False)),
    _Event("timed-out", _timed_out),
    _Event("thread-abandoned", _in_thread),
    _Event("untranslatable", _always(lambda: Untranslatable(TranslationError()))),
    _Event("unroutable", _unknown),
    _Event("expired", _always(lambda: outcome_of_error(Exception())), expiration=-_INSTANT),
    _Event("would-expire", _always(lambda: outcome_of_error(Exception())), expiration=timedelta()),
    _Event("shutdown", _always(Cancelled)),
    _Event("lease-lost", _always(LostLease)),
    _Event("lease-lost-after-work", _always(lambda: LostLease(work_done=True))),
    _Event("group-failed", _in_group),
)

#: The words of `Prospect.event`.
EVENTS: Final = tuple(event.word for event in _EVENTS)


def prospects(route: Route, policy: Policy, capabilities: Capabilities) -> Sequence[Prospect]:
    """What *route* would do about each event that can happen in it.

    The classifier of the policy is not asked: what it says depends on exceptions that have not happened.

    Args:
        policy: of the route, as `policy.fit` has fitted it to the queue.
    """
    policy = attrs.evolve(policy, classify=None)
    return [
        Prospect(event=event.word, detail=detail, stretches=_stretches(policy, capabilities, outcome, event.expiration))
        for event in _EVENTS
        for detail, outcome in event.instances(route, capabilities)
    ]


def _stretches(
    policy: Policy, capabilities: Capabilities, outcome: Outcome, expiration: timedelta | None
) -> Sequence[Stretch]:
    premises = Premises(
        policy=policy,
        capabilities=capabilities,
        expiration=None if expiration is None else BEGINNING + expiration,
    )
    steps = list(islice(course(premises, lambda _: outcome, lambda: LONGEST), _most(policy)))
    alike = groupby(steps, key=lambda each: (type(each.decision.settlement), each.decision.reason, each.decision.tally))
    return [_stretch(premises, outcome, list(group)) for _, group in alike]


def _most(policy: Policy) -> int:
    """How many attempts are worth looking at: where nothing ever ends them, those after the last rise are alike."""
    ends = policy.attempts_limit < math.inf or policy.max_age is not None or policy.unroutable_grace
    return MANY_ATTEMPTS if ends else _RISING


def _stretch(premises: Premises, outcome: Outcome, steps: Sequence[Step]) -> Stretch:
    first, last = steps[0], steps[-1]
    goes_on = last.delay is not None and last.attempt == _most(premises.policy)
    return Stretch(
        first=first.attempt,
        last=None if goes_on else last.attempt,
        settlement=first.decision.settlement,
        reason=first.decision.reason,
        tally=first.decision.tally,
        delays=[(_shortest(premises, outcome, each), each.delay) for each in steps if each.delay is not None],
    )


def _shortest(premises: Premises, outcome: Outcome, longest: Step) -> timedelta:
    made = step(premises, outcome, attempt=longest.attempt, begins=longest.begins, u=SHORTEST)
    return made.delay or timedelta()


def crash(policy: Policy, capabilities: Capabilities) -> Crash:
    """What becomes of a message that ends every process which handles it, where the queue counts such attempts."""
    for attempt in range(1, MANY_ATTEMPTS):
        lost = attempt - 1
        slack = capabilities.attempt_slack
        if guard(policy, attempt=attempt, lost=lost, slack=slack, now=BEGINNING) is not None:
            return Crash(lease=capabilities.lease, attempts=lost)
    return Crash(lease=capabilities.lease, attempts=None)
