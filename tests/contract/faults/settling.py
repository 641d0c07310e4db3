"""Faults in settling and in delays."""

from datetime import timedelta

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Clock,
    Delivery,
    LeaseLost,
    Queue,
    Release,
    Retry,
    Settling,
    State,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C060", "C070", "C085")
class LosesOnCrash(Faulty):
    """At most once: what is handed out is gone."""

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, wait)
        await self._queue.settle([Settling(delivery, Ack()) for delivery in received])
        return received

    async def settle(self, batch):
        return [None for _ in batch]


@caught_by("C030")
class RedeliversAfterAck(Faulty):
    def settled(self, item):
        return Release() if isinstance(item.settlement, Ack) else item.settlement


@caught_by("C040", "C041", "C050")
class AcksOnRetry(Faulty):
    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


@caught_by("C031", "C036")
class RefusesTheSecondAck(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._seen: set[int] = set()

    async def settle(self, batch):
        answers = await self._queue.settle(batch)
        return [LeaseLost() if self._again(item) else answer for item, answer in zip(batch, answers, strict=True)]

    def _again(self, item):
        known = id(item.delivery) in self._seen
        self._seen.add(id(item.delivery))
        return known


@caught_by("C032", "C035", "C075", "C034", "C093")
class SwallowsSettleFailures(Faulty):
    async def settle(self, batch):
        await self._queue.settle(batch)
        return [None for _ in batch]


@caught_by("C035", "C055")
class RaisesForTheWholeBatch(Faulty):
    async def settle(self, batch):
        answers = await self._queue.settle(batch)
        for answer in answers:
            if answer is not None:
                raise answer
        return answers


@caught_by("C075", "C094")
class AcceptsAStaleAck(Faulty):
    """Settles by id alone."""

    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, delivery=_refreshed(each.delivery)) for each in batch])


def _refreshed(delivery: Delivery) -> Delivery:
    store, stored, _ = delivery.receipt or (None, None, None)
    return attrs.evolve(delivery, receipt=stored and (store, stored, stored.token))


@caught_by("C052")
class CountsReleases(Faulty):
    """Giving back counts as an attempt, and nothing is declared about it."""

    def settled(self, item):
        return Retry(0) if isinstance(item.settlement, Release) else item.settlement


@caught_by("C176")
class DropsFollowUps(Faulty):
    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, follow_ups=()) for each in batch])


@caught_by("C177", "C178")
class PublishesFollowUpsFirst(Faulty):
    """Not one transaction, although it is declared."""

    async def settle(self, batch):
        for each in batch:
            await self._queue.publish(each.follow_ups)
        return await self._queue.settle([attrs.evolve(each, follow_ups=()) for each in batch])


@caught_by("C041")
class RetriesASecondEarly(Faulty):
    def settled(self, item):
        if isinstance(item.settlement, Retry) and item.settlement.delay:
            return Retry(item.settlement.delay - timedelta(seconds=1))
        return item.settlement


@caught_by("C049")
class RoundsDelaysDown(Faulty):
    def published(self, envelope):
        return envelope if envelope.not_before is None else attrs.evolve(envelope, not_before=self._whole(envelope))

    def _whole(self, envelope):
        now = self._clock.now()
        return now + timedelta(seconds=int((envelope.not_before - now).total_seconds()))


@caught_by("C044", "C048", "C059")
class ForgetsDelays(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, not_before=None)


@caught_by("C059")
class CutsLongDelays(Faulty):
    """Keeps at most fifteen minutes, and does not say so."""

    def published(self, envelope):
        latest = self._clock.now() + timedelta(minutes=15)
        if envelope.not_before is None or envelope.not_before < latest:
            return envelope
        return attrs.evolve(envelope, not_before=latest)


@caught_by("C040", "C042", "C081")
class RetriesByCopy(Faulty):
    """Publishes a copy and acknowledges: another id, another place, a new count."""

    async def settle(self, batch):
        for each in batch:
            if isinstance(each.settlement, Retry):
                await self._queue.publish([attrs.evolve(each.delivery.envelope, priority=65_536, not_before=None)])
        return await super().settle(batch)

    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


@caught_by("C037")
class SettlesByNumber(Faulty):
    """Knows receipts of other queues by their number only, and settles its own message of that number."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._held: list[Delivery] = []

    def received(self, delivery):
        self._held.append(delivery)
        return delivery

    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, delivery=self._own(each.delivery)) for each in batch])

    def _own(self, delivery):
        return delivery if delivery in self._held else self._held[-1]


@caught_by("C039")
class AcceptsForOthers(Faulty):
    """Says that what another holder received is settled, and does nothing."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._held: list[Delivery] = []

    def received(self, delivery):
        self._held.append(delivery)
        return delivery

    async def settle(self, batch):
        return await self._queue.settle([each for each in batch if each.delivery in self._held]) or [None]


@caught_by("C038")
class SettlesOneCall(Faulty):
    """Settles as much as one call carries."""

    async def settle(self, batch):
        limit = self._queue.capabilities.max_batch
        return [*await self._queue.settle(batch[:limit]), *[None for _ in batch[limit:]]]


@caught_by("C053")
class NamesEntriesByMessage(Faulty):
    """The entries of a batch are named after their messages, which the broker wants distinct."""

    async def settle(self, batch):
        if len({each.delivery.id for each in batch}) < len(batch):
            raise AdapterError("BatchEntryIdsNotDistinct")
        return await self._queue.settle(batch)


@caught_by("C051", "C112", "C116")
class ReleasesByCopy(Faulty):
    async def settle(self, batch):
        for each in batch:
            if isinstance(each.settlement, Release):
                await self._queue.publish([each.delivery.envelope])
        return await super().settle(batch)

    def settled(self, item):
        return Ack() if isinstance(item.settlement, Release) else item.settlement


@caught_by("C054")
class SettlesAllAlike(Faulty):
    """One command for the whole batch, the one of its first item."""

    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, settlement=batch[0].settlement) for each in batch])


@caught_by("C056")
class RefusesThePast(Faulty):
    def published(self, envelope):
        if envelope.not_before is None:
            return envelope
        return attrs.evolve(envelope, not_before=self._clock.now() + abs(envelope.not_before - self._clock.now()))


@caught_by("C057")
class RetainsByTheWallClock(Faulty):
    """Throws away what seems to be half an hour old."""

    async def receive(self, limit, wait):
        if ((await self._queue.stats()).oldest_age or timedelta()) > timedelta(minutes=30):
            await self._queue.purge(frozenset({State.READY}))
        return await self._queue.receive(limit, wait)
