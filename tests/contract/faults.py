"""Adapters with one fault each, to prove that the contract would notice.

Each is the sound queue in memory behind a thin wrapper that does one thing wrong.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Capabilities,
    Clock,
    Delivery,
    Envelope,
    Jitter,
    LeaseLost,
    Peek,
    Queue,
    QueueStats,
    Record,
    Release,
    Retry,
    Settlement,
    Settling,
    State,
)
from pulpo_core.adapters.memory import MemoryAdapter


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
        return await MemoryAdapter().create(url, options)


# --- publishing and receiving ---


class StoresNothing(Faulty):
    """Confirms without storing."""

    async def publish(self, batch):
        return [str(number) for number, _ in enumerate(batch)]


class StoresTwice(Faulty):
    """A driver's hidden retry."""

    async def publish(self, batch):
        await self._queue.publish(batch)
        return await self._queue.publish(batch)


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


class DoesNotWait(Faulty):
    async def receive(self, limit, wait):
        return await self._queue.receive(limit, timedelta())


class SleepsThrough(Faulty):
    """Polls at the end of its wait only."""

    async def receive(self, limit, wait):
        return await self._queue.receive(limit, timedelta()) or await self._later(limit, wait)

    async def _later(self, limit, wait):
        await self._clock.sleep(wait.total_seconds())
        return await self._queue.receive(limit, timedelta())


class WaitsForAFullBatch(Faulty):
    async def receive(self, limit, wait):
        received = list(await self._queue.receive(limit, wait))
        if 0 < len(received) < limit:
            received += await self._queue.receive(limit - len(received), wait)
        return received


class IgnoresTheLimit(Faulty):
    async def receive(self, limit, wait):
        return await self._queue.receive(limit + 2, wait)


class SharesOneQueue(Faulty):
    """Every URL is the same queue."""

    @staticmethod
    def rewrite(url: str) -> str:
        return "memory://the-same-for-all-urls"


class CutsTheBatch(Faulty):
    """Publishes as much as one call carries, and forgets the rest."""

    async def publish(self, batch):
        limit = self._queue.capabilities.max_batch
        return [*await self._queue.publish(batch[:limit]), *map(str, range(len(batch[limit:])))]


class SwallowsPublishFailures(Faulty):
    async def publish(self, batch):
        return ["0" if isinstance(answer, AdapterError) else answer for answer in await self._queue.publish(batch)]


# --- payload ---


class MutatesBytes(Faulty):
    """Decodes what need not be text."""

    def published(self, envelope):
        return attrs.evolve(envelope, body=envelope.body.decode(errors="replace").encode())


class TranslatesNewlines(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, body=envelope.body.replace(b"\r\n", b"\n"))


class KeepsNoLimit(Faulty):
    """Declares the limit of its broker and does not enforce it."""

    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?max_body=100000000"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, max_body_bytes=1_048_576)


class CountsItsOwnFrame(Faulty):
    """Takes a little less than it declares."""

    async def publish(self, batch):
        answers = await self._queue.publish([e if len(e.body) < 1_048_570 else self._longer(e) for e in batch])
        return list(answers)

    def _longer(self, envelope):
        return attrs.evolve(envelope, body=envelope.body + b"frame...")


# --- settling ---


class LosesOnCrash(Faulty):
    """At most once: what is handed out is gone."""

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, wait)
        await self._queue.settle([Settling(delivery, Ack()) for delivery in received])
        return received

    async def settle(self, batch):
        return [None for _ in batch]


class RedeliversAfterAck(Faulty):
    def settled(self, item):
        return Release() if isinstance(item.settlement, Ack) else item.settlement


class AcksOnRetry(Faulty):
    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


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


class SwallowsSettleFailures(Faulty):
    async def settle(self, batch):
        await self._queue.settle(batch)
        return [None for _ in batch]


class RaisesForTheWholeBatch(Faulty):
    async def settle(self, batch):
        answers = await self._queue.settle(batch)
        for answer in answers:
            if answer is not None:
                raise answer
        return answers


