"""In process: what one message costs when the handler does nothing and the queue is in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

from benchmarks.case import Bench, Case, Goal, Group

CONCURRENCIES = (1, 10, 100)

#: What a message carries, for pulpo and for the peers; what a field costs differs from one to the other.
SMALL = {"payload": 1}
BODY = {"to": "someone@example.org", "subject": "Hello", "text": "A few words.", "retries": 3, "urgent": False}

_numbers = count()


class Counter:
    """A handler that does nothing but count."""

    def __init__(self) -> None:
        self.handled = 0

    async def __call__(self) -> None:
        self.handled += 1


# --------------------------------------------------------------------------------------- the floor: nothing but asyncio


async def direct(bench: Bench) -> None:
    """The handler awaited, one after the other: the least that there is."""
    handler = Counter()
    with bench.measure("handle"):
        for _ in range(bench.messages):
            await handler()
    bench.check(handler.handled, bench.messages, "handled")


async def task_group(bench: Bench, *, concurrency: int) -> None:
    """A task for each message, and a semaphore: what people write by hand."""
    handler, semaphore = Counter(), asyncio.Semaphore(concurrency)

    async def handle() -> None:
        await handler()
        semaphore.release()

    with bench.measure("handle"):
        async with asyncio.TaskGroup() as group:
            for _ in range(bench.messages):
                await semaphore.acquire()
                group.create_task(handle())
    bench.check(handler.handled, bench.messages, "handled")


async def workers(bench: Bench, *, concurrency: int) -> None:
    """An `asyncio.Queue` and as many workers as messages are handled at once."""
    handler, queue = Counter(), asyncio.Queue[int](maxsize=2 * concurrency)

    async def work() -> None:
        while True:
            await queue.get()
            await handler()
            queue.task_done()

    with bench.measure("handle"):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(concurrency)]
            for number in range(bench.messages):
                await queue.put(number)
            await queue.join()
            for task in tasks:
                task.cancel()
    bench.check(handler.handled, bench.messages, "handled")


# ---------------------------------------------------------------------------------------------------------------- pulpo


async def pulpo(
    bench: Bench, *, concurrency: int, handler: Callable[[], Callable[..., Any]], body: Mapping[str, Any] = BODY
) -> None:
    """Publishing, then the whole pipeline: JSON, routing, binding, handling, policy, settlement, ledger."""
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher, open_queue

    url = f"memory://bench-{next(_numbers)}"
    handlers = Handlers()
    handlers.add("send_email", handler())
    async with open_queue(url), open_publisher(url) as publisher:  # the open queue keeps the messages
        dispatcher = Dispatcher(Route(url, handlers, name="bench", concurrency=concurrency), until=Until(burst=True))
        with bench.measure("publish and handle"):
            with bench.measure("publish"):
                for _ in range(bench.messages):
                    await publisher.publish(Message(request_type="send_email", body=body))
            with bench.measure("handle"):
                await dispatcher.run()
    ledger = dispatcher.ledgers["bench"]
    bench.check((ledger.received, ledger.acked), (bench.messages, bench.messages), "received and acked")


def _asynchronous() -> Callable[..., Any]:
    async def send_email(message: Any) -> None:
        pass

    return send_email


def _in_a_thread() -> Callable[..., Any]:
    def send_email(message: Any) -> None:
        pass

    return send_email


def _typed() -> Callable[..., Any]:
    import attrs

    @attrs.frozen
    class Email:
        to: str
        subject: str
        text: str
        retries: int
        urgent: bool

    async def send_email(email: Email) -> None:
        pass

    # An annotation is text here, and a class made in a function is not found by its name.
    send_email.__annotations__["email"] = Email
    return send_email


# ---------------------------------------------------------------------------------------------------------------- peers


async def _nothing(to: Any, subject: Any, text: Any, retries: Any, urgent: Any) -> None:
    pass


async def _nothing_small(payload: Any) -> None:
    pass


async def taskiq_receiver(bench: Bench, *, task: Callable[..., Any] = _nothing, body: Mapping[str, Any] = BODY) -> None:
    """taskiq's `Receiver.callback` for one message after the other, each acknowledged: without its loop."""
    from taskiq import AckableMessage, InMemoryBroker
    from taskiq.receiver import Receiver

    logging.disable()
    acked = count()
    messages = await _taskiq_messages(bench.messages, task, body)
    broker = InMemoryBroker()
    broker.register_task(task, task_name="send_email")
    receiver = Receiver(broker, max_async_tasks=10)
    with bench.measure("handle"):
        for data in messages:
            await receiver.callback(AckableMessage(data=data, ack=_acknowledge(acked)))
    bench.check(next(acked), bench.messages, "acked")


async def taskiq_loop(bench: Bench, *, concurrency: int) -> None:
    """taskiq's `Receiver.listen`: the loop that its worker runs, on messages that are there already."""
    from taskiq import AckableMessage, InMemoryBroker
    from taskiq.receiver import Receiver

    logging.disable()
    acked, messages, empty = count(), await _taskiq_messages(bench.messages, _nothing, BODY), asyncio.Event()

    class Broker(InMemoryBroker):
        async def listen(self) -> Any:
            for data in messages:
                yield AckableMessage(data=data, ack=_acknowledge(acked))
            empty.set()
            await asyncio.Event().wait()

    broker = Broker()
    broker.register_task(_nothing, task_name="send_email")
    receiver, finish = Receiver(broker, max_async_tasks=concurrency), asyncio.Event()
    with bench.measure("handle"):
        async with asyncio.TaskGroup() as group:
            group.create_task(receiver.listen(finish))
            await empty.wait()
            finish.set()
    bench.check(next(acked), bench.messages, "acked")


