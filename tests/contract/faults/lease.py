"""Faults in leases and in the count of attempts."""

import asyncio
from datetime import timedelta

import attrs

from pulpo_core import (
    Capabilities,
    Clock,
    Delivery,
    Queue,
    Unavailable,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C060", "C069", "C070")
class NeverEndsLeases(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?lease=9999d"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, lease=timedelta(seconds=30))


@caught_by("C061")
class EndsLeasesEarly(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?lease=10s"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, lease=timedelta(seconds=30))


@caught_by("C062")
class PretendsToExtend(Faulty):
    async def extend(self, batch):
        return [self._clock.monotonic() + 30.0 for _ in batch]


@caught_by("C064", "C065", "C076")
class ExtendsAfterSettle(Faulty):
    """Answers an extension of what is settled with a deadline."""

    async def extend(self, batch):
        answers = await self._queue.extend(batch)
        return [answer if isinstance(answer, float) else self._clock.monotonic() + 30.0 for answer in answers]


@caught_by("C067")
class ExtendsTheNeighbours(Faulty):
    """Extends whatever this holder has in hand."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._held: list[Delivery] = []

    def received(self, delivery):
        self._held.append(delivery)
        return delivery

    async def extend(self, batch):
        await self._queue.extend(self._held)
        return await self._queue.extend(batch)


@caught_by("C068")
class TellsLateDeadlines(Faulty):
    def received(self, delivery):
        delivery.lease.deadline += 5
        return delivery


@caught_by("C070")
class LeaksLeasesAtClose(Faulty):
    """What is in hand at close stays in hand for ever."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._held: list[Delivery] = []

    def received(self, delivery):
        self._held.append(delivery)
        return delivery

    async def closing(self) -> None:
        for delivery in self._held:
            delivery.receipt[1].until = float("inf")


@caught_by("C071")
class BlocksWhileWaiting(Faulty):
    """One connection, commands one after another: a waiting receive holds up everything else."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._connection = asyncio.Lock()

    async def receive(self, limit, wait):
        async with self._connection:
            return await self._queue.receive(limit, wait)

    async def settle(self, batch):
        async with self._connection:
            return await self._queue.settle(batch)


@caught_by("C081", "C085")
class ResetsAttempts(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, attempt=1)


@caught_by("C085")
class CountsRetriesOnly(Faulty):
    """A crash does not count: a crash loop goes on for ever."""

    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt - delivery.lost)


@caught_by("C086")
class TakesRetriesForLosses(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, lost=delivery.attempt - 1)


@caught_by("C080", "C083")
class CountsFromZero(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt - 1)


@caught_by("C072")
class StopsNearADeadline(Faulty):
    """Receives nothing while the lease of something in hand is about to end."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._latest = float("inf")

    def received(self, delivery):
        self._latest = delivery.lease.deadline
        return delivery

    async def receive(self, limit, wait):
        if 0 < self._latest - self._clock.monotonic() < 10:
            raise Unavailable("DEADLINE_SOON")
        return await super().receive(limit, wait)


@caught_by("C063")
class ShortensByExtending(Faulty):
    async def extend(self, batch):
        return [answer - 20 if isinstance(answer, float) else answer for answer in await self._queue.extend(batch)]
