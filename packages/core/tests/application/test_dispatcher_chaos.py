"""Everything at once, by chance: whatever happens, every delivery is accounted for and no message is lost."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Delivery,
    FollowUp,
    LeaseLost,
    Message,
    PermissionDenied,
    Policy,
    QueueNotFound,
    Release,
    Retry,
    Route,
    State,
    Unavailable,
)
from pulpo_core.testing import LoopClock, run_virtual

from .fakes import BURST, FaultyAdapter, Worker, fresh_url, opened, pass_time, publish

SEEDS = range(60)


@attrs.define(eq=False)
class World:
    """One seed's worth of bad luck, and a record of what must not be lost.

    Attributes:
        done: uids whose handling came to its end at least once.
    """

    chance: random.Random
    done: set[str] = attrs.field(factory=set)
    calm: bool = False

    def happens(self, probability: float) -> bool:
        return not self.calm and self.chance.random() < probability

    async def pause(self) -> None:
        if self.happens(0.3):
            await asyncio.sleep(self.chance.random() * self.chance.choice([0.01, 1, 5]))
        if self.happens(0.01):
            await asyncio.sleep(self.chance.random() * 40)
        if self.happens(0.002):
            raise self.chance.choice([QueueNotFound("gone"), PermissionDenied("withdrawn"), KeyError("a defect")])

    def error(self) -> AdapterError:
        return self.chance.choice(
            [Unavailable("away"), Unavailable("no answer", in_doubt=True), AdapterError("for good"), LeaseLost("gone")]
        )

    # What goes wrong between the dispatcher and the queue

    async def receive(self, method: Any, limit: int, wait: timedelta) -> Sequence[Delivery]:
        await self.pause()
        if self.happens(0.1):
            raise Unavailable("away")
        deliveries = await method(limit, wait)
        await self.pause()
        return deliveries

    async def batch(self, method: Any, batch: Sequence[Any]) -> list[Any]:
        await self.pause()
        if self.happens(0.05):
            raise Unavailable("away")
        answers = []
        for item in batch:
            if self.happens(0.1):
                error = self.error()
                if error.in_doubt and self.happens(0.5):
                    await method([item])
                answers.append(error)
            else:
                answers += await method([item])
        await self.pause()
        return answers

    def adapter(self) -> FaultyAdapter:
        changes = {"atomic_follow_ups": self.chance.random() < 0.5, "late_ack": self.chance.random() < 0.5}
        return FaultyAdapter(changes, receive=self.receive, settle=self.batch, extend=self.batch, publish=self.batch)

    # What handlers do

    async def handle(self, message: Message, other: str) -> Any:
        if self.calm:
            return None
        await asyncio.sleep(self.chance.random() * self.chance.choice([0, 0.1, 3, 20]))
        deed = self.chance.choice(DEEDS)
        if deed == "raise":
            raise ValueError("by chance")
        if deed == "cancel itself":
            asyncio.current_task().cancel()
            if self.chance.random() < 0.5:
                await asyncio.sleep(1)
        if deed == "swallow":
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                await asyncio.sleep(self.chance.random())
        if deed == "time out inside":
            async with asyncio.timeout(self.chance.random()):
                await asyncio.sleep(1)
        self.done.add(message.uid or "")
        if message.payload or deed != "follow up":
            return RESULTS.get(deed)
        follow_ups = [Message(request_type="job", body={"payload": 1}) for _ in range(self.chance.randint(1, 3))]
        return [FollowUp(each, other) if self.chance.random() < 0.5 else each for each in follow_ups]


RESULTS = {"false": False, "ack": Ack(), "retry": Retry(0.5), "bury": Bury("so"), "release": Release()}
DEEDS = ["return"] * 8 + ["raise"] * 2 + ["follow up"] * 2 + ["cancel itself", "swallow", "time out inside", *RESULTS]


async def everything(url: str) -> set[str]:
    """The uids of all messages that are in the queue, in whatever state."""
    async with opened(url) as queue:
        return {stored.envelope.uid for stored in queue._store.all()}


async def work(worker: Worker, chance: random.Random, grace: float) -> None:
    """Let *worker* run for a while, and end it in one of the ways in which workers end."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(ended(worker))
        await pass_time(chance.random() * chance.choice([0.1, 5, 60]))
        began = LoopClock().monotonic()
        worker.stop()
        if chance.random() < 0.3:
            await pass_time(chance.random() * 3)
            worker.stop(now=True)
        if chance.random() < 0.1:
            await pass_time(chance.random())
            task.cancel()
    assert LoopClock().monotonic() - began < grace + 60, "it ends soon"
    held = sum(ledger.in_hand for ledger in worker.dispatcher.ledgers.values())
    assert task.cancelled() or held == len(worker.dispatcher.unsettled), "what is left is named"


async def ended(worker: Worker) -> None:
    with contextlib.suppress(QueueNotFound, PermissionDenied, KeyError):
        await worker.run()


async def live(seed: int) -> None:
    chance = random.Random(seed)
    world = World(chance)
    urls = [fresh_url(f"?lease={chance.choice([2, 5, 30])}s") for _ in range(chance.randint(1, 3))]
    groups = [None, None, "a", "b"]
    published: set[str] = set()
    for url in urls:
        for _ in range(chance.randint(0, 25)):
            group = chance.choice(groups)
            header = {"group": group} if group else {}
            [message] = await publish(url, Message(request_type="job", body={"payload": 0}, header=header))
            published.add(message.uid or "")

    def route(index: int, url: str) -> Route:
        async def handler(message: Message) -> Any:
            return await world.handle(message, urls[index - 1])

        return Route(
            url,
            handler,
            name=f"route-{index}",
            adapter=world.adapter(),
            concurrency=chance.randint(1, 6),
            prefetch=chance.randint(0, 4),
            timeout=chance.choice([None, 2, 10]),
            policy=Policy(max_attempts=0),
            wait=chance.choice([0.5, 5, 20]),
        )

    for _ in range(chance.randint(1, 3)):
        grace = chance.choice([0, 1, 30])
        worker = Worker.of(
            *[route(*each) for each in enumerate(urls)], concurrency=chance.choice([None, None, 1, 4]), grace=grace
        )
        await work(worker, chance, grace)

    left = set().union(*[await everything(url) for url in urls])
    assert published <= left | world.done, "no message is gone that was not handled"

    world.calm = True
    await pass_time(3_600)  # longer than any delay or lease
    await Worker.of(*[route(*each) for each in enumerate(urls)], until=BURST).run()
    for url in urls:
        async with opened(url) as queue:
            assert {stored.state for stored in queue._store.all()} <= {State.BURIED}, "everything else is handled"


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_everything_is_accounted_for_and_nothing_is_lost(seed):
    run_virtual(live(seed))
