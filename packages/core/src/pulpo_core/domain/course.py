"""What would become of a message: the decision functions, asked about outcomes that have not happened.

`step` asks `guard`, `decide` and `plan` about one attempt, `course` about one after another until the
message is settled for good. Nothing is decided here: whatever explains or simulates a policy runs the
policy itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from .capabilities import Capabilities
from .decision import Decision, Situation, decide
from .outcome import Failed, Outcome
from .planning import plan
from .policy import Policy, guard
from .settlement import Retry

#: When what has not happened begins; any moment far from both ends of the calendar would do.
BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)

#: The random numbers that give the shortest and the longest delay.
SHORTEST: Final = 0.0
LONGEST: Final = math.nextafter(1.0, 0.0)

#: A course that is not over after so many attempts is taken for one without end.
MANY_ATTEMPTS: Final = 10_000

#: An attempt that fails as most do: transiently, and asking for nothing.
FAILED: Final = Failed(Exception("as foreseen"))

_NOTHING: Final = timedelta()


@attrs.frozen(kw_only=True, slots=True)
class Step:
    """One attempt and what is done after it.

    Attributes:
        attempt: from 1.
        begins, ends: when it is handed out, and when it is settled.
        outcome: as it came, or what the guard says when it does not let the attempt run.
        decision: fitted to the queue.
    """

    attempt: int
    begins: datetime
    ends: datetime
    outcome: Outcome
    decision: Decision

    @property
    def delay(self) -> timedelta | None:
        """The time until the next attempt; `None` when there is no next one that the policy asks for."""
        settlement = self.decision.settlement
        return (settlement.delay or _NOTHING) if isinstance(settlement, Retry) else None


@attrs.frozen(kw_only=True, slots=True)
class Premises:
    """What is given about a message before its first attempt.

    Attributes:
        policy: as `policy.fit` has fitted it to the queue.
        takes: how long each attempt runs.
        published_at: also when the first attempt begins.
        expiration: until when the message is of use, if said.
    """

    policy: Policy
    capabilities: Capabilities = attrs.field(factory=Capabilities)
    takes: timedelta = _NOTHING
    published_at: datetime = BEGINNING
    expiration: datetime | None = None


def step(premises: Premises, outcome: Outcome, *, attempt: int, begins: datetime, u: float) -> Step:
    """The attempt that begins at *begins* and would end in *outcome*, for the random number *u*."""
    policy, capabilities = premises.policy, premises.capabilities
    slack = capabilities.attempt_slack
    refused = guard(policy, attempt=attempt, now=begins, slack=slack, expiration=premises.expiration)
    takes = _NOTHING if refused else premises.takes
    situation = Situation(
        attempt=attempt,
        now=begins + takes,
        expiration=premises.expiration,
        published_at=premises.published_at,
        late_ack=capabilities.late_ack,
    )
    decision = decide(policy, refused or outcome, situation, u)
    if decision.settlement is not None:
        decision = attrs.evolve(decision, settlement=plan(decision.settlement, capabilities, held=takes))
    return Step(attempt=attempt, begins=begins, ends=situation.now, outcome=refused or outcome, decision=decision)


def course(
    premises: Premises, outcome_at: Callable[[datetime], Outcome], random: Callable[[], float]
) -> Iterator[Step]:
    """Every attempt of one message, until one is settled otherwise than by `Retry`; without end if none ever is.

    Args:
        outcome_at: in what an attempt that begins at that moment would end.
        random: numbers in [0, 1), one for each decision.
    """
    attempt, begins = 1, premises.published_at
    while True:
        made = step(premises, outcome_at(begins), attempt=attempt, begins=begins, u=random())
        yield made
        if made.delay is None:
            return
        attempt, begins = attempt + 1, made.ends + made.delay


def horizon(premises: Premises) -> timedelta | None:
    """How long a message is under way at the longest if every attempt fails; `None` for without end.

    A queue must keep its messages for longer. Delays that handlers and exceptions ask for come on top.
    """
    try:
        for made in course(premises, lambda _: FAILED, lambda: LONGEST):
            if made.delay is None:
                return made.ends - premises.published_at
            if made.attempt >= MANY_ATTEMPTS:
                break
    except OverflowError:  # beyond the calendar
        pass
    return None
