"""What the tests of the application stand on: a dispatcher under watch, a queue with faults, a queue by script.

Every run goes through `Watch`, which looks at the ledger's equation at every single event, and
through `Worker.run`, which looks at it again at the end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import attrs

from pulpo_core import (
    Adapter,
    AdapterError,
    Capabilities,
    Clock,
    Delivery,
    Dispatcher,
    Envelope,
    Jitter,
    Lease,
    Ledger,
    Message,
    PulpoJson,
    Queue,
    QueueStats,
    Record,
    Route,
    Settlement,
    Settling,
    Unavailable,
    Until,
    open_publisher,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.events import Event
from pulpo_core.testing import LoopClock, SeededJitter

E = TypeVar("E")

_NUMBERS = count(1)

#: Stop when the queue is empty: how nearly every test ends.
BURST = Until(burst=True)


def fresh_url(parameters: str = "") -> str:
    """A queue in memory that nothing else uses; its time is that of the loop that opens it."""
    return f"memory://application-{next(_NUMBERS)}{parameters}"


@attrs.define(eq=False)
class Watch:
    """An observer that keeps all events, and every ledger that was out of balance when one came."""

    events: list[Event] = attrs.field(factory=list)
    unbalanced: list[tuple[Event, Ledger]] = attrs.field(factory=list)
    dispatcher: Dispatcher | None = None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if self.dispatcher is not None:
            ledgers = self.dispatcher.ledgers.values()
            self.unbalanced += [(event, ledger) for ledger in ledgers if not ledger.balanced]

    def of(self, kind: type[E]) -> list[E]:
        """The events of one *kind*, in order."""
        return [event for event in self.events if isinstance(event, kind)]


@attrs.define(eq=False)
class Worker:
    """A dispatcher, its watch, and the short questions that tests ask."""

    dispatcher: Dispatcher
    watch: Watch

    @classmethod
    def of(cls, *routes: Route, **options: Any) -> Worker:
        """A dispatcher of *routes* on virtual time."""
        watch = Watch()
        observers = (watch, *options.pop("observers", ()))
        options = {"clock": LoopClock(), "jitter": SeededJitter(1), **options}
        watch.dispatcher = Dispatcher(routes, observers=observers, **options)
        return cls(watch.dispatcher, watch)

    async def run(self) -> Worker:
        """Run it; whatever happens, every delivery was accounted for at every event and is at the end."""
        try:
            await self.dispatcher.run()
        finally:
            self.check()
        return self

    def check(self) -> None:
        """Assert the ledger's equation."""
        assert self.watch.unbalanced == [], "at every event all deliveries are accounted for"
        for name, ledger in self.dispatcher.ledgers.items():
            assert ledger.balanced, f"{name} at the end: {ledger}"

    def stop(self, *, now: bool = False) -> None:
        self.dispatcher.stop(now=now)

    @property
    def ledger(self) -> Ledger:
        """Of the only route."""
        [ledger] = self.dispatcher.ledgers.values()
        return ledger

    @property
    def columns(self) -> dict[str, int]:
        """The columns of the only route's ledger that are not 0."""
        return filled(self.ledger)

    def of_kind(self, kind: type[E]) -> list[E]:
        return self.watch.of(kind)


def filled(ledger: Ledger) -> dict[str, int]:
    """The columns of *ledger* that are not 0."""
    return {name: number for name, number in ledger.as_dict().items() if number}


async def run(*routes: Route, **options: Any) -> Worker:
    """Run *routes* until their queues are empty, or as *options* say."""
    return await Worker.of(*routes, **{"until": BURST, **options}).run()


@asynccontextmanager
async def running(*routes: Route, **options: Any) -> AsyncIterator[Worker]:
    """*routes* at work inside the context, stopped in order at its end."""
    worker = Worker.of(*routes, **options)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        yield worker
        worker.stop()


async def pass_time(seconds: float) -> None:
    """Let virtual *seconds* pass, and everything happen that is due by then."""
    await LoopClock().advance(seconds)


