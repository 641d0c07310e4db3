"""One life of the simulated world: faults for a while, then calm, and then everything must be accounted for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest

from pulpo_core import (
    AdapterError,
    Backoff,
    Breaker,
    Capabilities,
    Envelope,
    Handlers,
    Message,
    OnExpired,
    Policy,
    Route,
    State,
    Until,
    open_publisher,
)
from pulpo_core.application import dispatcher as dispatcher_module
from pulpo_core.testing import LoopClock, SeededJitter, Stuck

from .books import Books, Violation
from .broker import Broker
from .fate import Fate
from .handlers import Crew
from .network import Defect, SimulatedAdapter
from .scheduler import SeededLoop, SimulatedThreads
from .worker import SimulatedDispatcher, Worker

#: What happens to brokers and to those who are connected to them.
STRIKES = ("connections cut", "broker away", "broker restarts", "lease revoked", "clock steps", "route paused")

#: How workers come to their end.
ENDINGS = ("worker killed", "worker cancelled", "worker stopped", "worker stopped at once")

#: When workers end by themselves, while the world is not calm.
UNTIL = (
    *[None] * 6,
    Until(once=True),
    Until(burst=True),
    Until(max_messages=5),
    Until(max_empty_polls=2, poll_interval=timedelta(seconds=1)),
)

#: Times that the calm world is given another hour to come to rest.
HOURS = 40


@attrs.define(eq=False)
class World:
    """Brokers, workers and producers, and the fate of all of them."""

    fate: Fate
    books: Books
    brokers: list[Broker] = attrs.field(factory=list)
    workers: list[Worker] = attrs.field(factory=list)
    hired: int = 0
    producers: Worker = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        fate = self.fate
        for number in range(fate.whole(1, 3)):
            broker = Broker(f"sim://queue-{number}", _capabilities(fate), _policy(fate), fate, self.books)
            self.brokers.append(broker)
        self.producers = Worker(self, 0, None, self.brokers)

    def check(self) -> None:
        """What must be true at every step."""
        for worker in self.workers:
            worker.check_balance()

    def unheard(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that nobody took notice of."""
        self.books.object(f"unheard of: {context['message']}: {context.get('exception')!r}")

    def hire(self, until: Until | None = None) -> Worker:
        """A worker of all queues, with settings of its own."""
        self.hired += 1
        fate = self.fate
        worker = Worker(self, self.hired, fate.choice([None, None, 1, 4]), self.brokers)
        worker.most = until.max_messages if until else None
        worker.dispatcher = SimulatedDispatcher(
            [self._route(worker, broker) for broker in self.brokers],
            concurrency=worker.concurrency,
            threads=fate.choice([None, 1, 3]),
            grace=fate.choice([2, 30, 60]),
            thread_grace=fate.choice([1, 30]),
            until=until,
            observers=[worker],
            clock=worker.clock,
            jitter=SeededJitter(fate.seed + self.hired),
        )
        self.workers.append(worker)
        return worker

    def _route(self, worker: Worker, broker: Broker) -> Route:
        fate = self.fate
        limit = fate.whole(1, 6)
        crew = Crew(fate, self.books, worker, broker.url, broker.url, fate.choice(self.brokers).url, limit)
        handlers = Handlers()
        handlers("work")(crew.work)
        handlers("work in thread")(crew.work_in_thread)
        adapter: Any = SimulatedAdapter({each.url: each for each in self.brokers}, worker)
        return Route(
            broker.url,
            handlers,
            adapter=adapter,
            concurrency=limit,
            prefetch=fate.choice([0, 0, 3, 10]),
            timeout=fate.choice([None, 3, 20]),
            wait=timedelta(seconds=fate.choice([0.5, 1.5])),
            policy=broker.policy,
            error_handler=fate.choice([None, None, crew.on_error, crew.on_error_async]),
            rate_limit=fate.choice([None, None, None, "5/s"]),
            breaker=fate.choice([None, None, Breaker(failures=3, pause=timedelta(seconds=10))]),
        )

    # --- those who live in it

    async def employ(self) -> None:
        """Keep one worker at work until the world is calm."""
        while not self.fate.calm:
            worker = self.hire(self.fate.choice(UNTIL))
            async with asyncio.TaskGroup() as group:
                worker.task = group.create_task(worker.run())
            self.books.note("worker gone", worker.number, worker.ending)
            self.workers.remove(worker)
            await asyncio.sleep(self.fate.span(0.1, 5))

    async def produce(self, broker: Broker, seconds: float) -> None:
        """Publish now and then for some *seconds*."""
        adapter: Any = SimulatedAdapter({broker.url: broker}, self.producers)
        jitter = SeededJitter(self.fate.seed)
        async with open_publisher(broker.url, adapter=adapter, clock=LoopClock(), jitter=jitter) as publisher:
            for _ in range(self.fate.whole(0, 20)):
                try:
                    answers = await publisher.publish_many([self._message() for _ in range(self.fate.whole(1, 3))])
                except (AdapterError, Defect):
                    continue
                self.books.confirmed |= {(broker.url, str(each.id)) for each in answers if isinstance(each, Message)}
                await asyncio.sleep(self.fate.span(0.1, seconds / 20))
        if self.fate.chance(0.3):
            for body in (b"\xff", b"[]", b'{"header": 3}'):
                self.books.confirmed.add((broker.url, broker.publish(Envelope(body=body, uid="foreign"))))

    def _message(self) -> Message:
        fate = self.fate
        group = {"group": fate.choice("abc")} if fate.chance(0.4) else {}
        return Message(
            request_type=fate.choice(["work"] * 6 + ["work in thread"] * 2 + ["unknown"]),
            body={"follow_ups": fate.choice([0] * 6 + [1, 2])},
            priority=fate.choice([0, 65_536, 65_536, 4_294_967_295]),
            delay=fate.choice([None] * 5 + [3, 600]),
            expiration=fate.choice([None] * 6 + [20, 3600]),
            header=group,
        )

    async def rage(self, seconds: float) -> None:
        """Let things happen to the world for some *seconds*, each as likely as fate has it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.fate.span(0.2, 4))
            for fault in STRIKES:
                if self.fate.happens(fault):
                    self._strike(fault, self.fate.choice(self.brokers))
            for fault in ENDINGS:
                if self.workers and self.fate.happens(fault):
                    self._end(fault, self.fate.choice(self.workers))

    def _strike(self, fault: str, broker: Broker) -> None:
        fate = self.fate
        self.books.note(fault, broker.url)
        match fault:
            case "connections cut" | "broker away" | "broker restarts":
                for session in broker.sessions:
                    session.cut(fault)
                if fault == "broker away":
                    broker.away_until = broker.now + fate.span(1, 10, 60)
                if fault == "broker restarts" or fate.chance(0.5):
                    broker.revoke(list(broker.current.values()), fault)
            case "lease revoked" if broker.current:
                broker.revoke([fate.choice(list(broker.current.values()))], fault)
            case "clock steps" if self.workers:
                fate.choice(self.workers).clock.set_forward(fate.choice([-3600, -1, 1, 10, 3600]))
            case "route paused" if self.workers:
                self._pause(fate.choice(self.workers), broker.url)

    def _pause(self, worker: Worker, route: str) -> None:
        dispatcher = worker.dispatcher
        assert dispatcher is not None
        if route in dispatcher.ledgers:  # it has begun
            dispatcher.pause(route)
            asyncio.get_running_loop().call_later(self.fate.span(1, 30), dispatcher.resume, route)

    def _end(self, fault: str, worker: Worker) -> None:
        self.books.note(fault, worker.number)
        assert worker.dispatcher is not None
        if fault in {"worker killed", "worker cancelled"}:
            worker.leave(fault)
        else:
            worker.dispatcher.stop(now=fault == "worker stopped at once")

    # --- the end

    async def calm_down(self) -> None:
        """No more faults: stop every worker in order."""
        self.fate.calm = True
        for broker in self.brokers:
            broker.away_until = 0
        for worker in self.workers:
            assert worker.dispatcher is not None
            worker.dispatcher.stop()

    async def come_to_rest(self) -> None:
        """Let workers without faults do what is left, until nothing is."""
        for _ in range(HOURS):
            worker = self.hire(Until(burst=True))
            await worker.run()
            self.workers.remove(worker)
            if not any(broker.model.of(State.READY, State.DELAYED, State.RESERVED) for broker in self.brokers):
                return
            await asyncio.sleep(3600)
        self.books.object(f"after {HOURS} hours of calm not everything is done")

    def settle_accounts(self) -> None:
        """published = handled ∪ waiting ∪ buried."""
        for broker in self.brokers:
            waiting = set(broker.model.of(State.READY, State.DELAYED, State.RESERVED))
            gone = set(broker.model.of(State.GONE))
            confirmed = {name for url, name in self.books.confirmed if url == broker.url}
            lost = confirmed - waiting - gone - set(broker.burials)
            if lost:
                self.books.object(f"lost: {sorted(lost)}")
            for name in broker.model.of(State.BURIED):
                if not broker.burials[name].reason:
                    self.books.object(f"{name} is buried without a reason")


def _capabilities(fate: Fate) -> Capabilities:
    return Capabilities(
        lease=timedelta(seconds=fate.choice([3, 10, 60])),
        granularity=fate.choice([timedelta(milliseconds=1), timedelta(seconds=1)]),
        min_retry_delay=timedelta(seconds=fate.choice([0, 1])),
        max_retry_delay=fate.choice([None, timedelta(hours=12)]),
        attempt_slack=fate.choice([0, 10]),
        atomic_follow_ups=fate.chance(0.5),
        late_ack=fate.chance(0.5),
        groups=fate.chance(0.5),
        prompt_interrupt=fate.chance(0.7),
    )


def _policy(fate: Fate) -> Policy:
    return Policy(
        max_attempts=fate.choice([0, 2, 5, None]),
        max_lost=fate.choice([0, 0, 3]),
        backoff=Backoff(base=timedelta(seconds=fate.choice([0.1, 5])), cap=timedelta(seconds=60)),
        fatal=(ConnectionError,) if fate.chance(0.3) else (),
        on_expired=fate.choice(list(OnExpired)),
        unroutable_grace=fate.choice([0, 30]),
    )


@contextmanager
def simulated(fate: Fate) -> Iterator[None]:
    """Threads are simulated, and nobody hears of what is expected to go wrong."""

    def threads(size: int, *, on_exhausted: Any) -> SimulatedThreads:
        return SimulatedThreads(fate, size, on_exhausted)

    logger = logging.getLogger("pulpo")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatcher_module, "Threads", threads)
        try:
            yield
        finally:
            logger.setLevel(level)


async def _live(world: World) -> None:
    fate = world.fate
    asyncio.get_running_loop().set_exception_handler(world.unheard)
    seconds = fate.choice([20, 60, 200])
    async with asyncio.TaskGroup() as group:
        for _ in range(fate.choice([1, 1, 2])):
            group.create_task(world.employ())
        for broker in world.brokers:
            group.create_task(world.produce(broker, seconds))
        await world.rage(seconds)
        await world.calm_down()
    await world.come_to_rest()
    world.settle_accounts()


def live(seed: int, *, telling: bool = False) -> World:
    """One life; the world at its end.

    Raises:
        Violation: a promise was broken; the text says how to see it again.
    """
    books = Books(telling=telling)
    fate = Fate(seed)
    world = World(fate, books)
    failure: BaseException | None = None
    try:
        with simulated(fate), asyncio.Runner(loop_factory=lambda: SeededLoop(seed, world.check)) as runner:
            runner.run(_live(world))
    except (Exception, Stuck) as error:  # noqa: BLE001 - told with what was broken before
        failure = error
    if failure is not None or books.violations:
        said = "\n  ".join([*books.violations[:5], *([repr(failure)] if failure else [])])
        raise Violation(f"seed {seed}:\n  {said}\nTo see it again: {again(seed)}") from failure
    return world


def again(seed: int) -> str:
    """The command that shows one life, line by line."""
    return f"python -m tests.simulation {seed}"
