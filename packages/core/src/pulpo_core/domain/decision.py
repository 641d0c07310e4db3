"""Outcome → settlement: the decision table, and the machine that reads it.

Theory of operation. Three pure functions, called in this order for each delivery:

1. `policy.guard`, before the handler: may it run at all?
2. `decide`, after it: the first matching row of `TABLE` names a verdict; where the verdict is
   `AGAIN`, the first matching row of `AGAIN_TABLE` says whether there is an again.
3. `planning.plan`, last: fits the settlement to what the queue can do.

The rows are the rules: the documentation and ``pulpo explain`` print them, and nothing decides
beside them. Time and chance are arguments, so equal inputs give equal decisions, and the body of
a message is not an input at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import attrs

from .backoff import at_least, read_hint
from .outcome import (
    Abandoned,
    Asked,
    Cancelled,
    Exhausted,
    Expired,
    Failed,
    GroupFailed,
    Handled,
    LostLease,
    Outcome,
    Rejected,
    TimedOut,
    Unroutable,
    Untranslatable,
)
from .policy import OnExpired, Policy, Severity
from .settlement import Ack, Bury, Reason, Release, Retry, Settlement
from .wording import error_of, error_text


@attrs.frozen(kw_only=True, slots=True)
class Situation:
    """What a decision depends on beside the outcome.

    Attributes:
        attempt: deliveries of this message, this one included.
        now: the moment of the decision, aware UTC.
        expiration: until when the message is of use, if said.
        published_at: when it was published, if known.
        late_ack: whether the queue acknowledges safely after the lease ended.
    """

    attempt: int
    now: datetime
    expiration: datetime | None = None
    published_at: datetime | None = None
    late_ack: bool = False


class Tally(StrEnum):
    """The column of the ledger in which a delivery is counted once it is no longer in hand."""

    ACKED = "acked"
    RETRIED = "retried"
    BURIED = "buried"
    RELEASED = "released"
    DROPPED = "dropped"
    LEASE_LOST = "lease_lost"
    IN_DOUBT = "in_doubt"
    DEFERRED = "deferred"


@attrs.frozen(slots=True)
class Decision:
    """What to do with a delivery, why, and where to count it.

    Attributes:
        settlement: `None` leaves the delivery alone: it is not ours any more.
        alarm: the policy's own hook failed; the text says how.
    """

    settlement: Settlement | None
    reason: Reason
    tally: Tally
    alarm: str = ""


@attrs.define
class Case:
    """One decision in the making: the inputs, and what follows from them when a row asks for it."""

    policy: Policy
    outcome: Any  # the row that looks at it knows its class
    situation: Situation
    u: float
    alarm: str = ""

    @cached_property
    def opinion(self) -> tuple[Severity, timedelta | None]:
        """Severity of a failure, and the least delay before the next attempt."""
        severity, delay = self._classified(self.outcome.error)
        if self.outcome.fatal:
            severity = Severity.FATAL
        hints = [hint for hint in (delay, self.outcome.delay) if hint is not None and hint >= timedelta()]
        return severity, max(hints, default=None)

    def _classified(self, error: BaseException) -> tuple[Severity, timedelta | None]:
        if isinstance(error, BaseExceptionGroup):
            return _worst([self._classified(each) for each in error.exceptions])
        answer = self._ask_classifier(error)
        if answer is None:
            return self.policy.listed_severity(error), None
        return (answer, None) if isinstance(answer, Severity) else (Severity.TRANSIENT, answer)

    def _ask_classifier(self, error: BaseException) -> Severity | timedelta | None:
        if self.policy.classify is None:
            return None
        try:
            return _as_opinion(self.policy.classify(error))
        except Exception as broken:  # noqa: BLE001 - it is the user's, and may raise anything
            self.alarm = f"classifier failed: {error_text(broken)}"
            return Severity.TRANSIENT  # a hook that is broken must not bury anything

    @cached_property
    def hint(self) -> timedelta | None:
        """The least delay that somebody asked for."""
        if isinstance(self.outcome, Asked) and isinstance(self.outcome.settlement, Retry):
            return self.outcome.settlement.delay
        return self.opinion[1] if isinstance(self.outcome, Failed) else None

    @cached_property
    def delay(self) -> timedelta:
        """How long to wait before the next attempt."""
        if self.hint is not None:
            return at_least(self.hint, limit=self.policy.max_hint, u=self.u)
        return self.policy.backoff.delay(self.situation.attempt, self.u)

    @property
    def next_start(self) -> datetime:
        return self.situation.now + self.delay

    @property
    def in_grace(self) -> bool:
        published, grace = self.situation.published_at, self.policy.unroutable_grace
        if not grace or self.exhausted:
            return False
        return published is None or self.next_start - published <= grace

    @property
    def exhausted(self) -> bool:
        return self.situation.attempt >= self.policy.attempts_limit

    @property
    def error(self) -> str:
        return error_of(self.outcome)


_SEVEREST_FIRST: Final = (Severity.FATAL, Severity.TRANSIENT, Severity.REJECT)


def _worst(opinions: list[tuple[Severity, timedelta | None]]) -> tuple[Severity, timedelta | None]:
    severity = min((severity for severity, _ in opinions), key=_SEVEREST_FIRST.index)
    return severity, max((delay for _, delay in opinions if delay is not None), default=None)


def _as_opinion(answer: object) -> Severity | timedelta | None:
    return Severity(answer) if isinstance(answer, str) else read_hint(answer)


class Verdict(StrEnum):
    """The second column of the table."""

    ACK = "Ack"
    ASKED = "as asked"
    AGAIN = "again"
    BURY = "Bury"
    DROP_OR_BURY = "Bury, or drop if the policy says so"
    RELEASE = "Release"
    LEAVE = "nothing to settle"


@attrs.frozen(slots=True)
class Row:
    """One row: when *outcome* came about and *when* holds, then *verdict* for *reason*."""

    outcome: type[Outcome]
    verdict: Verdict
    reason: Reason
    when: Callable[[Case], bool] | None = None
    condition: str = ""


def _asked(*kinds: type[Settlement]) -> Callable[[Case], bool]:
    return lambda case: isinstance(case.outcome.settlement, kinds)


def _severity(severity: Severity) -> Callable[[Case], bool]:
    return lambda case: case.opinion[0] is severity


TABLE: Final[tuple[Row, ...]] = (
    Row(Handled, Verdict.ACK, Reason.HANDLED),
    Row(Asked, Verdict.AGAIN, Reason.ASKED, _asked(Retry), "asked for Retry"),
    Row(Asked, Verdict.ASKED, Reason.ASKED, None, "asked for Ack, Bury or Release"),
    Row(Rejected, Verdict.ACK, Reason.REJECTED),
    Row(Failed, Verdict.BURY, Reason.FATAL, _severity(Severity.FATAL), "fatal by class, classifier or word"),
    Row(Failed, Verdict.ACK, Reason.REJECTED, _severity(Severity.REJECT), "classified as reject"),
    Row(Failed, Verdict.AGAIN, Reason.FAILED, None, "transient"),
    Row(TimedOut, Verdict.AGAIN, Reason.TIMED_OUT),
    Row(Untranslatable, Verdict.BURY, Reason.UNTRANSLATABLE),
    Row(
        Unroutable,
        Verdict.AGAIN,
        Reason.NO_HANDLER,
        lambda case: case.in_grace,
        "attempts left, within unroutable_grace",
    ),
    Row(Unroutable, Verdict.BURY, Reason.NO_HANDLER),
    Row(Expired, Verdict.DROP_OR_BURY, Reason.EXPIRED),
    Row(Exhausted, Verdict.BURY, Reason.ATTEMPTS_EXHAUSTED),
    Row(Cancelled, Verdict.RELEASE, Reason.SHUTDOWN),
    Row(GroupFailed, Verdict.RELEASE, Reason.GROUP_FAILED),
    Row(
        LostLease,
        Verdict.ACK,
        Reason.LATE_ACK,
        lambda case: case.outcome.work_done and case.situation.late_ack,
        "work done, and a late Ack is safe on this queue",
    ),
    Row(LostLease, Verdict.LEAVE, Reason.LEASE_LOST),
    Row(Abandoned, Verdict.LEAVE, Reason.ABANDONED),
)


@attrs.frozen(slots=True)
class AgainRow:
    """One row of the second table: what becomes of a verdict `AGAIN`; *reason* `None` keeps the first one's."""

    verdict: Verdict
    reason: Reason | None
    when: Callable[[Case], bool] | None
    condition: str