def _acknowledge(acked: Any) -> Callable[[], Awaitable[None]]:
    async def acknowledge() -> None:
        next(acked)

    return acknowledge


async def _taskiq_messages(number: int, function: Callable[..., Any], body: Mapping[str, Any]) -> list[bytes]:
    """What taskiq sends to a broker, as many as asked for."""
    from taskiq import BrokerMessage, InMemoryBroker

    sent: list[bytes] = []

    class Broker(InMemoryBroker):
        async def kick(self, message: BrokerMessage) -> None:
            sent.append(message.message)

    task = Broker().register_task(function, task_name="send_email")
    for _ in range(number):
        await task.kiq(**body)
    return sent


async def taskiq_in_memory(bench: Bench) -> None:
    """taskiq's in-memory broker, which runs every task as soon as it is sent."""
    from taskiq import InMemoryBroker

    logging.disable()
    handler = Counter()

    async def send_email(**_: Any) -> None:
        await handler()

    broker = InMemoryBroker()
    task = broker.register_task(send_email, task_name="send_email")
    with bench.measure("publish and handle"):
        for _ in range(bench.messages):
            await task.kiq(**BODY)
        await broker.wait_all()
    bench.check(handler.handled, bench.messages, "handled")


def dramatiq_stub(bench: Bench, *, threads: int) -> None:
    """dramatiq's stub broker: sending, then its worker with threads."""
    import dramatiq
    from dramatiq.brokers.stub import StubBroker

    handled = count()
    broker = StubBroker()

    def send_email(**_: Any) -> None:
        next(handled)

    actor = dramatiq.actor(send_email, broker=broker, actor_name="send_email")
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    with bench.measure("publish and handle"):
        with bench.measure("publish"):
            for _ in range(bench.messages):
                actor.send(**BODY)
        with bench.measure("handle"):
            worker.start()
            broker.join("default")
    worker.stop()
    bench.check(next(handled), bench.messages, "handled")


async def faststream_test_broker(bench: Bench) -> None:
    """faststream's in-memory broker for tests, which handles every message as it is published."""
    from faststream.nats import NatsBroker, TestNatsBroker

    logging.disable()
    handler, broker = Counter(), NatsBroker()

    @broker.subscriber("send_email")
    async def send_email(_: dict[str, Any]) -> None:
        await handler()

    async with TestNatsBroker(broker) as connected:
        with bench.measure("publish and handle"):
            for _ in range(bench.messages):
                await connected.publish(BODY, "send_email")
    bench.check(handler.handled, bench.messages, "handled")


MESSAGES = 10_000

GROUP = Group(
    title="In process: one message, a handler that does nothing",
    cases=[
        Case(name="await handler()", run=direct, messages=MESSAGES),
        *[
            Case(name=f"TaskGroup and semaphore, {c}", run=partial(task_group, concurrency=c), messages=MESSAGES)
            for c in CONCURRENCIES
        ],
        *[
            Case(name=f"asyncio.Queue and workers, {c}", run=partial(workers, concurrency=c), messages=MESSAGES)
            for c in CONCURRENCIES
        ],
        *[
            Case(name=f"pulpo, {c}", run=partial(pulpo, concurrency=c, handler=_asynchronous), messages=MESSAGES)
            for c in CONCURRENCIES
        ],
        *[
            Case(
                name=f"pulpo, one field, {c}",
                run=partial(pulpo, concurrency=c, handler=_asynchronous, body=SMALL),
                messages=MESSAGES,
                baseline="taskiq receiver, one field",
            )
            for c in (10, 100)
        ],
        Case(name="pulpo, typed body, 10", run=partial(pulpo, concurrency=10, handler=_typed), messages=MESSAGES),
        Case(name="pulpo, threads, 10", run=partial(pulpo, concurrency=10, handler=_in_a_thread), messages=MESSAGES),
        Case(name="taskiq receiver", run=taskiq_receiver, messages=MESSAGES, peer=True),
        Case(
            name="taskiq receiver, one field",
            run=partial(taskiq_receiver, task=_nothing_small, body=SMALL),
            messages=MESSAGES,
            peer=True,
        ),
        *[
            Case(name=f"taskiq loop, {c}", run=partial(taskiq_loop, concurrency=c), messages=MESSAGES // 4, peer=True)
            for c in CONCURRENCIES
        ],
        Case(name="taskiq in memory", run=taskiq_in_memory, messages=MESSAGES // 4, peer=True),
        Case(
            name="dramatiq stub, 10 threads", run=partial(dramatiq_stub, threads=10), messages=MESSAGES // 4, peer=True
        ),
        Case(name="faststream in memory", run=faststream_test_broker, messages=MESSAGES // 10, peer=True),
    ],
    baseline="taskiq receiver",
    goals=[
        Goal(case="pulpo, 10", against="taskiq receiver", figure="handle", at_most=0.8),
        Goal(case="pulpo, 100", against="taskiq receiver", figure="handle", at_most=0.8),
        *[
            Goal(case=f"pulpo, one field, {c}", against="taskiq receiver, one field", figure="handle", at_most=0.8)
            for c in (10, 100)
        ],
        *[Goal(case=f"pulpo, {c}", against=f"taskiq loop, {c}", figure="handle", at_most=0.8) for c in CONCURRENCIES],
        Goal(case="pulpo, typed body, 10", against="pulpo, 10", figure="handle", at_most=1.5),
        *[
            Goal(case="pulpo, 10", against=peer, figure="publish and handle", at_most=1.0)
            for peer in ("taskiq in memory", "dramatiq stub, 10 threads", "faststream in memory")
        ],
        Goal(case="pulpo, threads, 10", against="dramatiq stub, 10 threads", figure="handle", at_most=1.0),
    ],
)
