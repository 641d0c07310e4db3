"""Faults in looking, counting and repairing."""

from datetime import timedelta

import attrs

from pulpo_core import (
    Capabilities,
    Clock,
    MessageNotFound,
    Peek,
    Queue,
    QueueStats,
    Record,
    Retry,
    Settling,
    State,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C130", "C087")
class PeeksByTaking(Faulty):
    """Looks by receiving and putting back."""

    async def peek(self, kind, id=None) -> Record | None:  # noqa: A002 - the port's word
        if kind is Peek.READY:
            for delivery in await self._queue.receive(1, timedelta()):
                await self._queue.settle([Settling(delivery, Retry(0))])
        return await self._queue.peek(kind, id)


@caught_by("C132")
class PurgesEverything(Faulty):
    async def purge(self, states):
        return await self._queue.purge(frozenset({State.READY, State.DELAYED, State.BURIED}))


@caught_by("C133", "C098")
class DeletesWhatIsInHand(Faulty):
    async def delete(self, ids):
        return [None for _ in ids]


@caught_by("C128")
class MakesUpCounts(Faulty):
    """Tells nothing as nought."""

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, count_states=frozenset({"ready"}))

    async def stats(self) -> QueueStats:
        return attrs.evolve(await self._queue.stats(), delayed=0, reserved=0, buried=0)


@caught_by("C135", "C137", "C136")
class PausesItselfOnly(Faulty):
    """A pause that other holders do not notice."""

    _paused = False

    async def pause(self, duration=None):
        self._paused = True

    async def resume(self):
        self._paused = False

    async def receive(self, limit, wait):
        return [] if self._paused else await self._queue.receive(limit, wait)


@caught_by("C126", "C132")
class PurgesWithoutCounting(Faulty):
    async def purge(self, states):
        await self._queue.purge(states)
        return 0


@caught_by("C134")
class CountsWhatIsInHandAsReady(Faulty):
    async def stats(self) -> QueueStats:
        stats = await self._queue.stats()
        return attrs.evolve(stats, ready=stats.ready + stats.reserved, reserved=0)


@caught_by("C138")
class PeeksAtTheNewest(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._newest: str | None = None

    async def publish(self, batch):
        answers = await self._queue.publish(batch)
        self._newest = answers[-1]
        return answers

    async def peek(self, kind, id=None):  # noqa: A002 - the port's word
        return await self._queue.peek(Peek.ID, self._newest)


@caught_by("C139")
class SeesTheReadyOnly(Faulty):
    async def peek(self, kind, id=None):  # noqa: A002 - the port's word
        record = await self._queue.peek(kind, id)
        return record if record and record.state is State.READY else None


@caught_by("C129")
class ComplainsOfNothing(Faulty):
    async def peek(self, kind, id=None):  # noqa: A002 - the port's word
        record = await self._queue.peek(kind, id)
        if record is None:
            raise MessageNotFound
        return record


@caught_by("C127")
class NeverAges(Faulty):
    async def stats(self) -> QueueStats:
        return attrs.evolve(await self._queue.stats(), oldest_age=timedelta())
