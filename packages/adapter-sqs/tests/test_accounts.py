"""A worker on a queue that misbehaves: every message is handled, and every delivery accounted for."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_core import (
    AnyJson,
    Backoff,
    ConfigurationError,
    Dispatcher,
    Envelope,
    Handlers,
    Message,
    PermissionDenied,
    Policy,
    QueueNotFound,
    Route,
    SystemClock,
    SystemJitter,
    Until,
)
from tests.sqs_server import Fault, SqsServer, sqs_server_in_thread
from tests.sqs_state import SqsError

from .conftest import BURIED, until

THROTTLED = SqsError("ThrottlingException", "slow down")
BROKEN = SqsError("InternalError", "sorry", status=500)
EXPIRED = SqsError("ExpiredToken", "The security token included in the request is expired", status=403)

#: Fails at once, so that a test does not wait for what it means to fail.
QUICK = Policy(backoff=Backoff(base=0.01, cap=0.01))


@pytest.fixture
def steady() -> Iterator[SqsServer]:
    """A server in real time, in a thread of its own."""
    with sqs_server_in_thread() as running:
        for name in ("orders", "others"):
            running.create(f"{name}-buried")
            running.create(name, RedrivePolicy=BURIED.replace("orders-buried", f"{name}-buried"))
        yield running


def fill(server: SqsServer, count: int, queue: str = "orders") -> None:
    for number in range(count):
        server.state.send_message({"QueueUrl": f"/{queue}", "MessageBody": json.dumps({"n": number})}, server.now())


def url(server: SqsServer, name: str = "orders", **parameters: str) -> str:
    return f"sqs://{name}?endpoint_url={server.url}&wait=1s" + "".join(f"&{k}={v}" for k, v in parameters.items())


class Work:
    """Counts what it handles."""

    def __init__(self, *, pause: float = 0.0, fails: int = 0) -> None:
        self.handled: Counter[int] = Counter()
        self.pause = pause
        self.fails = fails

    def route(self, where: str, **fields: object) -> Route:
        handlers = Handlers()
        handlers.default(self.handle)
        return Route(where, handlers, translator=AnyJson(), policy=QUICK, **{"name": "orders", **fields})

    async def handle(self, message: Message) -> None:
        number = message.body["n"]
        self.handled[number] += 1
        await asyncio.sleep(self.pause)
        if self.handled[number] <= self.fails:
            raise ValueError("not yet")


async def run(*routes: Route, until: Until | None = None) -> Dispatcher:
    dispatcher = Dispatcher(routes, until=until or Until(burst=True), grace=5)
    async with asyncio.timeout(50):
        await dispatcher.run()
    for ledger in dispatcher.ledgers.values():
        assert ledger.in_hand == 0
        assert ledger.received == sum(
            getattr(ledger, column)
            for column in ("acked", "retried", "buried", "released", "dropped", "lease_lost", "in_doubt")
        )
    return dispatcher


async def test_a_backlog_is_worked_off(steady: SqsServer) -> None:
    fill(steady, 300)
    work = Work()

    dispatcher = await run(work.route(url(steady), concurrency=64))

    assert work.handled == dict.fromkeys(range(300), 1)
    assert dispatcher.ledgers["orders"].acked == 300
    assert steady.bodies("orders") == []
    assert (steady.requests["ReceiveMessage"] + steady.requests["DeleteMessageBatch"]) / 300 <= 0.3


async def test_failures_are_retried_and_counted(steady: SqsServer) -> None:
    fill(steady, 5)
    work = Work(fails=1)

    dispatcher = await run(work.route(url(steady)), until=Until(max_messages=10))

    assert work.handled == dict.fromkeys(range(5), 2)
    ledger = dispatcher.ledgers["orders"]
    assert (ledger.received, ledger.retried, ledger.acked) == (10, 5, 5)


@pytest.mark.parametrize(
    ("operation", "faults"),
    [
        pytest.param("ReceiveMessage", [Fault(error=THROTTLED)] * 3, id="throttled receives"),
        pytest.param("ReceiveMessage", [Fault(error=BROKEN)] * 3, id="broken receives"),
        pytest.param("ReceiveMessage", [Fault(error=EXPIRED)] * 2, id="expired credentials"),
        pytest.param("ReceiveMessage", [Fault(cut="before")] * 2, id="receives cut before"),
        pytest.param("DeleteMessageBatch", [Fault(), *[Fault(error=THROTTLED)] * 3], id="throttled deletions"),
        pytest.param("DeleteMessageBatch", [Fault(), *[Fault(cut="before")] * 2], id="deletions cut before"),
        pytest.param("DeleteMessageBatch", [Fault(), *[Fault(cut="after")] * 2], id="deletions cut after"),
        pytest.param(
            "DeleteMessageBatch",
            [Fault(), *[Fault(entries=frozenset({0, 2}), error=BROKEN)] * 3],
            id="deletions that fail in part",
        ),
        pytest.param("DeleteMessageBatch", [Fault(), Fault(seconds=1.5)], id="a slow deletion"),
    ],
)
async def test_passing_faults_lose_nothing(steady: SqsServer, operation: str, faults: list[Fault]) -> None:
    fill(steady, 60)
    work = Work()
    steady.fail(operation, *faults)

    dispatcher = await run(work.route(url(steady, timeout="1s"), concurrency=32), until=Until(max_messages=60))

    assert set(work.handled) == set(range(60))
    ledger = dispatcher.ledgers["orders"]
    assert ledger.acked + ledger.in_doubt == ledger.received == 60
    assert steady.bodies("orders") == []


async def test_too_many_messages_in_flight_are_waited_for(steady: SqsServer) -> None:
    fill(steady, 30)
    steady.state.queues["orders"].in_flight_limit = 5
    work = Work()

    dispatcher = await run(work.route(url(steady), concurrency=8), until=Until(max_messages=30))

    assert set(work.handled) == set(range(30))
    assert dispatcher.ledgers["orders"].acked == 30


@pytest.mark.parametrize("cut", ["after", "midway"])
async def test_what_a_lost_answer_had_brought_comes_again_when_its_lease_ends(steady: SqsServer, cut: str) -> None:
    fill(steady, 10)
    work = Work()
    steady.fail("ReceiveMessage", Fault(cut=cut))

    dispatcher = await run(work.route(url(steady, visibility="3s")), until=Until(max_messages=10))

    assert work.handled == dict.fromkeys(range(10), 1)
    assert dispatcher.ledgers["orders"].acked == 10
    assert steady.bodies("orders") == []


async def test_a_partial_failure_with_a_stale_receipt_is_a_lost_lease(steady: SqsServer) -> None:
    fill(steady, 10)
    work = Work()
    stale = SqsError("ReceiptHandleIsInvalid", "not valid any more")
    steady.fail("DeleteMessageBatch", Fault(), Fault(entries=frozenset({4}), error=stale))

    dispatcher = await run(work.route(url(steady)), until=Until(max_messages=10))

    ledger = dispatcher.ledgers["orders"]
    assert (ledger.acked, ledger.lease_lost) == (9, 1)
    assert len(steady.bodies("orders")) == 1


async def test_one_queue_in_trouble_does_not_hold_up_another(steady: SqsServer) -> None:
    fill(steady, 20)
    fill(steady, 20, "others")
    sick, sound = Work(), Work()
    steady.deny_for("ReceiveMessage", "orders", THROTTLED)

    routes = sick.route(url(steady)), sound.route(url(steady, "others"), name="others")
    dispatcher = Dispatcher(routes, grace=5)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        await until(lambda: len(sound.handled) == 20)
        dispatcher.stop()
        await running

    assert not sick.handled
    assert dispatcher.ledgers["others"].acked == 20


async def test_a_handler_longer_than_its_lease_runs_once(steady: SqsServer) -> None:
    fill(steady, 2)
    work = Work(pause=5.0)

    dispatcher = await run(work.route(url(steady, visibility="3s")), until=Until(max_messages=2))

    assert work.handled == {0: 1, 1: 1}
    assert dispatcher.ledgers["orders"].acked == 2
    assert steady.requests["ChangeMessageVisibilityBatch"] > 1


async def test_a_queue_that_disappears_stops_the_worker(steady: SqsServer) -> None:
    fill(steady, 5)
    work = Work()

    async def disappear() -> None:
        await until(lambda: len(work.handled) == 5)
        del steady.state.queues["orders"]

    async with asyncio.TaskGroup() as group:
        group.create_task(disappear())
        with pytest.raises(QueueNotFound, match="orders"):
            await run(work.route(url(steady)), until=Until())


async def test_a_permission_that_is_withdrawn_stops_the_worker(steady: SqsServer) -> None:
    fill(steady, 5)
    work = Work(pause=0.2)

    async def withdraw() -> None:
        await until(lambda: bool(work.handled))
        steady.deny("DeleteMessageBatch")

    async with asyncio.TaskGroup() as group:
        group.create_task(withdraw())
        with pytest.raises(PermissionDenied, match="DeleteMessageBatch"):
            await Dispatcher([work.route(url(steady))], grace=5).run()


async def test_stopping_hands_back_what_was_not_begun(steady: SqsServer) -> None:
    fill(steady, 20)
    work = Work(pause=0.3)
    dispatcher = Dispatcher([work.route(url(steady), concurrency=2, prefetch=18)], grace=5)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        await until(lambda: bool(work.handled))
        dispatcher.stop()
        await running

    ledger = dispatcher.ledgers["orders"]
    assert ledger.released == ledger.received - ledger.acked > 0
    assert ledger.in_hand == 0
    free = [m for m in steady.state.queues["orders"].messages.values() if not m.in_flight(steady.now())]
    assert len(free) == 20 - ledger.acked


async def test_a_group_that_fails_keeps_its_order(steady: SqsServer) -> None:
    steady.create("orders-buried.fifo")
    steady.create("orders.fifo", RedrivePolicy=BURIED.replace("orders-buried", "orders-buried.fifo"))
    for number in range(12):
        group = {"MessageGroupId": f"g{number % 2}", "MessageDeduplicationId": str(number)}
        steady.state.send_message({"QueueUrl": "/orders.fifo", "MessageBody": json.dumps({"n": number}), **group}, 0.0)
    for message in steady.state.queues["orders.fifo"].messages.values():
        message.sent_at = steady.now()
    order: dict[int, list[int]] = {0: [], 1: []}
    failed: set[int] = set()
    handlers = Handlers()

    @handlers.default
    async def handle(message: Message) -> None:
        number = message.body["n"]
        if number in {2, 5} and number not in failed:
            failed.add(number)
            raise ValueError("the first time")
        order[number % 2].append(number)

    route = Route(
        url(steady, "orders.fifo"), handlers, name="orders", translator=AnyJson(), policy=QUICK, concurrency=8
    )
    dispatcher = Dispatcher([route], grace=5)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        await until(lambda: not steady.bodies("orders.fifo"))
        dispatcher.stop()
        await running

    assert order == {0: [0, 2, 4, 6, 8, 10], 1: [1, 3, 5, 7, 9, 11]}
    assert dispatcher.ledgers["orders"].retried == 2


async def test_many_workers_share_a_queue_and_nothing_is_handled_twice(steady: SqsServer) -> None:
    fill(steady, 400)
    workers = [Work() for _ in range(4)]

    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run(work.route(url(steady), concurrency=20))) for work in workers]

    handled = Counter(itertools.chain.from_iterable(work.handled.elements() for work in workers))
    assert handled == dict.fromkeys(range(400), 1)
    assert sum(task.result().ledgers["orders"].acked for task in running) == 400
    assert steady.bodies("orders") == []


async def test_a_route_whose_messages_are_delayed_does_not_begin_on_a_fifo_queue(steady: SqsServer) -> None:
    steady.create("orders.fifo")

    with pytest.raises(ConfigurationError, match="needs delay"):
        await run(Work().route(url(steady, "orders.fifo"), needs=("delay",)), until=Until(burst=True))

    assert steady.requests["ReceiveMessage"] == 0


async def test_hops_are_counted_as_deferred(steady: SqsServer) -> None:
    async with SqsAdapter().open(url(steady, long_delay="hop"), clock=SystemClock(), jitter=SystemJitter()) as queue:
        later = SystemClock().now() + timedelta(hours=1)
        await queue.publish([Envelope(body=b'{"n": 0}', uid="u", not_before=later)])
    [message] = steady.state.queues["orders"].messages.values()
    message.visible_at = steady.now()
    work = Work()

    dispatcher = Dispatcher([work.route(url(steady, long_delay="hop"))], grace=5)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(dispatcher.run())
        await until(lambda: steady.requests["SendMessageBatch"] == 2 and len(steady.bodies("orders")) == 1)
        dispatcher.stop()
        await running

    ledger = dispatcher.ledgers["orders"]
    assert (ledger.received, ledger.deferred) == (1, 1)
    assert not work.handled