class AcceptsAStaleAck(Faulty):
    """Settles by id alone."""

    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, delivery=_refreshed(each.delivery)) for each in batch])


def _refreshed(delivery: Delivery) -> Delivery:
    store, stored, _ = delivery.receipt or (None, None, None)
    return attrs.evolve(delivery, receipt=stored and (store, stored, stored.token))


class CountsReleases(Faulty):
    """Giving back counts as an attempt, and nothing is declared about it."""

    def settled(self, item):
        return Retry(0) if isinstance(item.settlement, Release) else item.settlement


class DropsFollowUps(Faulty):
    async def settle(self, batch):
        return await self._queue.settle([attrs.evolve(each, follow_ups=()) for each in batch])


class PublishesFollowUpsFirst(Faulty):
    """Not one transaction, although it is declared."""

    async def settle(self, batch):
        for each in batch:
            await self._queue.publish(each.follow_ups)
        return await self._queue.settle([attrs.evolve(each, follow_ups=()) for each in batch])


# --- delay ---


class RetriesASecondEarly(Faulty):
    def settled(self, item):
        if isinstance(item.settlement, Retry) and item.settlement.delay:
            return Retry(item.settlement.delay - timedelta(seconds=1))
        return item.settlement


class RoundsDelaysDown(Faulty):
    def published(self, envelope):
        return envelope if envelope.not_before is None else attrs.evolve(envelope, not_before=self._whole(envelope))

    def _whole(self, envelope):
        now = self._clock.now()
        return now + timedelta(seconds=int((envelope.not_before - now).total_seconds()))


class ForgetsDelays(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, not_before=None)


class CutsLongDelays(Faulty):
    """Keeps at most fifteen minutes, and does not say so."""

    def published(self, envelope):
        latest = self._clock.now() + timedelta(minutes=15)
        if envelope.not_before is None or envelope.not_before < latest:
            return envelope
        return attrs.evolve(envelope, not_before=latest)


class RetriesByCopy(Faulty):
    """Publishes a copy and acknowledges: another id, another place, a new count."""

    async def settle(self, batch):
        for each in batch:
            if isinstance(each.settlement, Retry):
                await self._queue.publish([attrs.evolve(each.delivery.envelope, priority=65_536, not_before=None)])
        return await super().settle(batch)

    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


# --- leases ---


class NeverEndsLeases(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?lease=9999d"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, lease=timedelta(seconds=30))


class EndsLeasesEarly(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return f"{url}?lease=10s"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, lease=timedelta(seconds=30))


class PretendsToExtend(Faulty):
    async def extend(self, batch):
        return [self._clock.monotonic() + 30.0 for _ in batch]


class ExtendsAfterSettle(Faulty):
    """Answers an extension of what is settled with a deadline."""

    async def extend(self, batch):
        answers = await self._queue.extend(batch)
        return [answer if isinstance(answer, float) else self._clock.monotonic() + 30.0 for answer in answers]


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


class TellsLateDeadlines(Faulty):
    def received(self, delivery):
        delivery.lease.deadline += 5
        return delivery


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


# --- attempts ---


class ResetsAttempts(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, attempt=1)


class CountsRetriesOnly(Faulty):
    """A crash does not count: a crash loop goes on for ever."""

    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt - delivery.lost)


class TakesRetriesForLosses(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, lost=delivery.attempt - 1)


class CountsFromZero(Faulty):
    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt - 1)


# --- burial ---


class ForgetsTheReason(Faulty):
    def settled(self, item):
        return Bury("buried", item.settlement.error) if isinstance(item.settlement, Bury) else item.settlement


class BuriesByDropping(Faulty):
    def settled(self, item):
        return Ack() if isinstance(item.settlement, Bury) else item.settlement