def _would_expire(case: Case) -> bool:
    expiration = case.situation.expiration
    return expiration is not None and case.next_start > expiration


def _too_old(case: Case) -> bool:
    published, max_age = case.situation.published_at, case.policy.max_age
    return published is not None and max_age is not None and case.next_start - published > max_age


AGAIN_TABLE: Final[tuple[AgainRow, ...]] = (
    AgainRow(Verdict.BURY, Reason.ATTEMPTS_EXHAUSTED, lambda case: case.exhausted, "attempt ≥ max_attempts"),
    AgainRow(Verdict.DROP_OR_BURY, Reason.WOULD_EXPIRE, _would_expire, "it would start after its expiration"),
    AgainRow(Verdict.BURY, Reason.MAX_AGE, _too_old, "it would start later than max_age after publishing"),
    AgainRow(Verdict.AGAIN, None, None, "otherwise: Retry(backoff, or the delay that was asked for)"),
)

_ROWS_OF: Final = {
    outcome: tuple(row for row in TABLE if row.outcome is outcome) for outcome in (row.outcome for row in TABLE)
}
_HANDLED: Final = Decision(Ack(), Reason.HANDLED, Tally.ACKED)


def decide(policy: Policy, outcome: Outcome, situation: Situation, u: float) -> Decision:
    """What to do with a delivery that ended in *outcome*. Total: never raises, whatever user hooks do.

    Args:
        u: a random number in [0, 1), the only chance there is.
    """
    if type(outcome) is Handled and not outcome.follow_ups:
        return _HANDLED  # the first row of the table, without the walk: nearly every message goes this way
    case = Case(policy, outcome, situation, u)
    row = next(row for row in _ROWS_OF[type(outcome)] if row.when is None or row.when(case))
    verdict, reason = row.verdict, row.reason
    if verdict is Verdict.AGAIN:
        again = next(row for row in AGAIN_TABLE if row.when is None or row.when(case))
        verdict, reason = again.verdict, again.reason or reason
    return _DECIDERS[verdict](case, reason)


