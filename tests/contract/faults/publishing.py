"""Faults in publishing, receiving and what becomes of bodies."""

import json
from datetime import timedelta

import attrs

from pulpo_core import (
    AdapterError,
    Capabilities,
    Clock,
    MessageTooLarge,
    Queue,
    Release,
    Settling,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C001", "C002")
class StoresNothing(Faulty):
    """Confirms without storing."""

    async def publish(self, batch):
        return [str(number) for number, _ in enumerate(batch)]


@caught_by("C018")
class StoresNothingHere(Faulty):
    """Confirms in the calling thread what nobody will ever receive."""

    def publish_blocking(self, batch):
        return [str(number) for number, _ in enumerate(batch)]


@caught_by("C001")
class StoresTwice(Faulty):
    """A driver's hidden retry."""

    async def publish(self, batch):
        await self._queue.publish(batch)
        return await self._queue.publish(batch)


@caught_by("C010")
class GivesIdsAgain(Faulty):
    """Ids that begin anew when the queue is empty, as row ids do."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._first: int | None = None

    async def publish(self, batch):
        if (await self._queue.stats()).ready == 0:
            self._first = None
        ids = await self._queue.publish(batch)
        self._first = self._first or int(ids[0])
        return [str(int(name) - self._first + 1) for name in ids]


@caught_by("C003", "C004")
class DoesNotWait(Faulty):
    async def receive(self, limit, wait):
        return await self._queue.receive(limit, timedelta())


@caught_by("C004", "C058", "C073")
class SleepsThrough(Faulty):
    """Polls at the end of its wait only."""

    async def receive(self, limit, wait):
        return await self._queue.receive(limit, timedelta()) or await self._later(limit, wait)

    async def _later(self, limit, wait):
        await self._clock.sleep(wait.total_seconds())
        return await self._queue.receive(limit, timedelta())


@caught_by("C014")
class WaitsForAFullBatch(Faulty):
    async def receive(self, limit, wait):
        received = list(await self._queue.receive(limit, wait))
        if 0 < len(received) < limit:
            received += await self._queue.receive(limit - len(received), wait)
        return received


@caught_by("C005")
class IgnoresTheLimit(Faulty):
    async def receive(self, limit, wait):
        return await self._queue.receive(limit + 2, wait)


@caught_by("C006")
class SharesOneQueue(Faulty):
    """Every URL is the same queue."""

    @staticmethod
    def rewrite(url: str) -> str:
        return "memory://the-same-for-all-urls"


@caught_by("C009")
class CutsTheBatch(Faulty):
    """Publishes as much as one call carries, and forgets the rest."""

    async def publish(self, batch):
        limit = self._queue.capabilities.max_batch
        return [*await self._queue.publish(batch[:limit]), *map(str, range(len(batch[limit:])))]


@caught_by("C008", "C023")
class SwallowsPublishFailures(Faulty):
    async def publish(self, batch):
        return ["0" if isinstance(answer, AdapterError) else answer for answer in await self._queue.publish(batch)]


@caught_by("C021")
class MutatesBytes(Faulty):
    """Decodes what need not be text."""

    def published(self, envelope):
        return attrs.evolve(envelope, body=envelope.body.decode(errors="replace").encode())


@caught_by("C021", "C024")
class TranslatesNewlines(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, body=envelope.body.replace(b"\r\n", b"\n"))


@caught_by("C023")
class KeepsNoLimit(Faulty):
    """Declares the limit of its broker and does not enforce it."""

    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?max_body=100000000"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, max_body_bytes=1_048_576)


@caught_by("C022", "C092")
class CountsItsOwnFrame(Faulty):
    """Takes a little less than it declares."""

    async def publish(self, batch):
        answers = await self._queue.publish([e if len(e.body) < 1_048_570 else self._longer(e) for e in batch])
        return list(answers)

    def _longer(self, envelope):
        return attrs.evolve(envelope, body=envelope.body + b"frame...")


@caught_by("C017")
class NeedsItems(Faulty):
    async def publish(self, batch):
        if not batch:
            raise AdapterError("nothing to publish")
        return await self._queue.publish(batch)


@caught_by("C016", "C027")
class ForgesUids(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, envelope=attrs.evolve(delivery.envelope, uid="some-other-uid"))


@caught_by("C007", "C061")
class LeasesNothing(Faulty):
    """Hands out to everybody, and calls every settlement a success."""

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, wait)
        await self._queue.settle([Settling(delivery, Release()) for delivery in received])
        return received

    async def settle(self, batch):
        await self._queue.delete([each.delivery.id for each in batch])
        return [None for _ in batch]


@caught_by("C011")
class OpensAnything(Faulty):
    """A queue that does not exist is an empty queue."""


@caught_by("C020")
class PadsEmptyBodies(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, body=envelope.body or b" ")


@caught_by("C028")
class BelievesLookalikes(Faulty):
    """Unwraps whatever looks wrapped."""

    def received(self, delivery):
        if b'"Message"' not in delivery.envelope.body:
            return delivery
        inner = json.loads(delivery.envelope.body)["Message"]
        return attrs.evolve(delivery, envelope=attrs.evolve(delivery.envelope, body=inner.encode()))


@caught_by("C029")
class WeighsTheBatch(Faulty):
    async def publish(self, batch):
        if sum(len(each.body) for each in batch) > 2_000_000:
            return [MessageTooLarge() for _ in batch]
        return await self._queue.publish(batch)