class KicksTheDelayed(Faulty):
    """Kicks what is delayed when nothing is buried, as beanstalkd's own command does."""

    async def kick(self, ids=None, *, limit=None):
        kicked = await self._queue.kick(ids, limit=limit)
        record = await self._queue.peek(Peek.DELAYED)
        if kicked or record is None:
            return kicked
        await self._queue.delete([record.id])
        await self._queue.publish([attrs.evolve(record.envelope, not_before=None)])
        return 1


class KicksAll(Faulty):
    async def kick(self, ids=None, *, limit=None):
        return await self._queue.kick()


class KickKeepsAttempts(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._before: dict[str, int] = {}

    async def kick(self, ids=None, *, limit=None):
        self._before.update({each.id: each.attempts for each in (await self._queue.buried()).records})
        return await self._queue.kick(ids, limit=limit)

    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt + self._before.get(delivery.id, 0))


class KeepsTheFirstReason(Faulty):
    """A record beside the message that is never removed."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._records: dict[str, Bury] = {}

    def settled(self, item):
        if isinstance(item.settlement, Bury):
            return self._records.setdefault(item.delivery.id, item.settlement)
        return item.settlement


# --- order ---


class ForgetsPriority(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, priority=65_536)


class ReordersEquals(Faulty):
    async def publish(self, batch):
        return (await self._queue.publish(batch[::-1]))[::-1]


class ForgetsGroups(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, group=None)


class ReordersAGroupOnFailure(Faulty):
    """Puts a failed message of a group behind the others."""

    async def settle(self, batch):
        for each in batch:
            if isinstance(each.settlement, Retry):
                await self._queue.publish([each.delivery.envelope])
        return await super().settle(batch)

    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


# --- inspecting ---


class PeeksByTaking(Faulty):
    """Looks by receiving and putting back."""

    async def peek(self, kind, id=None) -> Record | None:  # noqa: A002 - the port's word
        if kind is Peek.READY:
            for delivery in await self._queue.receive(1, timedelta()):
                await self._queue.settle([Settling(delivery, Retry(0))])
        return await self._queue.peek(kind, id)


class PurgesEverything(Faulty):
    async def purge(self, states):
        return await self._queue.purge(frozenset({State.READY, State.DELAYED, State.BURIED}))


class DeletesWhatIsInHand(Faulty):
    async def delete(self, ids):
        return [None for _ in ids]


class MakesUpCounts(Faulty):
    """Tells nothing as nought."""

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, count_states=frozenset({"ready"}))

    async def stats(self) -> QueueStats:
        return attrs.evolve(await self._queue.stats(), delayed=0, reserved=0, buried=0)


class PausesItselfOnly(Faulty):
    """A pause that other holders do not notice."""

    _paused = False

    async def pause(self, duration=None):
        self._paused = True

    async def resume(self):
        self._paused = False

    async def receive(self, limit, wait):
        return [] if self._paused else await self._queue.receive(limit, wait)


# --- lifecycle ---


class IgnoresInterrupts(Faulty):
    def interrupt(self) -> None:
        pass


class LosesCancelledReceives(Faulty):
    """Acknowledges at the broker before the delivery has reached anybody."""

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, wait)
        kept = [attrs.evolve(delivery) for delivery in received]
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self._queue.settle([Settling(delivery, Ack()) for delivery in kept])
            raise
        return received


class LeaksTasks(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._heartbeat = asyncio.get_running_loop().create_task(clock.sleep(10**6))


class WorksWhenClosed(Faulty):
    async def publish(self, batch):
        try:
            return await self._queue.publish(batch)
        except AdapterError:
            return ["0" for _ in batch]


class LogsBodies(Faulty):
    def published(self, envelope):
        logging.getLogger("pulpo.faulty").debug("publishing %r", envelope.body)
        return envelope


# --- honesty ---


class IgnoresUnknownParameters(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return url.partition("?")[0]


class AcceptsSecrets(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return url.replace("user:hunter2@", "")


class PromisesNoPriorities(Faulty):
    """Does not declare priorities, and takes them all the same."""

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, priority=False)


class PromisesMoreThanItsAdapter(Faulty):
    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, late_ack=True)
