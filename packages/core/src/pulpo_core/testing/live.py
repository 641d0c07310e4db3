"""The contract at a live broker, in queues made for it beside the one that is named, and removed again."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from itertools import count
from typing import Any, Final, cast
from uuid import uuid4

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.errors import PulpoError, Unavailable, Unsupported
from pulpo_core.ports.adapter import Adapter, Queue
from pulpo_core.ports.offers import ScratchQueues

from .harness import Harness
from .seeded_jitter import SeededJitter

#: AWS asks for a second before a queue that was created is used.
_SETTLING_IN: Final = 1.0


class LiveHarness(Harness):
    """Scratch queues where a queue of the user's lives; that one is not even opened.

    The hooks that stop brokers and cut connections are not offered: others may be using it.

    Attributes:
        name: what the names of all its scratch queues contain.
        left: the scratch queues that could not be removed.
    """

    volume = 100

    def __init__(self, url: str, adapter: Adapter) -> None:
        """Prepare for the contract of *adapter* where *url* says.

        Raises:
            Unsupported: the adapter offers no scratch queues.
            InvalidURL: it is not the URL of a queue.
        """
        if not isinstance(adapter, ScratchQueues):
            raise Unsupported(
                f"the adapter of {adapter.scheme}:// offers no scratch queues (pulpo_core.ScratchQueues):"
                " try its contract with a test that subclasses pulpo_core.testing.AdapterContract"
            )
        self._adapter, self._url = adapter, url
        self.name, self._numbers = f"contract-{uuid4().hex[:8]}", count(1)
        self._running: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = set()
        self._stopped = False
        self.left: list[str] = []
        if adapter.own_clock:
            self.time = "real"
            self.delay = timedelta(seconds=1)
            self.settle_time = timedelta(seconds=10)
        self.url()

    def adapter(self) -> Adapter:
        """The adapter under contract."""
        return self._adapter

    def url(self) -> str:
        """The URL of a scratch queue that has not been before."""
        return cast("ScratchQueues", self._adapter).scratch_url(self._url, f"{self.name}-{next(self._numbers)}")

    def why_not(self, hook: str) -> str:
        """Why *hook* is not offered: the broker is not ours."""
        return f"it needs {hook}(), for which a broker must be one's own: a test suite with AdapterContract has one"

    async def prepare(self, url: str) -> None:
        """Create the scratch queue *url*, where queues are created."""
        with suppress(Unsupported):
            await self._adapter.create(url, {})
            await self.clock().sleep(_SETTLING_IN if self.time == "real" else 0)

    async def dispose(self, url: str) -> None:
        """Remove the scratch queue *url*, or remember that it is left."""
        try:
            await cast("ScratchQueues", self._adapter).remove(url)
        except PulpoError:
            self.left.append(url)

    async def capabilities(self) -> Capabilities:
        """What a scratch queue declares: chooses the clauses before any is tried.

        Raises:
            PulpoError: there can be none here; the broker cannot be reached, for example.
        """
        try:
            async with self.fresh_url() as url, self._opened(url) as queue:
                return queue.capabilities
        except Unavailable:
            self.left.clear()  # where nothing can be reached, nothing was made
            raise

    def _opened(self, url: str) -> AbstractAsyncContextManager[Queue]:
        return self._adapter.open(url, clock=self.clock(), jitter=SeededJitter())

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run one clause, so that `stop` can end it."""
        super().run(self._stoppable(main))

    async def _stoppable(self, main: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        if task is None or self._stopped:
            main.close()
            raise asyncio.CancelledError
        running = asyncio.get_running_loop(), task
        self._running.add(running)
        try:
            await main
        finally:
            self._running.discard(running)

    def stop(self) -> None:
        """Cancel what runs; scratch queues are removed on the way out."""
        self._stopped = True
        for loop, task in list(self._running):
            with suppress(RuntimeError):  # it has ended, and its loop is closed
                loop.call_soon_threadsafe(task.cancel)
