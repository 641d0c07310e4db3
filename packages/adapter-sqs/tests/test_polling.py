"""Reading: busy queues in parallel, idle ones with the fewest requests, and nothing stranded by impatience."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsQueue
from pulpo_core import Unavailable
from pulpo_core.testing import ManualClock
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import Opener, ack, moving, put, take, until

LONG = timedelta(seconds=10)


async def receiving(group: asyncio.TaskGroup, queue: SqsQueue, limit: int = 10) -> asyncio.Task:
    return group.create_task(queue.receive(limit, LONG))


def polls(server: SqsServer) -> int:
    return server.requests["ReceiveMessage"]


async def test_an_idle_minute_costs_three_requests(server: SqsServer, opener: Opener, clock: ManualClock) -> None:
    async with opener(wait="20s", visibility="60s") as queue, asyncio.TaskGroup() as group:
        for _ in range(3):
            assert not await moving(clock, group.create_task(queue.receive(10, timedelta(seconds=20))), step=2)

        assert clock.monotonic() - 1000 >= 60
        assert polls(server) == 3


async def test_many_callers_on_an_idle_queue_share_one_poll(
    server: SqsServer, queue: SqsQueue, clock: ManualClock
) -> None:
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(queue.receive(1, LONG)) for _ in range(5)]
        await until(lambda: server.waiting > 0)
        assert polls(server) == 1
        for caller in callers:
            await moving(clock, caller)


async def test_a_busy_queue_is_read_in_parallel(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 400)
    most = together = 0

    async def count(operation: str) -> None:
        nonlocal most, together
        if operation == "ReceiveMessage":
            together += 1
            most = max(most, together)
            await asyncio.sleep(0.01)
            together -= 1

    server.on_request = count
    taken = 0
    while taken < 400:
        taken += len(await queue.receive(100, LONG))

    assert most >= 4
    assert polls(server) <= 40 + 10  # of ten each, and those that are still under way at the end


async def test_a_receive_returns_with_the_first_that_comes(server: SqsServer, queue: SqsQueue, opener: Opener) -> None:
    async with opener() as publisher, asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive(100, LONG))
        await until(lambda: server.waiting > 0)
        await put(publisher, 1)

        [delivery] = await waiting

    assert delivery.envelope.body == b"message 0"


async def test_no_more_come_than_are_asked_for(queue: SqsQueue) -> None:
    await put(queue, 30)

    assert len(await queue.receive(3, LONG)) == 3
    assert len(await queue.receive(25, LONG)) <= 25


async def test_a_cancelled_receive_leaves_its_messages_to_the_next(
    server: SqsServer, queue: SqsQueue, opener: Opener
) -> None:
    server.stubborn = True  # AWS does not promise to notice that a client is gone
    async with opener() as publisher, asyncio.TaskGroup() as group:
        cancelled = group.create_task(queue.receive(10, LONG))
        await until(lambda: server.waiting > 0)
        cancelled.cancel()
        await put(publisher, 1)

        [delivery] = await queue.receive(10, LONG)

    assert delivery.attempt == 1


async def test_what_nobody_comes_for_is_given_back(
    server: SqsServer, queue: SqsQueue, opener: Opener, clock: ManualClock
) -> None:
    async with opener() as other, asyncio.TaskGroup() as group:
        cancelled = group.create_task(queue.receive(10, LONG))
        await until(lambda: server.waiting > 0)
        cancelled.cancel()
        await put(other, 1)
        await until(lambda: server.waiting == 0)
        while server.requests["ChangeMessageVisibilityBatch"] < 2:  # the first was a probe of permission
            await asyncio.sleep(0.01)
            await clock.advance(0.2)

        [delivery] = await take(other, 1)

    assert delivery.attempt == 2


async def test_after_an_interrupt_the_poll_under_way_ends_and_what_it_brings_is_handed_out(
    server: SqsServer, queue: SqsQueue, opener: Opener
) -> None:
    async with opener() as publisher, asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive(10, LONG))
        await until(lambda: server.waiting > 0)
        queue.interrupt()
        await put(publisher, 1)

        assert len(await waiting) == 1
        assert not await queue.receive(10, LONG)


async def test_after_an_interrupt_nobody_begins_to_wait(server: SqsServer, queue: SqsQueue) -> None:
    await queue.receive(1, timedelta())
    asked = polls(server)
    queue.interrupt()

    assert not await queue.receive(10, LONG)
    assert polls(server) == asked


async def test_a_failed_poll_is_told_and_the_next_one_works(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 1)
    server.fail("ReceiveMessage", Fault(error=SqsError("ThrottlingException", "slow down", status=400)))
    with pytest.raises(Unavailable, match="ThrottlingException"):
        await queue.receive(10, LONG)

    assert len(await queue.receive(10, LONG)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"Messages": 7}', id="not a list"),
        pytest.param(b'{"Messages": [{"MessageId": "m"}]}', id="nothing but an id"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_told_and_the_next_poll_works(
    answer: bytes, server: SqsServer, queue: SqsQueue
) -> None:
    server.fail("ReceiveMessage", Fault(answer=answer))
    with pytest.raises(Unavailable):
        await queue.receive(1, timedelta())

    await put(queue, 1)

    assert len(await queue.receive(1, timedelta())) == 1


async def test_numbers_that_make_no_sense_are_as_if_they_had_not_been_told(server: SqsServer, queue: SqsQueue) -> None:
    told = b'{"ApproximateReceiveCount": "often", "SentTimestamp": "999999999999999999999"}'
    whole = b'{"MessageId": "m", "ReceiptHandle": "r", "Body": "x", "Attributes": %b}' % told
    server.fail("ReceiveMessage", Fault(answer=b'{"Messages": [%b, {"MessageId": "without a body"}]}' % whole))

    [delivery] = await queue.receive(10, timedelta())

    assert (delivery.attempt, delivery.envelope.published_at) == (1, None)


async def test_a_failure_that_nobody_waits_for_is_forgotten(server: SqsServer, queue: SqsQueue, opener: Opener) -> None:
    async with opener() as publisher, asyncio.TaskGroup() as group:
        cancelled = group.create_task(queue.receive(10, LONG))
        await until(lambda: server.waiting > 0)
        cancelled.cancel()
        server.cut_connections()
        await until(lambda: server.waiting == 0)
        await put(publisher, 1)

        assert len(await queue.receive(10, LONG)) == 1


async def test_one_poll_that_fails_does_not_lose_what_the_others_bring(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 100)
    while len(await queue.receive(10, LONG)) < 10:  # a few full polls, and there is more than one at a time
        pass
    await queue.receive(10, LONG)
    server.fail("ReceiveMessage", Fault(), Fault(error=SqsError("InternalError", "", status=500)))

    taken: list[object] = []
    failures = 0
    while len(taken) < 70:
        try:
            taken += await queue.receive(30, LONG)
        except Unavailable:
            failures += 1

    assert failures <= 1


async def test_who_does_not_wait_is_not_told_that_a_queue_is_empty_by_servers_that_know_of_no_message(
    server: SqsServer, queue: SqsQueue
) -> None:
    await put(queue, 5)
    server.sampling = 2

    for _ in range(5):
        assert len(await queue.receive(1, timedelta())) == 1

    assert not await queue.receive(1, timedelta())


async def test_false_empty_answers_of_short_polls_are_not_the_end(server: SqsServer, queue: SqsQueue) -> None:
    server.sampling = 2
    await put(queue, 5)

    taken = [*await queue.receive(1, timedelta()), *await queue.receive(1, timedelta()), *await queue.receive(3, LONG)]

    assert len(taken) == 5


async def test_a_lease_counts_from_before_the_poll(queue: SqsQueue, clock: ManualClock, opener: Opener) -> None:
    async with opener() as publisher, asyncio.TaskGroup() as group:
        began = clock.monotonic()
        waiting = group.create_task(queue.receive(1, LONG))
        await asyncio.sleep(0.02)
        await clock.advance(4)
        await put(publisher, 1)
        [delivery] = await waiting

    assert delivery.lease.deadline == began + 30
    await ack(queue, delivery)


async def test_a_short_lease_shortens_its_polls(server: SqsServer, opener: Opener, clock: ManualClock) -> None:
    async with opener(visibility="6s") as queue, asyncio.TaskGroup() as group:
        await moving(clock, group.create_task(queue.receive(1, LONG)))

    waits = {asked["WaitTimeSeconds"] for operation, asked in server.seen if operation == "ReceiveMessage"}
    assert waits == {2}  # so that two thirds of the lease are left when a message comes at the very end


async def test_all_that_sqs_knows_is_asked_for(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 1)
    await queue.receive(1, timedelta())

    [asked] = [asked for operation, asked in server.seen if operation == "ReceiveMessage"]
    assert (asked["MessageSystemAttributeNames"], asked["MessageAttributeNames"]) == (["All"], ["All"])
    assert asked["VisibilityTimeout"] == 30
