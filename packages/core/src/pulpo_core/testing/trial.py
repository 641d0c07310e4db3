"""Trying one clause on one fresh queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from .background import background
from .bench import Bench
from .clause import Clause
from .harness import Harness
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
            raise Skipped(f"the harness does not offer {hook}()")
    if clause.steered and harness.time == "real":
        raise Skipped("it takes long, and the time of this queue cannot be moved")
    async with fresh_bench(harness) as bench:
        if unmet := clause.unmet(bench.caps):
            raise Skipped(unmet)
        await clause.check(bench)
