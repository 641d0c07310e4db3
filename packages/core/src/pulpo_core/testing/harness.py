"""What the kit must know about an adapter, supplied by its author."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal, Protocol

from pulpo_core.ports.adapter import Adapter, Queue
from pulpo_core.ports.clock import Clock

from .manual_clock import ManualClock
from .real_clock import RealClock
from .virtual_loop import LoopClock, run_virtual

#: Real seconds after which a clause is taken for hung. Never the measure of a promise.
HANG_GUARD = 60.0

#: Virtual time that a clause may use: some wait for years.
LIFETIME = timedelta(days=36_500)


class MovableClock(Clock, Protocol):
    """A clock that a clause can move."""

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        ...

    def set_back(self, seconds: float) -> None:
        """Step the wall clock back."""
        ...

    def set_forward(self, seconds: float) -> None:
        """Step the wall clock forward."""
        ...


class Harness:
    """How to make queues for the contract; override what differs.

    Attributes:
        time: ``manual`` for adapters that take all time from their `Clock` (clauses move it by
            hand, on an ordinary event loop, so threads and files are welcome); ``virtual`` for
            those that do nothing but asyncio (the event loop itself jumps); ``real`` for brokers
            with a clock of their own.
        delay: a delay that the queue keeps faithfully; short where time is real.
        tolerance: how much later than due something may happen, in this set-up.
        settle_time: how long counts may lag behind; 0 where they are exact.
        volume: how many messages the larger clauses use.
    """

    time: Literal["manual", "virtual", "real"] = "manual"
    delay: timedelta = timedelta(seconds=10)
    tolerance: timedelta = timedelta(seconds=1)
    settle_time: timedelta = timedelta()
    volume: int = 200

    def adapter(self) -> Adapter:
        """The adapter under contract."""
        raise NotImplementedError("a contract needs adapter()")

    def url(self) -> str:
        """The URL of a queue that nothing else uses, empty; with a short lease where time is real."""
        raise NotImplementedError("a contract needs url()")

    async def prepare(self, url: str) -> None:
        """Create the queue that *url* names, where queues must be created."""

    async def dispose(self, url: str) -> None:
        """Remove the queue that *url* names, where that is worth the trouble."""

    @asynccontextmanager
    async def fresh_url(self) -> AsyncIterator[str]:
        """The URL of a queue that is there while the context lasts."""
        url = self.url()
        await self.prepare(url)
        try:
            yield url
        finally:
            await self.dispose(url)

    # Hooks. A clause that needs one that is not overridden is skipped, and says so.

    def missing_url(self) -> str:
        """The URL of a queue that does not exist, where that is an error."""
        raise NotImplementedError

    async def publish_raw(self, url: str, body: bytes) -> None:
        """Put *body* into the queue by the broker's own means, as a foreign producer would."""
        raise NotImplementedError

    async def cut_connection(self, queue: Queue) -> None:
        """Cut the connections of *queue* under its feet."""
        raise NotImplementedError

    async def restart_broker(self) -> None:
        """Stop the broker and start it again with what it has stored."""
        raise NotImplementedError

    async def stop_broker(self) -> None:
        """Stop the broker; the clause starts it again."""
        raise NotImplementedError

    async def start_broker(self) -> None:
        """Start the broker that `stop_broker` has stopped."""
        raise NotImplementedError

    def offers(self, hook: str) -> bool:
        """Whether *hook* is overridden."""
        return getattr(type(self), hook) is not getattr(Harness, hook)

    def why_not(self, hook: str) -> str:
        """Why *hook* is not offered, for the report."""
        return f"the harness does not offer {hook}()"

    def clock(self) -> MovableClock:
        """A clock of the kind that `time` says, for one clause."""
        kinds: dict[str, Callable[[], MovableClock]] = {"manual": ManualClock, "virtual": LoopClock, "real": RealClock}
        return kinds[self.time]()

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run one clause to its end in an event loop of its own."""
        if self.time == "virtual":
            run_virtual(main, time_limit=LIFETIME)
        else:
            asyncio.run(_guarded(main))

    def stop(self) -> None:
        """Nothing that still runs is wanted any more; whoever runs clauses in other threads cancels them here."""


async def _guarded(main: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(HANG_GUARD) as guard:
            await main
    except TimeoutError as error:
        if guard.expired():
            raise AssertionError(f"the clause did not end within {HANG_GUARD:g} s of real time") from error
        raise
