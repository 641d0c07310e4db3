"""What a simulation found, as values that tables, JSON and plots are made of."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import attrs

from pulpo_cli.documents import retries, seconds
from pulpo_cli.explain.words import VERBS
from pulpo_core import Policy, Tally
from pulpo_core.foresight import (
    FAILED,
    LONGEST,
    SHORTEST,
    Premises,
    Simulation,
    Step,
    Workload,
    course,
    horizon,
    quantile,
    simulate,
)

#: So many attempts of one message are shown where there is no limit.
_SHOWN: Final = 100

#: So many spans the load is shown in.
_BINS: Final = 24

#: Spans that people can count in.
_WIDTHS: Final = tuple(
    timedelta(seconds=each)
    for each in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800)
)


@attrs.frozen
class Row:
    """One attempt of a message whose every attempt fails: when it begins at the earliest and at the latest."""

    earliest: timedelta
    latest: timedelta
    step: Step


@attrs.frozen(kw_only=True)
class Results:
    """Everything that one run of the command has found.

    Attributes:
        timeline: of one message whose every attempt fails.
        seed: gives the same results again.
    """

    premises: Premises
    workload: Workload
    seed: int
    timeline: Sequence[Row]
    simulation: Simulation

    @property
    def policy(self) -> Policy:
        """What was simulated."""
        return self.premises.policy

    @property
    def width(self) -> timedelta:
        """A span in which the load is counted: such that there are no more than a screen shows."""
        whole = self.simulation.last_start
        return next((each for each in _WIDTHS if whole < each * _BINS), _WIDTHS[-1])

    @property
    def load(self) -> Sequence[int]:
        """Attempts that began in each span of `width`."""
        return self.simulation.load(self.width)

    def spread(self) -> Mapping[int, tuple[int, int]]:
        """By attempts: how many were handled after so many, and how many buried or dropped."""
        handled = self.simulation.spread(Tally.ACKED)
        set_aside = self.simulation.spread(Tally.BURIED), self.simulation.spread(Tally.DROPPED)
        attempts = sorted({*handled, *set_aside[0], *set_aside[1]})
        return {each: (handled.get(each, 0), sum(part.get(each, 0) for part in set_aside)) for each in attempts}


def run(premises: Premises, workload: Workload, seed: int) -> Results:
    """Simulate."""
    return Results(
        premises=premises,
        workload=workload,
        seed=seed,
        timeline=_timeline(premises),
        simulation=simulate(premises, workload, random.Random(seed).random),
    )


def _timeline(premises: Premises) -> Sequence[Row]:
    shortest, longest = (list(islice(_failing(premises, u), _SHOWN)) for u in (SHORTEST, LONGEST))
    start = premises.published_at
    return [
        Row(early.begins - start, late.begins - start, late) for early, late in zip(shortest, longest, strict=False)
    ]


def _failing(premises: Premises, u: float) -> Any:
    return course(premises, lambda _: FAILED, lambda: u)


def document(results: Results) -> dict[str, Any]:
    """*results* for programs."""
    workload = results.workload
    return {
        "seed": results.seed,
        "policy": retries(results.policy),
        "workload": {
            "messages": workload.messages,
            "over_seconds": seconds(workload.over),
            "failure_rate": workload.failure_rate,
            "outage_seconds": seconds(workload.outage),
            "handling_seconds": seconds(results.premises.takes),
        },
        "timeline": [_row(each) for each in results.timeline],
        "longest_seconds": seconds(horizon(results.premises)),
        "attempts": {
            str(each): {"handled": handled, "set_aside": aside} for each, (handled, aside) in results.spread().items()
        },
        "seconds": {str(tally): _times(results.simulation, tally) for tally in (Tally.ACKED, Tally.BURIED)},
        "unfinished": results.simulation.unfinished,
        "load": {"width_seconds": seconds(results.width), "attempts": list(results.load)},
    }


def _row(row: Row) -> dict[str, Any]:
    decision = row.step.decision
    return {
        "attempt": row.step.attempt,
        "earliest_seconds": seconds(row.earliest),
        "latest_seconds": seconds(row.latest),
        "settlement": VERBS[type(decision.settlement)],
        "reason": str(decision.reason),
    }


def _times(simulation: Simulation, tally: Tally) -> dict[str, float | None]:
    times = simulation.times(tally)
    shares = {"median": 0.5, "p95": 0.95, "longest": 1.0}
    return {name: seconds(quantile(times, share)) for name, share in shares.items()}
