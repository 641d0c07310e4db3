"""Many messages under one policy: how often each is tried, when it is settled, and what an outage leaves behind.

Pure: chance is an argument, and the same numbers give the same simulation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import attrs

from .course import FAILED, MANY_ATTEMPTS, Premises, Step, course
from .decision import Tally
from .errors import ConfigurationError
from .fields import as_span, is_number, is_span, whole_from
from .outcome import Handled, Outcome

#: Where nothing limits attempts, or hardly, a message that is not settled after so many is taken for one that never is.
MOST_ATTEMPTS: Final = 200

_HANDLED: Final = Handled()


def _share(_: object, attribute: attrs.Attribute[float], value: object) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise ConfigurationError(f"{attribute.name}: expected a number from 0 to 1, not {value!r:.40}")


@attrs.frozen(kw_only=True, slots=True)
class Workload:
    """What comes in, and how it fares.

    Attributes:
        messages: how many are published.
        over: they are published evenly over this span.
        failure_rate: the share of attempts that fail, each by its own chance, 0 to 1.
        outage: for so long from the beginning, every attempt fails.
    """

    messages: int = attrs.field(default=1_000, validator=whole_from(1))
    over: timedelta = attrs.field(default=timedelta(), converter=as_span, validator=is_span)
    failure_rate: float = attrs.field(default=0.1, validator=_share)
    outage: timedelta = attrs.field(default=timedelta(), converter=as_span, validator=is_span)


@attrs.frozen(slots=True)
class Life:
    """One message from its publishing to its end.

    Attributes:
        starts: when each attempt began, after the beginning of the simulation; the first when it was published.
        ended: when the last of them was settled.
        tally: how it ended; `None` when it had not after `MOST_ATTEMPTS`.
    """

    starts: Sequence[timedelta]
    ended: timedelta
    tally: Tally | None

    @property
    def attempts(self) -> int:
        """How many times it was handed out."""
        return len(self.starts)

    @property
    def took(self) -> timedelta:
        """From its publishing to its last settlement."""
        return self.ended - self.starts[0]


@attrs.frozen(slots=True)
class Simulation:
    """What became of all messages."""

    lives: Sequence[Life]

    def spread(self, tally: Tally) -> Mapping[int, int]:
        """How many messages ended as *tally* after how many attempts, fewest first."""
        return dict(sorted(Counter(life.attempts for life in self.lives if life.tally is tally).items()))

    def times(self, tally: Tally) -> Sequence[timedelta]:
        """How long those that ended as *tally* took, shortest first."""
        return sorted(life.took for life in self.lives if life.tally is tally)

    @property
    def unfinished(self) -> int:
        """How many were still being retried after `MOST_ATTEMPTS`."""
        return sum(life.tally is None for life in self.lives)

    @property
    def last_start(self) -> timedelta:
        """When the last attempt of all began."""
        return max(life.starts[-1] for life in self.lives)

    def load(self, width: timedelta) -> Sequence[int]:
        """How many attempts began in each span of *width*, from the beginning to the last attempt."""
        counted = Counter(start // width for life in self.lives for start in life.starts)
        return [counted[index] for index in range(max(counted) + 1)]


def quantile(times: Sequence[timedelta], share: float) -> timedelta | None:
    """The least of *times*, which are sorted, that *share* of them do not exceed; `None` of none."""
    return times[max(0, min(len(times) - 1, round(share * len(times)) - 1))] if times else None


def simulate(premises: Premises, workload: Workload, random: Callable[[], float]) -> Simulation:
    """Let the messages of *workload* run under the policy of *premises*.

    Args:
        premises: of a message published at the beginning; `Premises.expiration` moves with each message.
        random: numbers in [0, 1), for failures and delays.
    """
    beginning = premises.published_at
    over = beginning + workload.outage

    def outcome_at(begins: datetime) -> Outcome:
        return FAILED if begins < over or random() < workload.failure_rate else _HANDLED

    def lives() -> Iterator[Life]:
        for index in range(workload.messages):
            after = workload.over * index / workload.messages
            steps = course(_published(premises, after), outcome_at, random)
            yield _life(islice(steps, most), beginning)

    limit = premises.policy.attempts_limit
    most = int(limit) if limit <= MANY_ATTEMPTS else MOST_ATTEMPTS
    return Simulation(tuple(lives()))


def _life(steps: Iterator[Step], beginning: datetime) -> Life:
    made = list(steps)
    last = made[-1]
    return Life(
        starts=tuple(step.begins - beginning for step in made),
        ended=last.ends - beginning,
        tally=last.decision.tally if last.delay is None else None,
    )


def _published(premises: Premises, after: timedelta) -> Premises:
    expiration = premises.expiration
    return attrs.evolve(
        premises,
        published_at=premises.published_at + after,
        expiration=None if expiration is None else expiration + after,
    )
