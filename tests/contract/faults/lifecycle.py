"""Faults in opening, closing, cancelling, and in what happens when the broker goes away."""

import asyncio
import logging
import threading
from collections import Counter
from datetime import timedelta
from typing import ClassVar

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Clock,
    Queue,
    Settling,
    State,
    Unavailable,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C143")
class IgnoresInterrupts(Faulty):
    def interrupt(self) -> None:
        pass


@caught_by("C140")
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


@caught_by("C147")
class LeaksTasks(Faulty):
    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self._heartbeat = asyncio.get_running_loop().create_task(clock.sleep(10**6))


@caught_by("C145")
class WorksWhenClosed(Faulty):
    async def publish(self, batch):
        try:
            return await self._queue.publish(batch)
        except AdapterError:
            return ["0" for _ in batch]


@caught_by("C158")
class LogsBodies(Faulty):
    def published(self, envelope):
        logging.getLogger("pulpo.faulty").debug("publishing %r", envelope.body)
        return envelope


@caught_by("C141")
class RepeatsWhenCancelled(Faulty):
    async def publish(self, batch):
        answers = await self._queue.publish(batch)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self._queue.publish(batch)
            raise
        return answers


@caught_by("C141", "C142")
class BreaksWhenCancelled(Faulty):
    """Reads the old answer to the next question."""

    _broken = False

    async def publish(self, batch):
        return await self._unless_broken(self._queue.publish(batch))

    async def settle(self, batch):
        return await self._unless_broken(self._queue.settle(batch))

    async def _unless_broken(self, operation):
        answer = await operation
        if self._broken:
            raise AdapterError("this is not the answer to that")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._broken = True
            raise
        return answer


@caught_by("C144", "C015", "C161")
class NeverComesBack(Faulty):
    """Waits without end, whatever happens to the queue."""

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, timedelta())
        if wait and not received:
            await self._clock.sleep(10**6)
        return received


@caught_by("C146")
class AdmitsAFew(Faulty):
    """Refuses when several hold it."""

    holders: ClassVar[Counter[str]] = Counter()

    def __init__(self, queue: Queue, clock: Clock) -> None:
        super().__init__(queue, clock)
        self.holders[queue.url] += 1

    async def publish(self, batch):
        if self.holders[self._queue.url] > 5:
            raise Unavailable("too many holders")
        return await self._queue.publish(batch)

    async def closing(self) -> None:
        await asyncio.sleep(0)
        self.holders[self._queue.url] -= 1


@caught_by("C149", "C002")
class EmptiesAtClose(Faulty):
    async def closing(self) -> None:
        await self._queue.purge(frozenset({State.READY}))

    async def publish(self, batch):
        answers = await self._queue.publish(batch)
        await self._queue.purge(frozenset({State.READY})) if len(batch) == 1 else None
        return answers


@caught_by("C150")
class BelongsToOneThread(Faulty):
    async def publish(self, batch):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("made in another thread")
        return await self._queue.publish(batch)


@caught_by("C154")
class LosesUpdates(Faulty):
    """Reads, waits and writes: of two that publish at the same time one is lost."""

    _busy = False

    async def publish(self, batch):
        if self._busy:
            return ["0" for _ in batch]
        self._busy = True
        await asyncio.sleep(0)
        self._busy = False
        return await self._queue.publish(batch)


@caught_by("C160", "C161")
class NeverReconnects(Faulty):
    cut = False

    async def receive(self, limit, wait):
        received = await self._queue.receive(limit, min(wait, timedelta(seconds=5)))
        if self.cut:
            raise AdapterError("not connected")
        return received


@caught_by("C082", "C162")
class ForgetsAtARestart(Faulty):
    """Keeps everything where a restart does not find it."""

    forgetful = True


@caught_by("C163")
class NoticesNothing(Faulty):
    """Goes on as if the broker were there."""