def _ack(case: Case, reason: Reason) -> Decision:
    follow_ups = case.outcome.follow_ups if isinstance(case.outcome, Handled) else ()
    return Decision(Ack(follow_ups), reason, Tally.ACKED, case.alarm)


def _bury(case: Case, reason: Reason) -> Decision:
    return Decision(Bury(reason.value, case.error), reason, Tally.BURIED, case.alarm)


def _drop_or_bury(case: Case, reason: Reason) -> Decision:
    if case.policy.on_expired is OnExpired.DROP:
        return Decision(Ack(), reason, Tally.DROPPED, case.alarm)
    return _bury(case, reason)


def _retry(case: Case, reason: Reason) -> Decision:
    return Decision(Retry(case.delay, case.error), reason, Tally.RETRIED, case.alarm)


def _release(case: Case, reason: Reason) -> Decision:
    return Decision(Release(), reason, Tally.RELEASED, case.alarm)


def _leave(case: Case, reason: Reason) -> Decision:
    return Decision(None, reason, Tally.LEASE_LOST, case.alarm)


_TALLY_OF: Final = {Ack: Tally.ACKED, Bury: Tally.BURIED, Release: Tally.RELEASED}


def _as_asked(case: Case, reason: Reason) -> Decision:
    settlement = case.outcome.settlement
    if isinstance(settlement, Bury):
        settlement = attrs.evolve(settlement, error=case.error)
    return Decision(settlement, reason, _TALLY_OF[type(settlement)], case.alarm)


_DECIDERS: Final[dict[Verdict, Callable[[Case, Reason], Decision]]] = {
    Verdict.ACK: _ack,
    Verdict.ASKED: _as_asked,
    Verdict.AGAIN: _retry,
    Verdict.BURY: _bury,
    Verdict.DROP_OR_BURY: _drop_or_bury,
    Verdict.RELEASE: _release,
    Verdict.LEAVE: _leave,
}
