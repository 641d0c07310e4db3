"""Delays longer than SQS knows, carried on by whoever consumes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsQueue
from pulpo_core import Bury, Envelope, Retry
from pulpo_core.testing import ManualClock
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import Opener, put, settle, take, until


@pytest.fixture
async def hopping(opener: Opener) -> AsyncIterator[SqsQueue]:
    async with opener(long_delay="hop") as queue:
        yield queue


async def carry_on(queue: SqsQueue, clock: ManualClock, *, hops: int) -> None:
    """Let time pass and consume, for so many hops of one message."""
    for _ in range(hops):
        await clock.advance(901)
        done = queue.deferred + 1
        assert not await queue.receive(10, timedelta())
        await until(lambda done=done: queue.deferred == done)


async def test_a_message_comes_at_its_time_however_many_hops_it_takes(
    server: SqsServer, hopping: SqsQueue, clock: ManualClock
) -> None:
    began = clock.monotonic()
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(hours=1))])

    await carry_on(hopping, clock, hops=3)

    left = began + 3600 - clock.monotonic()
    await clock.advance(left - 1)
    assert not await hopping.receive(1, timedelta())
    await clock.advance(2)
    assert len(await hopping.receive(1, timedelta())) == 1
    assert (hopping.deferred, server.requests["SendMessageBatch"]) == (3, 4)


async def test_hops_burn_no_attempts(server: SqsServer, hopping: SqsQueue, clock: ManualClock) -> None:
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(hours=1))])
    await carry_on(hopping, clock, hops=3)
    await clock.advance(901)

    [delivery] = await take(hopping, 1)

    assert (delivery.attempt, delivery.envelope.uid) == (1, "u")


async def test_a_message_on_its_way_is_never_handed_out_early(
    server: SqsServer, opener: Opener, hopping: SqsQueue, clock: ManualClock
) -> None:
    """Nor by a consumer whose own URL does not mention long delays."""
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(hours=1))])
    await clock.advance(901)
    async with opener() as plain:
        assert not await plain.receive(1, timedelta())
        await until(lambda: plain.deferred == 1)


async def test_the_ready_are_handed_out_beside_those_on_their_way(
    server: SqsServer, hopping: SqsQueue, clock: ManualClock
) -> None:
    await hopping.publish([Envelope(body=b"later", uid="l", not_before=clock.now() + timedelta(hours=1))])
    await clock.advance(901)
    await put(hopping, 1)

    received = await hopping.receive(10, timedelta())

    assert [delivery.envelope.body for delivery in received] == [b"message 0"]


async def test_a_hop_that_fails_is_taken_again_when_its_lease_ends(
    server: SqsServer, hopping: SqsQueue, clock: ManualClock
) -> None:
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(seconds=1000))])
    await clock.advance(901)
    sent = server.requests["SendMessageBatch"]
    server.fail("SendMessageBatch", Fault(error=SqsError("ThrottlingException", "slow down")))
    assert not await hopping.receive(1, timedelta())
    await until(lambda: server.requests["SendMessageBatch"] > sent)
    await clock.advance(200)

    [delivery] = await take(hopping, 1)

    assert delivery.envelope.body == b"x"
    assert len(server.bodies("orders")) == 1


async def test_a_hop_that_fails_burns_no_attempt(server: SqsServer, hopping: SqsQueue, clock: ManualClock) -> None:
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(seconds=2000))])
    await clock.advance(901)
    for _ in range(3):
        sent = server.requests["SendMessageBatch"]
        server.fail("SendMessageBatch", Fault(error=SqsError("ThrottlingException", "slow down")))
        assert not await hopping.receive(1, timedelta())
        await until(lambda sent=sent: server.requests["SendMessageBatch"] > sent)
        await clock.advance(31)
    await carry_on(hopping, clock, hops=1)
    await clock.advance(901)

    [delivery] = await take(hopping, 1)

    assert delivery.attempt == 1


async def test_an_original_that_stays_behind_is_deleted_while_its_lease_lasts(
    server: SqsServer, hopping: SqsQueue, clock: ManualClock
) -> None:
    await hopping.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(hours=1))])
    await clock.advance(901)
    deleted = server.requests["DeleteMessageBatch"]
    server.fail(
        "DeleteMessageBatch", Fault(), Fault(error=SqsError("ThrottlingException", "slow down"))
    )  # after a probe
    assert not await hopping.receive(1, timedelta())
    await until(lambda: server.requests["DeleteMessageBatch"] == deleted + 2)
    assert len(server.bodies("orders")) == 2
    while len(server.bodies("orders")) == 2:
        await clock.advance(0.5)

    assert len(server.bodies("orders")) == 1
    await until(lambda: hopping.deferred == 1)


class TestRetryBeyondTheCeiling:
    async def test_it_is_a_copy_that_counts_the_attempts_before_it(
        self, server: SqsServer, hopping: SqsQueue, clock: ManualClock
    ) -> None:
        await put(hopping, 1)
        [delivery] = await take(hopping, 1)
        assert hopping.capabilities.max_retry_delay is None

        assert await settle(hopping, (delivery, Retry(timedelta(hours=13)))) == [None]

        assert len(server.bodies("orders")) == 1
        await carry_on(hopping, clock, hops=51)
        await clock.advance(901)
        [again] = await take(hopping, 1)
        assert (again.attempt, again.envelope.uid) == (2, "u0")

    async def test_a_burial_afterwards_tells_all_the_attempts(
        self, server: SqsServer, hopping: SqsQueue, clock: ManualClock
    ) -> None:
        await put(hopping, 1)
        [delivery] = await take(hopping, 1)
        message = server.state.queues["orders"].messages[delivery.id]
        assert message.received_at is not None
        delivery.receipt.taken_at -= 43_000  # held for nearly twelve hours
        assert await settle(hopping, (delivery, Retry(timedelta(minutes=10)))) == [None]
        await clock.advance(601)
        [again] = await take(hopping, 1)

        assert await settle(hopping, (again, Bury("fatal"))) == [None]

        [record] = (await hopping.buried()).records
        assert record.attempts == 2

    async def test_what_is_too_large_for_a_copy_comes_as_late_as_it_can(
        self, server: SqsServer, opener: Opener, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.create("small-buried", MaximumMessageSize="1024")
        server.create("small", MaximumMessageSize="1024")
        server.state.send_message({"QueueUrl": "small", "MessageBody": "x" * 1024}, server.now())
        async with opener("small", long_delay="hop") as queue:
            [delivery] = await take(queue, 1)
            delivery.receipt.taken_at -= 43_000  # held for nearly twelve hours

            assert await settle(queue, (delivery, Retry(timedelta(minutes=10)))) == [None]

            await clock.advance(190)
            assert not await queue.receive(1, timedelta())
            await clock.advance(20)
            assert len(await queue.receive(1, timedelta())) == 1
        assert "comes again sooner than was asked" in caplog.text

    async def test_a_shorter_one_stays_where_it_is(self, server: SqsServer, hopping: SqsQueue) -> None:
        await put(hopping, 1)
        [delivery] = await take(hopping, 1)
        sent = server.requests["SendMessageBatch"]

        assert await settle(hopping, (delivery, Retry(timedelta(hours=11)))) == [None]

        assert server.requests["SendMessageBatch"] == sent


@pytest.mark.parametrize(("receives", "told"), [(2, True), (20, False)])
async def test_a_queue_that_moves_messages_on_before_a_hop_may_fail_is_told_at_the_start(
    server: SqsServer, opener: Opener, caplog: pytest.LogCaptureFixture, receives: int, told: bool
) -> None:
    target = server.create("dead")
    server.create("a", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": receives}))
    async with opener("a", long_delay="hop") as queue:
        await queue.receive(1, timedelta())

    assert [f"after {receives} receives" in text for text in caplog.messages] == [True] * told


async def test_a_hop_counts_as_one_receive_of_its_own_copy(
    server: SqsServer, opener: Opener, clock: ManualClock
) -> None:
    target = server.create("dead")
    server.create("a", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1}))
    async with opener("a", long_delay="hop") as queue:
        await put(queue, 1, not_before=clock.now() + timedelta(hours=2))
        await carry_on(queue, clock, hops=7)
        await clock.advance(901)

        [delivery] = await take(queue, 1)
        assert delivery.attempt == 1
    assert server.bodies("dead") == []
