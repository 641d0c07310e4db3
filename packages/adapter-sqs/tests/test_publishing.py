"""Publishing: shared requests, an answer for each envelope, and nothing sent twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsQueue
from pulpo_core import AdapterError, Envelope, MessageTooLarge, QueueNotFound, Unavailable, Unsupported
from pulpo_core.testing import ManualClock
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import Opener, envelopes, put, take


async def test_64_publishers_need_a_tenth_of_a_request_for_each_message(server: SqsServer, queue: SqsQueue) -> None:
    async def publish(number: int) -> None:
        for turn in range(10):
            [answer] = await queue.publish([Envelope(body=b"x", uid=f"{number}-{turn}")])
            assert isinstance(answer, str)

    async with asyncio.TaskGroup() as group:
        for number in range(64):
            group.create_task(publish(number))

    assert len(server.bodies("orders")) == 640
    assert server.requests["SendMessageBatch"] / 640 <= 0.11


async def test_heavy_messages_are_cut_into_requests_that_sqs_takes(server: SqsServer, queue: SqsQueue) -> None:
    heavy = [Envelope(body=b"x" * 600_000, uid=f"u{number}") for number in range(3)]

    answers = await queue.publish(heavy)

    assert all(isinstance(answer, str) for answer in answers)
    assert server.requests["SendMessageBatch"] == 3


async def test_one_that_is_too_large_does_not_keep_its_neighbours_out(server: SqsServer, queue: SqsQueue) -> None:
    one, two = envelopes(2)

    first, refused, last = await queue.publish([one, Envelope(body=b"x" * 2_000_000), two])

    assert isinstance(first, str)
    assert isinstance(last, str)
    assert isinstance(refused, MessageTooLarge)


async def test_a_partial_failure_is_told_for_its_envelopes_alone(server: SqsServer, queue: SqsQueue) -> None:
    server.fail("SendMessageBatch", Fault(entries=frozenset({1}), error=SqsError("InternalError", "", status=500)))

    first, second, third = await queue.publish(envelopes(3))

    assert isinstance(first, str)
    assert isinstance(third, str)
    assert isinstance(second, Unavailable)
    assert sorted(server.bodies("orders")) == ["message 0", "message 2"]


@pytest.mark.parametrize("cut", ["before", "after", "midway"])
async def test_a_publish_whose_answer_was_lost_is_in_doubt_and_not_repeated(
    server: SqsServer, queue: SqsQueue, cut: str
) -> None:
    server.fail("SendMessageBatch", Fault(cut=cut))

    [answer] = await queue.publish(envelopes(1))

    assert isinstance(answer, AdapterError)
    assert answer.in_doubt
    assert server.requests["SendMessageBatch"] == 1
    assert len(server.bodies("orders")) == (cut != "before")


async def test_nobody_listening_is_not_in_doubt(server: SqsServer, opener: Opener) -> None:
    async with opener() as queue:
        server.stopped = True
        await server.close_site()
        server.cut_connections()
        await asyncio.sleep(0.05)  # until the client has noticed

        [answer] = await queue.publish(envelopes(1))

        assert isinstance(answer, Unavailable)
        assert not answer.in_doubt


async def test_a_queue_that_is_gone_is_told(server: SqsServer, queue: SqsQueue) -> None:
    del server.state.queues["orders"]

    with pytest.raises(QueueNotFound, match="orders"):
        await queue.publish(envelopes(1))


async def test_a_delay_that_sqs_knows(queue: SqsQueue, clock: ManualClock) -> None:
    await queue.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(seconds=10.5))])

    await clock.advance(10.4)
    assert not await queue.receive(1, timedelta())
    await clock.advance(1)
    assert len(await take(queue, 1)) == 1


async def test_a_longer_delay_is_refused_unless_somebody_carries_it_on(queue: SqsQueue, clock: ManualClock) -> None:
    [answer] = await queue.publish([Envelope(body=b"x", uid="u", not_before=clock.now() + timedelta(seconds=901))])

    assert isinstance(answer, Unsupported)
    assert "long_delay=hop" in str(answer)


async def test_the_limit_of_an_older_queue_is_kept(server: SqsServer, opener: Opener) -> None:
    server.create("old-buried", MaximumMessageSize="262144")
    server.create("old", MaximumMessageSize="262144")
    async with opener("old") as queue:
        limit = queue.capabilities.max_body_bytes
        assert limit is not None

        fits, over = await queue.publish([Envelope(body=b"x" * limit), Envelope(body=b"x" * (limit + 1))])

        assert isinstance(fits, str)
        assert isinstance(over, MessageTooLarge)


class TestFifo:
    async def test_order_within_a_group_is_kept_through_many_requests(self, server: SqsServer, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            await put(queue, 35, group="g")

        assert server.bodies("orders.fifo") == [f"message {number}" for number in range(35)]

    async def test_publishing_the_same_message_again_stores_it_once(self, server: SqsServer, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            assert await put(queue, 1, group="g") == await put(queue, 1, group="g")

        assert len(server.bodies("orders.fifo")) == 1

    async def test_a_deduplication_id_is_the_senders(self, server: SqsServer, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            await queue.publish(
                [Envelope(body=b"1", uid="a", dedup_id="d"), Envelope(body=b"2", uid="b", dedup_id="d")]
            )

        assert server.bodies("orders.fifo") == ["1"]

    async def test_a_queue_that_makes_ids_of_bodies_is_left_to_it(self, server: SqsServer, opener: Opener) -> None:
        server.create("content-buried.fifo")
        server.create("content.fifo", ContentBasedDeduplication="true")
        async with opener("content.fifo") as queue:
            await queue.publish([Envelope(body=b"1", uid="a"), Envelope(body=b"1", uid="b")])

        assert server.bodies("content.fifo") == ["1"]

    async def test_what_is_in_no_group_waits_for_nobody(self, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            await put(queue, 3)
            [first] = await queue.receive(1, timedelta())

            assert len(await queue.receive(10, timedelta())) == 2
            assert first.envelope.group is None

    async def test_a_delay_is_refused_before_it_is_sent(
        self, server: SqsServer, opener: Opener, clock: ManualClock
    ) -> None:
        async with opener("orders.fifo") as queue:
            assert queue.capabilities.max_delay == timedelta()
            [answer] = await queue.publish([Envelope(body=b"x", not_before=clock.now() + timedelta(seconds=5))])

        assert isinstance(answer, Unsupported)
        assert server.requests["SendMessageBatch"] == 0

    @pytest.mark.parametrize("group", ["g" * 200, "with blanks", "ünïcode", "\n"])
    async def test_a_group_of_any_name_is_a_group(self, opener: Opener, group: str) -> None:
        async with opener("orders.fifo") as queue:
            await put(queue, 2, group=group)
            [first] = await queue.receive(1, timedelta())

            assert first.envelope.group is not None
            assert not await queue.receive(1, timedelta())