async def publish(url: str, *messages: Message | str, **options: Any) -> list[Message]:
    """Publish *messages*, each confirmed; a text stands for a message of that type."""
    asked = [Message(request_type=each) if isinstance(each, str) else each for each in messages]
    async with open_publisher(url, clock=LoopClock(), jitter=SeededJitter(7), **options) as publisher:
        answers = await publisher.publish_many(asked)
    stored = [answer for answer in answers if isinstance(answer, Message)]
    assert len(stored) == len(asked), answers
    return stored


def payload(value: Any, request_type: str = "job", **fields: Any) -> Message:
    """A simple job."""
    return Message(request_type=request_type, body={"payload": value}, **fields)


def opened(url: str, clock: Clock | None = None) -> AbstractAsyncContextManager[Queue]:
    """The queue as somebody beside the dispatcher sees it."""
    return open_queue(url, clock=clock or LoopClock(), jitter=SeededJitter(3))


async def counts(url: str) -> dict[str, int]:
    """How many messages are in each state that has any."""
    async with opened(url) as queue:
        stats: QueueStats = await queue.stats()
    states = ("ready", "delayed", "reserved", "buried")
    return {state: number for state in states if (number := getattr(stats, state))}


async def buried(url: str) -> Sequence[Record]:
    """What is buried, oldest burial first."""
    async with opened(url) as queue:
        return (await queue.buried()).records


async def reasons(url: str) -> list[str | None]:
    """Why what is buried is buried."""
    return [record.reason for record in await buried(url)]


async def stored(url: str, limit: int = 100) -> list[Message]:
    """The messages that are ready, in the order in which they would be handed out; they stay ours."""
    async with opened(url) as queue:
        return [PulpoJson().translate(each.envelope) for each in await queue.receive(limit, timedelta())]


@attrs.define(eq=False)
class FaultyAdapter:
    """The queue in memory with other capabilities, and with faults between it and whoever uses it.

    Attributes:
        changes: capabilities that differ from those of memory.
        receive, settle, extend, publish: called instead of the queue's method, with that method first.
        on_open: awaited before the queue is open; may raise.
        calls: names of the methods in the order in which they were called.
    """

    changes: Mapping[str, Any] = attrs.field(factory=dict)
    receive: Callable[..., Awaitable[Any]] | None = None
    settle: Callable[..., Awaitable[Any]] | None = None
    extend: Callable[..., Awaitable[Any]] | None = None
    publish: Callable[..., Awaitable[Any]] | None = None
    on_open: Callable[[], Awaitable[None]] | None = None
    calls: list[str] = attrs.field(factory=list)
    opened: int = 0
    closed: int = 0
    scheme: str = "memory"

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(MemoryAdapter.capabilities, **self.changes)

    @asynccontextmanager
    async def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AsyncIterator[Queue]:
        if self.on_open is not None:
            await self.on_open()
        async with MemoryAdapter().open(url, clock=clock, jitter=jitter) as queue:
            self.opened += 1
            try:
                yield FaultyQueue(queue, self)
            finally:
                self.closed += 1

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        raise NotImplementedError


