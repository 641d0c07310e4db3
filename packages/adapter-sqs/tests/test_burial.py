"""Burial, and what people do with the buried."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsQueue
from pulpo_core import (
    AdapterError,
    Bury,
    ConfigurationError,
    Delivery,
    Envelope,
    LeaseLost,
    MessageNotFound,
    Peek,
    Record,
    State,
    Unavailable,
    Unsupported,
)
from pulpo_core.testing import ManualClock
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import BURIED, Opener, ack, put, settle, take

THROTTLED = SqsError("ThrottlingException", "slow down")


async def bury(queue: SqsQueue, delivery: Delivery, reason: str = "fatal", error: str = "ValueError: no") -> None:
    assert list(await settle(queue, (delivery, Bury(reason, error)))) == [None]


async def test_the_copy_is_sent_before_the_original_is_deleted(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 1)
    await bury(queue, *await take(queue, 1))

    operations = [operation for operation, _ in server.seen]
    assert operations.index("SendMessageBatch", 2) < len(operations) - operations[::-1].index("DeleteMessageBatch") - 1
    assert (server.bodies("orders"), server.bodies("orders-buried")) == ([], ["message 0"])


async def test_a_copy_that_cannot_be_sent_keeps_its_original(
    server: SqsServer, queue: SqsQueue, clock: ManualClock
) -> None:
    await put(queue, 2)
    one, two = await take(queue, 2)
    server.fail("SendMessageBatch", Fault(entries=frozenset({0}), error=THROTTLED))

    first, second = await settle(queue, (one, Bury("fatal")), (two, Bury("fatal")))

    assert isinstance(first, Unavailable)
    assert second is None
    assert server.bodies("orders") == [one.envelope.body.decode()]


async def test_an_original_that_cannot_be_deleted_is_deleted_later_without_a_second_copy(
    server: SqsServer, queue: SqsQueue
) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)
    server.fail("DeleteMessageBatch", Fault(error=THROTTLED))
    [answer] = await settle(queue, (delivery, Bury("fatal")))
    assert isinstance(answer, Unavailable)

    await bury(queue, delivery)

    assert (server.bodies("orders"), server.bodies("orders-buried")) == ([], ["message 0"])


async def test_a_worker_that_dies_in_between_leaves_two_with_one_identity(
    server: SqsServer, queue: SqsQueue, clock: ManualClock
) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)
    server.fail("DeleteMessageBatch", Fault(cut="before"))
    await settle(queue, (delivery, Bury("fatal")))
    await clock.advance(31)
    await bury(queue, *await take(queue, 1))

    page = await queue.buried()

    assert [record.envelope.uid for record in page.records] == ["u0", "u0"]


async def test_on_fifo_the_second_copy_of_one_burial_is_dropped(
    server: SqsServer, opener: Opener, clock: ManualClock
) -> None:
    async with opener("orders.fifo") as queue:
        await put(queue, 1, group="g")
        [delivery] = await take(queue, 1)
        server.fail("DeleteMessageBatch", Fault(cut="before"))
        await settle(queue, (delivery, Bury("fatal")))
        await clock.advance(31)
        await bury(queue, *await take(queue, 1))

        assert len((await queue.buried()).records) == 1


async def test_buried_kicked_and_buried_again_within_five_minutes_nothing_is_lost(
    server: SqsServer, opener: Opener
) -> None:
    async with opener("orders.fifo") as queue:
        await put(queue, 1, group="g")
        for reason in ("first", "second", "third"):
            [delivery] = await take(queue, 1)
            assert (delivery.attempt, delivery.envelope.group, delivery.envelope.uid) == (1, "g", "u0")
            await bury(queue, delivery, reason)
            [record] = (await queue.buried()).records
            assert record.reason == reason
            assert await queue.kick() == 1

        await ack(queue, *await take(queue, 1))


async def test_a_foreign_message_keeps_its_attributes_through_burial_and_kick(
    server: SqsServer, queue: SqsQueue
) -> None:
    attributes = {f"n{number}": {"DataType": "Number", "StringValue": str(number)} for number in range(10)}
    server.state.send_message(
        {"QueueUrl": "/orders", "MessageBody": "36|0|x", "MessageAttributes": attributes}, server.now()
    )
    [delivery] = await take(queue, 1)
    await bury(queue, delivery)

    [record] = (await queue.buried()).records
    assert record.envelope.uid == f"sqs:{delivery.id}"
    assert record.envelope.attributes == {f"n{number}": str(number) for number in range(10)}
    await queue.kick([delivery.id])  # the id that people know it by

    [again] = await take(queue, 1)
    assert (again.envelope.body, again.envelope.uid) == (b"36|0|x", f"sqs:{delivery.id}")
    assert again.envelope.attributes == {f"n{number}": str(number) for number in range(10)}


class TestWhere:
    async def test_the_target_of_the_redrive_policy(self, server: SqsServer, opener: Opener) -> None:
        target = server.create("dead")
        server.create("a", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 5}))
        await self._bury_from(server, opener, "a", "dead")

    async def test_the_redrive_policy_goes_before_the_configured_queue_and_that_is_said(
        self, server: SqsServer, opener: Opener, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.create("dead")
        await self._bury_from(server, opener, "orders", "orders-buried", dlq="dead")

        [warning] = caplog.messages
        assert "buries in 'orders-buried'" in warning
        assert "dlq=dead is not used" in warning

    async def test_the_configured_queue_where_there_is_no_redrive_policy(
        self, server: SqsServer, opener: Opener
    ) -> None:
        server.create("a")
        server.create("a-buried")
        server.create("dead")
        await self._bury_from(server, opener, "a", "dead", dlq="dead")

    async def test_the_configured_queue_by_its_arn(self, server: SqsServer, opener: Opener) -> None:
        server.create("a")
        await self._bury_from(server, opener, "a", "dead", dlq=server.create("dead"))

    async def test_the_queue_of_the_same_name_with_buried(self, server: SqsServer, opener: Opener) -> None:
        server.create("b")
        server.create("b-buried")
        await self._bury_from(server, opener, "b", "b-buried")

    @staticmethod
    async def _bury_from(server: SqsServer, opener: Opener, name: str, target: str, **parameters: str) -> None:
        async with opener(name, **parameters) as queue:
            await put(queue, 1)
            await bury(queue, *await take(queue, 1))

        assert server.bodies(target) == ["message 0"]


class TestLooking:
    async def test_a_look_changes_nothing_but_counters(self, queue: SqsQueue) -> None:
        await put(queue, 3)
        for delivery in await take(queue, 3):
            await bury(queue, delivery)

        first, second = await queue.buried(), await queue.buried()

        assert [_told(record) for record in first.records] == [_told(record) for record in second.records]
        assert "the receive counters of 3 rose" in first.note
        assert not first.partial

    async def test_only_what_was_buried_from_here_is_shown(self, server: SqsServer, opener: Opener) -> None:
        server.create("others", RedrivePolicy=BURIED)
        for name in ("orders", "others"):
            async with opener(name) as queue:
                await put(queue, 2)
                for delivery in await take(queue, 2):
                    await bury(queue, delivery, reason=name)

        async with opener("orders") as queue:
            page = await queue.buried()
            assert {record.reason for record in page.records} == {"orders"}
            assert "2 buried from other queues were left alone" in page.note
            assert await queue.kick() == 2

        async with opener("others") as queue:
            assert len((await queue.buried()).records) == 2

    async def test_what_aws_has_redriven_is_listed_as_such_and_can_be_kicked(
        self, server: SqsServer, opener: Opener, clock: ManualClock
    ) -> None:
        target = server.create("dead")
        server.create("tight", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 2}))
        async with opener("tight") as queue:
            await put(queue, 1)
            for _ in range(2):
                await take(queue, 1)
                await clock.advance(31)
            assert not await queue.receive(1, timedelta())

            [record] = (await queue.buried()).records
            assert record.reason == "redriven"
            assert record.origin == server.state.queues["tight"].arn
            assert await queue.kick() == 1
            [delivery] = await take(queue, 1)

        assert delivery.attempt == 1

    async def test_a_page_that_is_not_all_says_so(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 25)
        for delivery in await take(queue, 25):
            await bury(queue, delivery)

        page = await queue.buried(limit=10)

        assert len(page.records) == 10
        assert page.partial

    async def test_a_queue_that_would_pass_its_messages_on_is_not_looked_at(
        self, server: SqsServer, opener: Opener
    ) -> None:
        further = server.create("further")
        target = server.create("dead", RedrivePolicy=json.dumps({"deadLetterTargetArn": further, "maxReceiveCount": 3}))
        server.create("a", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 5}))
        async with opener("a") as queue:
            with pytest.raises(ConfigurationError, match="of its own"):
                await queue.buried()

    async def test_false_empty_answers_do_not_end_a_look(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 25)
        for delivery in await take(queue, 25):
            await bury(queue, delivery)
        server.sampling = 3

        assert len((await queue.buried()).records) == 25

    async def test_in_a_fifo_grave_all_of_a_group_are_seen(self, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            await put(queue, 15, group="g")
            for _ in range(15):
                await bury(queue, *await queue.receive(1, timedelta()))

            assert len((await queue.buried()).records) == 15

    async def test_stats_never_receive(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 3)
        await take(queue, 1)
        asked = server.requests["ReceiveMessage"]

        stats = await queue.stats()

        assert (stats.ready, stats.delayed, stats.reserved, stats.buried, stats.exact) == (2, 0, 1, 0, False)
        assert server.requests["ReceiveMessage"] == asked

    @pytest.mark.parametrize("kind", list(Peek))
    async def test_nothing_can_be_peeked_at(self, server: SqsServer, queue: SqsQueue, kind: Peek) -> None:
        with pytest.raises(Unsupported):
            await queue.peek(kind, "1")
        assert server.requests["ReceiveMessage"] == 0


class TestRepairing:
    async def test_a_kick_that_fails_says_how_far_it_came(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 3)
        for delivery in await take(queue, 3):
            await bury(queue, delivery)
        server.fail("SendMessageBatch", Fault(entries=frozenset({1}), error=THROTTLED))

        with pytest.raises(AdapterError, match="2 of 3 were kicked"):
            await queue.kick()

        assert len((await queue.buried()).records) == 1
        assert len(server.bodies("orders")) == 2

    async def test_of_names_that_are_not_all_there_none_is_kicked(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 1)
        await bury(queue, *await take(queue, 1))

        with pytest.raises(MessageNotFound, match="nobody"):
            await queue.kick(["u0", "nobody"])

        assert server.bodies("orders") == []
        assert len((await queue.buried()).records) == 1

    @pytest.mark.parametrize("name", ["uid", "id here", "id there"])
    async def test_a_buried_message_answers_to_all_its_names(self, queue: SqsQueue, name: str) -> None:
        [published] = await put(queue, 1)
        await bury(queue, *await take(queue, 1))
        [record] = (await queue.buried()).records

        names = {"uid": "u0", "id here": record.id, "id there": published}
        assert await queue.kick([names[name]]) == 1

    async def test_deleting_is_for_the_buried_alone(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 1)
        await bury(queue, *await take(queue, 1))
        [ready] = await put(queue, 1)
        [record] = (await queue.buried()).records

        gone, missing = await queue.delete([record.id, ready])

        assert gone is None
        assert isinstance(missing, MessageNotFound)
        assert (len(server.bodies("orders")), server.bodies("orders-buried")) == (1, [])

    async def test_a_purge_of_the_ready_leaves_the_others(
        self, server: SqsServer, queue: SqsQueue, clock: ManualClock
    ) -> None:
        await put(queue, 2)
        held, dead = await take(queue, 2)
        await bury(queue, dead)
        await put(queue, 25)
        await queue.publish([Envelope(body=b"later", not_before=clock.now() + timedelta(seconds=60))])

        assert await queue.purge(frozenset({State.READY})) == 25

        stats = await queue.stats()
        assert (stats.ready, stats.delayed, stats.reserved, stats.buried) == (0, 1, 1, 1)
        await ack(queue, held)

    async def test_a_purge_of_a_fifo_queue_leaves_what_waits_behind_its_group(self, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            await put(queue, 3, group="a")
            [held] = await queue.receive(1, timedelta())
            await queue.publish([Envelope(body=b"x", uid=uid, group="b") for uid in ("b0", "b1")])

            assert await queue.purge(frozenset({State.READY})) == 2, "nobody is shown more of group a for now"
            await ack(queue, held)
            assert await queue.purge(frozenset({State.READY})) == 2

    async def test_a_purge_of_the_buried_leaves_what_others_have_buried(
        self, server: SqsServer, opener: Opener
    ) -> None:
        server.create("others", RedrivePolicy=BURIED)
        for name in ("orders", "others"):
            async with opener(name) as queue:
                await put(queue, 1)
                await bury(queue, *await take(queue, 1))

        async with opener("orders") as queue:
            assert await queue.purge(frozenset({State.BURIED})) == 1

        assert len(server.bodies("orders-buried")) == 1

    async def test_ten_that_are_deleted_are_one_request(self, server: SqsServer, queue: SqsQueue) -> None:
        await put(queue, 25)
        for delivery in await take(queue, 25):
            await bury(queue, delivery)
        asked = server.requests["DeleteMessageBatch"]

        assert await queue.purge(frozenset({State.BURIED})) == 25
        assert server.requests["DeleteMessageBatch"] - asked == 3

    async def test_what_cannot_be_purged_is_refused_before_anything_is(
        self, server: SqsServer, queue: SqsQueue
    ) -> None:
        await put(queue, 1)

        with pytest.raises(Unsupported):
            await queue.purge(frozenset({State.READY, State.DELAYED}))

        assert len(server.bodies("orders")) == 1

    async def test_nothing_pauses(self, queue: SqsQueue) -> None:
        with pytest.raises(Unsupported):
            await queue.pause()
        with pytest.raises(Unsupported):
            await queue.resume()


def _told(record: Record) -> tuple[object, ...]:
    return record.id, record.envelope.body, record.reason, record.error, record.attempts, record.buried_at


@pytest.mark.parametrize("room", [1024, 8192], ids=["a grave as narrow", "a grave with room for the record"])
async def test_a_foreign_message_that_fills_its_queue_s_limit_can_be_buried_and_kicked(
    room: int, server: SqsServer, opener: Opener
) -> None:
    server.create("narrow-buried", MaximumMessageSize=str(room))
    server.create("narrow", MaximumMessageSize="1024")
    attributes = {"kind": {"DataType": "String", "StringValue": "big"}}
    foreign = {"QueueUrl": "narrow", "MessageBody": "x" * (1024 - 13), "MessageAttributes": attributes}
    server.state.send_message(foreign, server.now())
    async with opener("narrow") as queue:
        [delivery] = await take(queue, 1)
        await bury(queue, delivery)

        assert await queue.kick() == 1

        [again] = await take(queue, 1)
        assert again.envelope.body == delivery.envelope.body
        assert again.envelope.attributes == {"kind": "big"}
        assert again.attempt == 1


async def test_burying_after_the_lease_sends_no_copy(server: SqsServer, queue: SqsQueue, clock: ManualClock) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)
    await clock.advance(31)

    [answer] = await settle(queue, (delivery, Bury("late")))

    assert isinstance(answer, LeaseLost)
    assert server.bodies("orders-buried") == []
