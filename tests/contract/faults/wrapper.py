"""The sound queue in memory behind a thin wrapper, which a fault makes do one thing wrong."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs

from pulpo_core import (
    AdapterError,
    Clock,
    Delivery,
    Envelope,
    Jitter,
    Queue,
    Settlement,
    Settling,
)
from pulpo_core.adapters.memory import MemoryAdapter

#: Each fault, and the clauses that must catch it.
CAUGHT: dict[type["Faulty"], tuple[str, ...]] = {}


def caught_by(*clauses: str) -> Callable[[type["Faulty"]], type["Faulty"]]:
    """Say which clauses catch the fault."""

    def note(fault: type["Faulty"]) -> type["Faulty"]:
        CAUGHT[fault] = clauses
        return fault

    return note


class Faulty:
    """An open queue; subclasses get one method wrong."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        return await self._queue.settle([attrs.evolve(each, settlement=self.settled(each)) for each in batch])

    def settled(self, item: Settling) -> Settlement:
        """What is done instead of what was asked."""
        return item.settlement

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        return await self._queue.publish([self.published(each) for each in batch])

    def published(self, envelope: Envelope) -> Envelope:
        """What is stored instead of what was published."""
        return envelope

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        return [self.received(each) for each in await self._queue.receive(limit, wait)]

    def received(self, delivery: Delivery) -> Delivery:
        """What is handed out instead of what was received."""
        return delivery

    async def closing(self) -> None:
        """What is done just before the queue is closed."""


class FaultyAdapter:
    """The adapter in memory, whose open queues have a fault."""

    scheme = "memory"
    capabilities = MemoryAdapter.capabilities

    def __init__(self, fault: Callable[[Queue, Clock], Any]) -> None:
        self._fault = fault

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:
        rewrite = getattr(self._fault, "rewrite", None)
        return self._opened(MemoryAdapter().open(rewrite(url) if rewrite else url, clock=clock, jitter=jitter), clock)

    @asynccontextmanager
    async def _opened(self, opening: AbstractAsyncContextManager[Queue], clock: Clock) -> AsyncIterator[Any]:
        async with opening as queue:
            faulty = self._fault(queue, clock)
            yield faulty
            await faulty.closing()

    async def create(self, url: str, options: Any) -> str:
        return getattr(self._fault, "created", None) or await MemoryAdapter().create(url, options)
