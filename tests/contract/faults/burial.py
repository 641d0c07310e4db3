"""Faults in burial, kicking and order."""

from datetime import timedelta

import attrs

from pulpo_core import (
    Ack,
    Bury,
    Clock,
    Peek,
    Queue,
    Retry,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C091", "C103")
class ForgetsTheReason(Faulty):
    def settled(self, item):
        return Bury("buried", item.settlement.error) if isinstance(item.settlement, Bury) else item.settlement


@caught_by("C091", "C101")
class BuriesByDropping(Faulty):
    def settled(self, item):
        return Ack() if isinstance(item.settlement, Bury) else item.settlement


@caught_by("C097")
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


@caught_by("C095", "C105", "C102")
class KicksAll(Faulty):
    async def kick(self, ids=None, *, limit=None):
        return await self._queue.kick()


@caught_by("C083")
class KickKeepsAttempts(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._before: dict[str, int] = {}

    async def kick(self, ids=None, *, limit=None):
        self._before.update({each.id: each.attempts for each in (await self._queue.buried()).records})
        return await self._queue.kick(ids, limit=limit)

    def received(self, delivery):
        return attrs.evolve(delivery, attempt=delivery.attempt + self._before.get(delivery.id, 0))


@caught_by("C103")
class KeepsTheFirstReason(Faulty):
    """A record beside the message that is never removed."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._records: dict[str, Bury] = {}

    def settled(self, item):
        if isinstance(item.settlement, Bury):
            return self._records.setdefault(item.delivery.id, item.settlement)
        return item.settlement


@caught_by("C110", "C042", "C118")
class ForgetsPriority(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, priority=65_536)


@caught_by("C111", "C112", "C114")
class ReordersEquals(Faulty):
    async def publish(self, batch):
        return (await self._queue.publish(batch[::-1]))[::-1]


@caught_by("C113", "C115", "C119")
class ForgetsGroups(Faulty):
    def published(self, envelope):
        return attrs.evolve(envelope, group=None)


@caught_by("C117")
class HandsOutAGroupBackwards(Faulty):
    """Takes a whole group at once, and hands it out as it lies on the pile."""

    def published(self, envelope):
        return attrs.evolve(envelope, group=None)

    async def receive(self, limit, wait):
        return [*reversed(await super().receive(limit, wait))]


@caught_by("C115")
class ReordersAGroupOnFailure(Faulty):
    """Puts a failed message of a group behind the others."""

    async def settle(self, batch):
        for each in batch:
            if isinstance(each.settlement, Retry):
                await self._queue.publish([each.delivery.envelope])
        return await super().settle(batch)

    def settled(self, item):
        return Ack() if isinstance(item.settlement, Retry) else item.settlement


@caught_by("C090")
class LetsTheDeadRise(Faulty):
    """Kicks by itself what has been buried for long."""

    async def receive(self, limit, wait):
        for record in (await self._queue.buried()).records:
            if self._clock.now() - record.buried_at > timedelta(days=14):
                await self._queue.kick([record.id])
        return await self._queue.receive(limit, wait)


@caught_by("C096")
class KicksByCopyNewestFirst(Faulty):
    async def kick(self, ids=None, *, limit=None):
        records = [*(await self._queue.buried()).records][::-1]
        for record in records:
            await self._queue.publish([record.envelope])
        await self._queue.delete([record.id for record in records])
        return len(records)


@caught_by("C104")
class TearsPagesSilently(Faulty):
    async def buried(self, *, limit=1000):
        return attrs.evolve(await self._queue.buried(limit=limit), partial=False)


@caught_by("C106")
class KicksOne(Faulty):
    async def kick(self, ids=None, *, limit=None):
        return await self._queue.kick(ids, limit=limit or 1)


@caught_by("C098")
class DeletesNothing(Faulty):
    async def delete(self, ids):
        return [None for _ in ids]
