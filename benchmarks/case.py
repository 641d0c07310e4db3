"""What a benchmark is made of: a `Group` of `Case`s, each a function that is given a `Bench`.

Imported in the project's environment and in that of the peers, so only the standard library is used here.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn


class NotRun(Exception):
    """This case cannot run here; its text is shown in its row of the table."""


@dataclass
class Bench:
    """Takes the measurements of one run of one case.

    Attributes:
        messages: how many to handle.
        figures: what was measured, by name: ``{"drain": {"rate": …, "cpu_us": …}, "wake-up p50": {"value": …}}``.
    """

    messages: int
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def measure(self, what: str, *, messages: int | None = None, children: bool = False) -> Iterator[None]:
        """Measure the block as *what*: messages per second, and CPU time per message of this process.

        Args:
            messages: how many the block handles, where that is not `messages`.
            children: add the CPU time of child processes that were waited for inside the block.
        """
        started, cpu = time.perf_counter(), _cpu_seconds(children=children)
        yield
        cpu, elapsed = _cpu_seconds(children=children) - cpu, time.perf_counter() - started
        self.keep(what, messages=messages or self.messages, elapsed=elapsed, cpu=cpu)

    def keep(self, what: str, *, messages: int, elapsed: float, cpu: float) -> None:
        """Keep as a measured block what was measured elsewhere, such as in processes that go on; in seconds."""
        self.figures[what] = {"rate": messages / elapsed, "cpu_us": cpu / messages * 1e6}

    def record(self, what: str, value: float, unit: str) -> None:
        """Keep one more figure, such as a latency, a size or a number of requests."""
        self.figures[what] = {"value": value, "unit": unit}

    def record_latencies(self, what: str, seconds: Sequence[float]) -> None:
        """Keep the median and the 99th percentile of *seconds*, in milliseconds."""
        ordered = sorted(seconds)
        self.record(f"{what} p50", ordered[len(ordered) // 2] * 1e3, "ms")
        self.record(f"{what} p99", ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)] * 1e3, "ms")

    def check(self, got: object, expected: object, what: str) -> None:
        """Fail the case unless *got* is *expected*: what did not do its work is not fast."""
        if got != expected:
            raise AssertionError(f"{what}: {got!r}, expected {expected!r}")

    def cannot(self, reason: str) -> NoReturn:
        """Leave this case out, and say why."""
        raise NotRun(reason)


def _cpu_seconds(*, children: bool) -> float:
    who = [resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] if children else [])]
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))


def peak_memory() -> float:
    """The most memory that this process ever had, in MiB, as the kernel counts it for the program that runs.

    What `getrusage` tells begins with what the process held that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # no Linux
        return in_mebibytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 2**10


def in_mebibytes(maxrss: int) -> float:
    """What `getrusage` says of memory; macOS counts it in bytes, others in KiB."""
    return maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One system doing the group's work in one way.

    Attributes:
        name: its row in the table.
        run: does the work, once, with everything it needs made and removed; sync or async.
        messages: how many, unless the command line says otherwise.
        warm_up: how many are done before, unmeasured, in the same process; 0 for none.
        peer: it runs in the environment of the peers, where pulpo is not installed.
        baseline: the case whose figures it is divided by, where it is not the group's.
        timeout: seconds for one run of it.
        curve, at: where a group is drawn along something, the curve that it is a point of, and how far along.
    """

    name: str
    run: Callable[[Bench], Any]
    messages: int = 2000
    warm_up: int = 100
    peer: bool = False
    baseline: str | None = None
    timeout: float = 120
    curve: str = ""
    at: float = 0


def points(
    curve: str, name: Callable[[str, int], str], cases: Mapping[int, tuple[Callable[..., Any], int]], **options: Any
) -> Iterator[Case]:
    """The cases of one curve, each divided by the first.

    Args:
        name: names a case by its curve and how far along it is.
        cases: by how far along they are, what to run and with how many messages.
        options: fields of `Case` that all of them share.
    """
    first = name(curve, next(iter(cases)))
    for at, (run, messages) in cases.items():
        yield Case(
            name=name(curve, at), run=run, messages=messages, baseline=first, curve=curve, at=at, warm_up=0, **options
        )


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound on the median ratio of one figure of two cases, round by round.

    Attributes:
        case, against: names of cases.
        figure: what was measured; *against_figure* where the other case has another name for it.
        of: ``cpu_us`` or ``rate`` of a measured block, ``value`` of a recorded figure.
    """

    case: str
    against: str
    figure: str
    of: str = "cpu_us"
    at_most: float | None = None
    at_least: float | None = None
    against_figure: str | None = None


def _no_server() -> AbstractContextManager[Mapping[str, str]]:
    return nullcontext({})


@dataclass(frozen=True, kw_only=True)
class Group:
    """Cases that are measured side by side.

    Attributes:
        title: what is measured, in one line.
        cases: run one after another in each round.
        baseline: name of the case that the others are divided by.
        server: a context around all rounds, for a broker; gives environment variables to the cases.
        along: what grows from case to case, where the plot is to show curves and not bars.
        logarithmic: it grows, and the rates differ, by powers of ten.
    """

    title: str
    cases: Sequence[Case]
    baseline: str
    goals: Sequence[Goal] = ()
    server: Callable[[], AbstractContextManager[Mapping[str, str]]] = _no_server
    along: str = ""
    logarithmic: bool = False

    def case(self, name: str) -> Case:
        """The case of that name."""
        return next(case for case in self.cases if case.name == name)