class FaultyQueue:
    """See `FaultyAdapter`."""

    def __init__(self, queue: Queue, adapter: FaultyAdapter) -> None:
        self._queue = queue
        self._adapter = adapter
        self.capabilities = attrs.evolve(queue.capabilities, **adapter.changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        return await self._call("receive", limit, wait)

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        return await self._call("settle", batch)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        return await self._call("extend", batch)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        return await self._call("publish", batch)

    async def _call(self, name: str, *args: Any) -> Any:
        self._adapter.calls.append(name)
        method, fault = getattr(self._queue, name), getattr(self._adapter, name)
        return await (method(*args) if fault is None else fault(method, *args))


def failing(error: BaseException, times: float = math.inf) -> Callable[..., Awaitable[Any]]:
    """A fault: the first *times* calls raise *error*, later ones go through."""
    left = times

    async def fail(method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        nonlocal left
        if left > 0:
            left -= 1
            raise error
        return await method(*args)

    return fail


def refusing(error: AdapterError, times: float = math.inf) -> Callable[..., Awaitable[Any]]:
    """A fault: the first *times* items are refused with *error* and change nothing."""
    left = times

    async def refuse(method: Callable[..., Awaitable[Any]], batch: Sequence[Any]) -> list[Any]:
        nonlocal left
        answers = []
        for item in batch:
            if left > 0:
                left -= 1
                answers.append(error)
            else:
                answers += await method([item])
        return answers

    return refuse


def unavailable() -> Unavailable:
    """A fault that passes."""
    return Unavailable("the broker is away")


def delivery(name: str, message: Message | None = None, *, group: str | None = None, attempt: int = 1) -> Delivery:
    """A delivery of *message* that never ends by itself."""
    envelope = PulpoJson().encode((message or Message(request_type="job")).with_header(uid=f"uid-{name}"))
    return Delivery(
        id=name, envelope=attrs.evolve(envelope, group=group), attempt=attempt, lease=Lease(math.inf), receipt=name
    )


@attrs.define(eq=False)
class ScriptedQueue:
    """Hands out batches one by one, at most as many as are asked for, and keeps what it is told.

    It is its own adapter. Only what the dispatcher uses is there.

    Attributes:
        batches: what each receive brings, at most; then nothing, for as long as it may wait.
        settled: each settlement with the id of its delivery, in order.
        asked: the limit of each receive.
    """

    batches: Iterable[Sequence[Delivery]] = ()
    capabilities: Capabilities = attrs.field(factory=lambda: Capabilities(lease=None, groups=True))
    settled: list[tuple[str, Settlement]] = attrs.field(factory=list)
    asked: list[int] = attrs.field(factory=list)
    url: str = "scripted://queue"
    scheme: str = "scripted"
    _waiting: list[Delivery] = attrs.field(init=False, factory=list)
    _interrupted: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @asynccontextmanager
    async def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AsyncIterator[Any]:
        self.batches = iter(self.batches)
        yield self

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        self.asked.append(limit)
        if self._interrupted.is_set():
            return ()
        if not self._waiting:
            self._waiting = list(next(iter(self.batches), ()))
        taken, self._waiting = self._waiting[:limit], self._waiting[limit:]
        if not taken:
            await LoopClock().wait(self._interrupted, wait.total_seconds())
        return taken

    def interrupt(self) -> None:
        self._interrupted.set()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        await asyncio.sleep(0)
        self.settled += [(each.delivery.id, each.settlement) for each in batch]
        return [None] * len(batch)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        return [math.inf] * len(batch)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        return [f"published-{next(_NUMBERS)}" for _ in batch]


def scripted_route(queue: ScriptedQueue, handlers: Any, **options: Any) -> Route:
    """A route over *queue*."""
    adapter: Adapter = queue  # type: ignore[assignment] # it has what a dispatcher uses
    return Route(queue.url, handlers, name="scripted", adapter=adapter, **options)


class Recorder:
    """A handler that keeps its messages, and may take its time or fail.

    Attributes:
        messages: every message it was started with, in order.
        done: those whose handling came to its end.
        busy, peak: how many are in it now, and were at most.
    """

    def __init__(self, seconds: float = 0, result: Any = None, error: BaseException | None = None) -> None:
        self.seconds, self.result, self.error = seconds, result, error
        self.messages: list[Message] = []
        self.done: list[Message] = []
        self.starts: list[float] = []
        self.busy = self.peak = 0

    async def __call__(self, message: Message) -> Any:
        self.messages.append(message)
        self.starts.append(asyncio.get_running_loop().time())
        self.busy += 1
        self.peak = max(self.peak, self.busy)
        try:
            await asyncio.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            self.done.append(message)
            return self.result
        finally:
            self.busy -= 1

    @property
    def types(self) -> list[str | None]:
        return [message.request_type for message in self.messages]

    @property
    def payloads(self) -> list[Any]:
        return [message.payload for message in self.messages]
