"""What a group's runs add up to: medians, ratios round by round, goals met or missed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.case import Case, Goal, Group


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of *values*; `None` when there are none."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


@dataclass
class Results:
    """The figures of every case and round.

    Attributes:
        rounds: for each case by name, one entry a round: its figures, or `None` when it failed.
        not_run: why a case was left out.
        failures: what went wrong, for people.
    """

    group: Group
    rounds: dict[str, list[dict[str, dict[str, Any]] | None]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, case: Case, answer: dict[str, Any]) -> None:
        """Take in the answer of one run."""
        if "not_run" in answer:
            self.not_run[case.name] = answer["not_run"]
        elif "failed" in answer:
            self.failures[case.name] = answer["failed"]
        self.rounds.setdefault(case.name, []).append(answer.get("figures"))

    def cases(self) -> list[Case]:
        """Those of which there are figures."""
        return [case for case in self.group.cases if any(self.rounds.get(case.name, ()))]

    def figures(self) -> list[str]:
        """Everything that was measured, in the order in which it came up."""
        runs = (run or {} for case in self.cases() for run in self.rounds[case.name])
        return list(dict.fromkeys(what for run in runs for what in run))

    def unit(self, figure: str) -> str | None:
        """The unit of a recorded figure; `None` for a measured block."""
        runs = (run for runs in self.rounds.values() for run in runs if run and figure in run)
        found: str | None = next(runs)[figure].get("unit")
        return found

    def values(self, case: str, figure: str, of: str) -> list[float | None]:
        """One number for each round."""
        return [(run or {}).get(figure, {}).get(of) for run in self.rounds.get(case, ())]

    def spread(self, case: str, figure: str, of: str) -> Spread | None:
        """The spread of a figure over the rounds."""
        return spread([value for value in self.values(case, figure, of) if value is not None])

    def ratios(self, case: str, against: str, figure: str, of: str, against_figure: str | None = None) -> list[float]:
        """Figure of *case* ÷ figure of *against*, for each round that has both."""
        pairs = zip(self.values(case, figure, of), self.values(against, against_figure or figure, of), strict=False)
        return [one / other for one, other in pairs if one is not None and other]

    def goal(self, goal: Goal) -> tuple[Spread, bool] | None:
        """The ratio that a goal is about, and whether the goal is met; `None` when it was not measured."""
        found = spread(self.ratios(goal.case, goal.against, goal.figure, goal.of, goal.against_figure))
        if found is None:
            return None
        low = goal.at_least if goal.at_least is not None else float("-inf")
        high = goal.at_most if goal.at_most is not None else float("inf")
        return found, low <= found.median <= high
