"""The bench on which one clause tries one fresh queue: short words for what clauses do all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import AdapterError, Unavailable
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.settlement import Ack, Retry, Settlement
from pulpo_core.ports.adapter import Queue, Record, Settling
from pulpo_core.ports.clock import Jitter

from .background import Background, Begun, result_of, tried
from .harness import Harness, MovableClock
from .seeded_jitter import SeededJitter

T = TypeVar("T")

#: How long a clause waits for what must come, in the time of its clock.
_PATIENCE = 20.0

#: More receives and deliveries than any clause has use for: without this some faults would let it run for ever.
_FAR_TOO_MANY = 20_000

#: Real seconds between two nudges of a manual clock under an operation that waits for it to move.
_NUDGE = 0.05

#: Real seconds that a slow machine may be behind a manual clock.
_SLOW_MACHINE = 5.0

#: Real seconds for whatever works in threads, before a manual clock is moved on.
_THREADS_TURN = 0.01


@attrs.define(eq=False)
class Bench:
    """One fresh queue, a clock, and whoever else holds the queue.

    Attributes:
        url: names the queue.
        queue: the queue, opened once; `other` opens it again.
    """

    harness: Harness
    url: str
    clock: MovableClock
    queue: Queue
    _stack: AsyncExitStack
    _background: Background
    _numbers: count[int] = attrs.field(factory=lambda: count(1))
    _received: int = attrs.field(default=0, init=False)

    @property
    def caps(self) -> Capabilities:
        """What the open queue promises."""
        return self.queue.capabilities

    @property
    def jitter(self) -> Jitter:
        """Chance for one holder, the same in each run."""
        return SeededJitter(next(self._numbers))

    # --- holders ---

    async def other(self) -> Queue:
        """The same queue, opened by somebody else."""
        return await self._stack.enter_async_context(self.opened(self.url))

    async def elsewhere(self) -> Bench:
        """The same bench with another queue, fresh too."""
        url = await self._stack.enter_async_context(self.harness.fresh_url())
        return attrs.evolve(self, url=url, queue=await self._stack.enter_async_context(self.opened(url)))

    def opened(self, url: str) -> AbstractAsyncContextManager[Queue]:
        """A context in which *url* is open."""
        return self.harness.adapter().open(url, clock=self.clock, jitter=self.jitter)

    # --- time ---

    @property
    def delay(self) -> float:
        """A delay that this queue keeps faithfully, in seconds."""
        return self.harness.delay.total_seconds()

    @property
    def long_delay(self) -> float:
        """A delay that is not over before the clause is, in seconds."""
        longest = self.caps.max_delay
        return 3600.0 if longest is None else min(3600.0, longest.total_seconds())

    @property
    def lease(self) -> float:
        """How long a delivery is ours, in seconds."""
        assert self.caps.lease is not None
        return self.caps.lease.total_seconds()

    @property
    def tolerance(self) -> float:
        """How much later than due something may happen, in seconds; the grain of delays included."""
        return (self.harness.tolerance + self.caps.granularity).total_seconds()

    async def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        await self.clock.advance(seconds)

    async def persist(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of *attempt* at a queue that may be away for the moment."""
        end = self.clock.monotonic() + 3 * _PATIENCE
        while True:
            try:
                return await attempt()
            except AdapterError as error:
                assert error.temporary, f"the queue is away for good: {error!r}"
                assert self.clock.monotonic() < end, f"the queue does not come back: {error!r}"
                await self.advance(0.1)

    async def pass_lease(self) -> None:
        """Let so much time pass that every lease has ended, if leases end."""
        if self.caps.lease is not None:
            await self.advance(self.lease + self.tolerance)

    def begin(self, operation: Coroutine[Any, Any, T]) -> Begun[T]:
        """Start *operation* beside the clause; `finish` gives its result."""
        return self._background.begin(operation)

    async def finish(self, begun: Begun[T], *, within: float) -> T:
        """The result of *begun*, which must come before *within* seconds have passed."""
        end = self.clock.monotonic() + within
        while not await self._came(begun, within / 40):
            if self.clock.monotonic() > end:
                await self._last_chance(begun)
                assert begun.done(), f"nothing came within {within:g} s"
        return result_of(begun)

    async def call(self, operation: Coroutine[Any, Any, T]) -> T:
        """Await *operation*; a manual clock is nudged along in case the operation waits for it to move."""
        if self.harness.time != "manual":
            return await operation
        begun = self.begin(operation)
        while not (await asyncio.wait({begun}, timeout=_NUDGE))[0]:
            await self.clock.advance(0.001)
        return result_of(begun)

    async def together(self, *operations: Coroutine[Any, Any, T]) -> list[T]:
        """Await all *operations* at once; their results in order."""
        begun = [self.begin(operation) for operation in operations]
        for each in begun:
            await self.finish(each, within=_PATIENCE)
        return [result_of(each) for each in begun]

    async def _last_chance(self, begun: Begun[Any]) -> None:
        """A manual clock may have run ahead of a machine that is slow today: wait for that, and for nothing else."""
        if self.harness.time == "manual":
            await asyncio.wait({begun}, timeout=_SLOW_MACHINE)

    async def _came(self, task: asyncio.Task[Any], step: float) -> bool:
        """Whether *task* is done, after a *step* of time if need be."""
        if self.harness.time != "manual":
            await asyncio.wait({task}, timeout=step)
            return task.done()
        await asyncio.wait({task}, timeout=_THREADS_TURN)
        if not task.done():
            await self.clock.advance(step)
        return task.done()

    # --- publishing ---

    def envelope(self, body: bytes | None = None, **fields: Any) -> Envelope:
        """An envelope; with a body that no other has, unless told."""
        number = next(self._numbers)
        text = b"message %d" % number
        return Envelope(
            body=text if body is None else body,
            uid=f"uid-{number}",
            published_at=self.clock.now(),
            **fields,
        )

    def delayed(self, seconds: float, body: bytes | None = None, **fields: Any) -> Envelope:
        """An envelope that must not come before *seconds* have passed."""
        return self.envelope(body, not_before=self.clock.now() + timedelta(seconds=seconds), **fields)

    async def publish(self, *envelopes: Envelope, queue: Queue | None = None) -> list[str]:
        """Publish all and give back their ids; each must be confirmed.

        Raises:
            Unavailable: the queue is away for the moment.
        """
        answers = await self.call((queue or self.queue).publish(envelopes))
        assert len(answers) == len(envelopes), "publish answers for each envelope"
        for answer in answers:
            if isinstance(answer, Unavailable):
                raise answer
            assert isinstance(answer, str), f"publish refused: {answer!r}"
        return [str(answer) for answer in answers]

    async def publish_bodies(self, *bodies: bytes) -> list[str]:
        """Publish one envelope for each body."""
        return await self.publish(*[self.envelope(body) for body in bodies])

    # --- receiving ---

    async def take(self, number: int = 1, *, queue: Queue | None = None) -> list[Delivery]:
        """Receive *number* deliveries, however many calls that takes."""
        taken: list[Delivery] = []
        while len(taken) < number:
            received = await self.receive(number - len(taken), wait=_PATIENCE, queue=queue)
            assert received, f"{number} messages are ready, but only {len(taken)} of them came"
            taken.extend(received)
        return taken

    async def take_one(self, *, queue: Queue | None = None) -> Delivery:
        """Receive one delivery."""
        (delivery,) = await self.take(queue=queue)
        return delivery

    async def receive(self, limit: int, *, wait: float = 0.0, queue: Queue | None = None) -> Sequence[Delivery]:
        """Receive once; time is moved along as far as the queue waits."""
        operation = (queue or self.queue).receive(limit, timedelta(seconds=wait))
        if not wait:
            received = await self.call(operation)
        else:
            most = min(wait, self.caps.max_wait.total_seconds()) + self.tolerance
            received = await self.finish(self.begin(operation), within=2 * most)
        self._received += 1 + len(received)
        assert self._received < _FAR_TOO_MANY, "messages come again and again, or receives return without waiting"
        return received

    async def nothing_comes(self, why: str, *, queue: Queue | None = None) -> None:
        """Assert that nothing is handed out now."""
        received = await self.receive(10, queue=queue)
        assert not received, f"{why}, but {[delivery.id for delivery in received]} came"

    async def none_before(self, moment: float, why: str, *, queue: Queue | None = None) -> list[Delivery]:
        """Assert that nothing is handed out now.

        What came because the clock passed *moment* while asking is no fault; it is acknowledged and given back.
        """
        received = await self.receive(10, queue=queue)
        early = self.clock.monotonic() < moment and [delivery.id for delivery in received]
        assert not early, f"{why}, but {early} came"
        await self.ack(*received, queue=queue)
        return list(received)

    async def drain(self, *, queue: Queue | None = None) -> list[Delivery]:
        """Receive and acknowledge until nothing comes any more."""
        drained: list[Delivery] = []
        while received := await self.receive(self.caps.max_batch, queue=queue):
            drained.extend(received)
            await self.ack(*received, queue=queue)
        return drained

    # --- settling ---

    async def settle(
        self, delivery: Delivery, settlement: Settlement, *, queue: Queue | None = None
    ) -> AdapterError | None:
        """Settle one delivery; the queue's answer."""
        (answer,) = await self.settle_all([(delivery, settlement)], queue=queue)
        return answer

    async def settle_all(
        self, pairs: Sequence[tuple[Delivery, Settlement]], *, queue: Queue | None = None
    ) -> Sequence[AdapterError | None]:
        """Settle each delivery in its own way, in one batch; the queue's answers."""
        batch = [Settling(delivery, settlement) for delivery, settlement in pairs]
        answers = await self.call((queue or self.queue).settle(batch))
        assert len(answers) == len(batch), "settle answers for each item"
        for answer in answers:
            assert answer is None or isinstance(answer, AdapterError), f"settle answered {answer!r}"
        return answers

    async def ack(self, *deliveries: Delivery, queue: Queue | None = None) -> None:
        """Acknowledge; each must succeed."""
        await self.must_settle([(delivery, Ack()) for delivery in deliveries], queue=queue)

    async def retry(self, delivery: Delivery, seconds: float = 0.0, *, queue: Queue | None = None) -> None:
        """Retry after *seconds*, or after the shortest delay that the queue keeps; must succeed."""
        delay = max(timedelta(seconds=seconds), self.caps.min_retry_delay)
        await self.must_settle([(delivery, Retry(delay))], queue=queue)

    async def retry_at_once(self, delivery: Delivery) -> None:
        """Retry, and let the shortest delay pass that the queue keeps."""
        await self.retry(delivery)
        if self.caps.min_retry_delay:
            await self.advance(self.caps.min_retry_delay.total_seconds() + self.tolerance)

    async def must_settle(self, pairs: Sequence[tuple[Delivery, Settlement]], *, queue: Queue | None = None) -> None:
        """Settle; each must succeed."""
        for (_, settlement), answer in zip(pairs, await self.settle_all(pairs, queue=queue), strict=True):
            assert answer is None, f"{type(settlement).__name__} was refused: {answer!r}"

    async def extend(self, *deliveries: Delivery, queue: Queue | None = None) -> Sequence[float | AdapterError]:
        """Extend leases; the queue's answers."""
        answers = await self.call((queue or self.queue).extend(deliveries))
        assert len(answers) == len(deliveries), "extend answers for each delivery"
        return answers

    # --- looking ---

    async def counts(self, **expected: int) -> None:
        """Assert that these states count so many messages, as soon as counts have caught up."""
        known = {name: number for name, number in expected.items() if name in self.caps.count_states}
        end = self.clock.monotonic() + self.harness.settle_time.total_seconds()
        while (seen := await self._counted(known)) != known and self.clock.monotonic() < end:
            await self.advance(self.harness.settle_time.total_seconds() / 20)
        assert seen == known, f"stats count {seen}, but there are {known}"

    async def _counted(self, names: Iterable[str]) -> dict[str, int | None]:
        stats = await self.call(self.queue.stats())
        return {name: getattr(stats, name) for name in names}

    async def buried(self, *, limit: int = 1000) -> Sequence[Record]:
        """The buried messages."""
        return (await self.call(self.queue.buried(limit=limit))).records

    async def refuses(self, operation: Coroutine[Any, Any, Any], *errors: type[Exception]) -> Exception:
        """Assert that *operation* raises one of *errors*; the error."""
        answer, error = await self.call(tried(operation))
        names = " or ".join(each.__name__ for each in errors)
        assert error is not None, f"expected {names}, but the answer was {answer!r}"
        assert isinstance(error, errors), f"expected {names}, not {error!r}"
        return error

    def purgeable(self) -> frozenset[State]:
        """The states that this queue can empty."""
        return frozenset(State(name) for name in self.caps.purge_states)
