"""Who said what about each message, and what follows from it: what a campaign has to account for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import attrs

from tests.reliability.journal import Line

#: Seconds around a fault in which what was on its way may have been lost.
WINDOW = 15.0

#: Seconds before its death in which what a worker had finished may not have been settled.
UNSETTLED = 5.0


#: What the dispatcher itself said of a delivery whose message may come again.
_COUNTED: Final = {
    "retried": "retried",
    "released": "given back",
    "lease_lost": "its lease was lost",
    "in_doubt": "its settlement was in doubt",
}

#: Faults that can cost a lease, or the answer to a settlement, without the death of a worker.
_DISTURBING: Final = (
    "workers stopped",
    "worker frozen",
    "connections cut",
    "connections slow",
    "broker killed",
    "broker restarted",
    "broker paused",
)


@attrs.frozen
class Fault:
    """One thing done to the campaign."""

    when: float
    kind: str


@attrs.define
class Accounts:
    """Every message by its number.

    Attributes:
        tried: its publishing was begun; without an answer it is in doubt.
        died: when each process that was killed, or killed itself, was seen dead.
        remaining: messages left in the queue at the end.
        excuse: a fault that goes on all the time, and may cost a lease at any time.
    """

    lines: Sequence[Line]
    faults: Sequence[Fault]
    died: dict[int, float]
    buried: dict[int, str | None]
    remaining: int = 0
    exits: Counter[int] = attrs.field(factory=Counter)
    seconds: float = 0.0
    excuse: str = ""
    _of: dict[str, Counter[int]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._of = defaultdict(Counter)
        for line in self.lines:
            self._of[line.what][line.number] += 1

    def _all(self, what: str) -> set[int]:
        return set(self._of[what])

    @property
    def confirmed(self) -> set[int]:
        """Whose publisher was told that they are stored."""
        return self._all("ok")

    @property
    def refused(self) -> set[int]:
        """Whose publisher was told for certain that they are not stored."""
        return self._all("refused")

    @property
    def doubtful(self) -> set[int]:
        """Whose publisher was told nothing, or died before."""
        return self._all("try") - self.confirmed - self.refused

    @property
    def handled(self) -> set[int]:
        """That a handler has finished."""
        return self._all("end")

    @property
    def lost(self) -> set[int]:
        """Confirmed, and neither handled nor buried; what remains in the queue is counted apart."""
        return self.confirmed - self.handled - set(self.buried)

    @property
    def phantom(self) -> set[int]:
        """Handed out, though they were refused."""
        return self._all("start") & self.refused

    @property
    def starts(self) -> Counter[int]:
        """How often each was handed to a handler."""
        return self._of["start"]

    def again(self) -> Counter[str]:
        """Why messages were handed out more than once, each time with its cause."""
        causes: Counter[str] = Counter()
        for runs in self._runs():
            for run, following in pairwise(runs):
                causes[self._cause(run, following)] += 1
        return causes

    def _runs(self) -> Iterable[list[list[Line]]]:
        """For each message its runs, in order of their starts; a run is a start, and its end if it had one."""
        by_number: dict[int, dict[tuple[int, int], list[Line]]] = defaultdict(dict)
        for line in self.lines:
            if line.what == "start":
                runs = by_number[line.number]
                runs[line.writer, len(runs)] = [line]
            elif line.what in {"end", "fail", *_COUNTED}:
                mine = [run for (writer, _), run in by_number[line.number].items() if writer == line.writer]
                if mine:  # else it was given back before it was started
                    mine[-1].append(line)
        for runs in by_number.values():
            yield sorted(runs.values(), key=lambda run: run[0].when)

    def _cause(self, run: list[Line], following: list[Line]) -> str:
        last = run[-1]
        if last.what in _COUNTED:
            return _COUNTED[last.what]
        death = self.died.get(last.writer)
        if death is not None and (last.what == "start" or last.when > death - UNSETTLED):
            return "its worker died"
        end = following[0].when if last.what == "start" else last.when
        near = [fault for fault in self.faults if fault.kind in _DISTURBING and abs(fault.when - end) < WINDOW]
        if near:
            return f"near: {min(near, key=lambda fault: abs(fault.when - end)).kind}"
        return self.excuse or "UNEXPLAINED"

    def rows(self) -> list[tuple[str, int]]:
        """The table."""
        again = self.again()
        kinds = Counter(fault.kind for fault in self.faults)
        return [
            ("published: tried", len(self._all("try"))),
            ("  confirmed", len(self.confirmed)),
            ("  in doubt", len(self.doubtful)),
            ("    of these came", len(self.doubtful & set(self.starts))),
            ("  refused", len(self.refused)),
            ("    of these came", len(self.phantom)),
            ("handled", len(self.handled)),
            ("buried", len(self.buried)),
            ("left in the queue", self.remaining),
            ("LOST", len(self.lost)),
            ("handed out", sum(self.starts.values())),
            ("  more than once", sum(again.values())),
            *[(f"    {cause}", number) for cause, number in sorted(again.items())],
            *[(f"fault: {kind}", number) for kind, number in sorted(kinds.items())],
            ("workers that died", len(self.died)),
            ("seconds", round(self.seconds)),
        ]

    def text(self) -> str:
        """The table as text, with the first of what is wrong."""
        table = "\n".join(f"{name:<40}{number:>12,}" for name, number in self.rows())
        wrong = {"lost": self.lost, "phantom": self.phantom}
        return "\n".join([table, *[f"{name}: {sorted(numbers)[:20]}" for name, numbers in wrong.items() if numbers]])
