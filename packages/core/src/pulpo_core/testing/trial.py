"""Trying clauses, each on a fresh queue."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum

import attrs

from .background import background
from .bench import Bench
from .harness import Harness
from .registry import Clause
from .seeded_jitter import SeededJitter


class Skipped(Exception):
    """The clause does not concern this queue; the text says why."""


@asynccontextmanager
async def fresh_bench(harness: Harness) -> AsyncIterator[Bench]:
    """A bench with a fresh queue; everything that was opened on it is closed at the end."""
    clock = harness.clock()
    async with harness.fresh_url() as url, AsyncExitStack() as stack, background() as tasks:
        queue = await stack.enter_async_context(harness.adapter().open(url, clock=clock, jitter=SeededJitter()))
        yield Bench(harness, url, clock, queue, stack, tasks)


async def run_clause(clause: Clause, harness: Harness) -> None:
    """Try *clause* on a fresh queue.

    Raises:
        Skipped: it does not concern this queue.
        AssertionError: the queue breaks the promise.
    """
    for hook in clause.hooks:
        if not harness.offers(hook):
            raise Skipped(harness.why_not(hook))
    if clause.steered and harness.time == "real":
        raise Skipped("it takes long, and the time of this queue cannot be moved")
    async with fresh_bench(harness) as bench:
        if unmet := clause.unmet(bench.caps) or clause.unoffered(bench.queue):
            raise Skipped(unmet)
        await clause.check(bench)


class Finding(StrEnum):
    """What came of trying a clause."""

    KEPT = "kept"
    BROKEN = "broken"
    SKIPPED = "skipped"


@attrs.frozen(slots=True)
class Verdict:
    """One clause, and what came of trying it.

    Attributes:
        text: why it was skipped, or how the promise is broken; empty when it is kept.
    """

    clause: Clause
    finding: Finding
    text: str = ""


def try_clauses(harness: Harness, clauses: Iterable[Clause], *, beside: int = 1) -> Generator[Verdict]:
    """Try *clauses*, without pytest; a verdict on each as soon as it is known.

    Only what concerns the harness itself is raised: `KeyboardInterrupt` and its like. The harness is
    told to `Harness.stop` then, and when nobody asks for further verdicts.

    Args:
        beside: how many are tried at once, each in a thread and on an event loop of its own; where a
            clause mostly waits for a broker's clock, that saves time. With 1 they are tried here, in order.
    """
    if beside == 1:
        yield from (_verdict(harness, clause) for clause in clauses)
        return
    with ThreadPoolExecutor(beside, thread_name_prefix="clause") as pool:
        trials = [pool.submit(_verdict, harness, clause) for clause in clauses]
        try:
            yield from (trial.result() for trial in as_completed(trials))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            harness.stop()


def _verdict(harness: Harness, clause: Clause) -> Verdict:
    try:
        harness.run(run_clause(clause, harness))
    except Skipped as skipped:
        return Verdict(clause, Finding.SKIPPED, str(skipped))
    except Exception as error:  # noqa: BLE001 - whatever a clause raises, it says that the promise is broken
        return Verdict(clause, Finding.BROKEN, _told(error))
    return Verdict(clause, Finding.KEPT)


def _told(error: Exception) -> str:
    """What *error* says; an assertion without words is told by its line."""
    if not isinstance(error, AssertionError):
        return f"{type(error).__name__}: {error}"
    return str(error) or str(traceback.extract_tb(error.__traceback__)[-1].line)
