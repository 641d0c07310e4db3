"""Settling and extending: each item on its own, however the requests go."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsAdapter, SqsQueue
from pulpo_core import Ack, AdapterError, Bury, LeaseLost, PermissionDenied, Release, Retry, Unavailable
from pulpo_core.testing import ManualClock, SeededJitter
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import Opener, ack, put, settle, take

THROTTLED = SqsError("ThrottlingException", "slow down")
BROKEN = SqsError("InternalError", "sorry", status=500)


async def test_ten_acknowledgements_are_one_request(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 30)
    deliveries = await take(queue, 30)
    asked = server.requests["DeleteMessageBatch"]

    await ack(queue, *deliveries)

    assert server.requests["DeleteMessageBatch"] - asked == 3
    assert server.bodies("orders") == []


async def test_settlements_of_many_callers_share_requests(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 10)
    deliveries = await take(queue, 10)
    asked = server.requests["DeleteMessageBatch"]

    async with asyncio.TaskGroup() as group:
        for delivery in deliveries:
            group.create_task(ack(queue, delivery))

    assert server.requests["DeleteMessageBatch"] - asked == 1


async def test_entries_are_named_by_their_place_not_by_their_message(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 3)
    await ack(queue, *await take(queue, 3))

    [*_, (operation, asked)] = server.seen
    assert operation == "DeleteMessageBatch"
    assert [entry["Id"] for entry in asked["Entries"]] == ["0", "1", "2"]


async def test_a_partial_failure_is_told_for_its_items_alone(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 5)
    deliveries = await take(queue, 5)
    server.fail("DeleteMessageBatch", Fault(entries=frozenset({1, 3}), error=BROKEN))

    answers = await settle(queue, *[(delivery, Ack()) for delivery in deliveries])

    assert [answer is None for answer in answers] == [True, False, True, False, True]
    assert all(isinstance(answers[place], Unavailable) and answers[place].in_doubt for place in (1, 3))
    await ack(queue, deliveries[1], deliveries[3])
    assert server.bodies("orders") == []


async def test_an_answer_that_forgets_an_entry_leaves_it_in_doubt(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 2)
    deliveries = await take(queue, 2)
    server.fail("DeleteMessageBatch", Fault(answer=b'{"Successful": [{"Id": "0"}]}'))

    first, second = await settle(queue, *[(delivery, Ack()) for delivery in deliveries])

    assert first is None
    assert isinstance(second, AdapterError)
    assert second.in_doubt


@pytest.mark.parametrize(
    ("fault", "in_doubt"),
    [
        pytest.param(Fault(error=THROTTLED), False, id="throttled"),
        pytest.param(Fault(error=SqsError("ServiceUnavailable", "", status=503)), False, id="unavailable"),
        pytest.param(Fault(error=BROKEN), True, id="broken"),
        pytest.param(Fault(cut="before"), True, id="cut before it was done"),
        pytest.param(Fault(cut="after"), True, id="cut after it was done"),
        pytest.param(Fault(cut="midway"), True, id="cut in the middle of the answer"),
        pytest.param(Fault(answer=b"<html>no JSON</html>"), True, id="garbage"),
        pytest.param(Fault(answer=b"[]"), True, id="not an object"),
        pytest.param(Fault(answer=b'{"Successful": 7}'), True, id="not a list"),
        pytest.param(Fault(answer=b'{"Successful": [{"Id": "77"}]}'), True, id="an entry that was not sent"),
        pytest.param(Fault(answer=b'{"Successful": [{}]}'), True, id="an entry without a name"),
        pytest.param(Fault(seconds=1.0), True, id="slow"),
    ],
)
async def test_a_request_that_fails_is_an_answer_for_each_item_and_is_not_repeated(
    server: SqsServer, opener: Opener, fault: Fault, *, in_doubt: bool
) -> None:
    async with opener(timeout="300ms" if fault.seconds else "20s") as queue:
        await put(queue, 2)
        deliveries = await take(queue, 2)
        asked = server.requests["DeleteMessageBatch"]
        server.fail("DeleteMessageBatch", fault)

        answers = await settle(queue, *[(delivery, Ack()) for delivery in deliveries])

        assert server.requests["DeleteMessageBatch"] - asked == 1
        for answer in answers:
            assert isinstance(answer, Unavailable)
            assert answer.temporary
            assert answer.in_doubt is in_doubt
        await ack(queue, *deliveries)
        assert server.bodies("orders") == []


async def test_losing_a_permission_is_raised_once_everything_else_is_done(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 2)
    first, second = await take(queue, 2)
    server.deny("DeleteMessageBatch")

    with pytest.raises(PermissionDenied, match=r"DeleteMessageBatch on queue 'orders'.*not authorized"):
        await settle(queue, (first, Ack()), (second, Release()))

    assert len(await take(queue, 1)) == 1


async def test_a_retry_is_a_change_of_visibility(server: SqsServer, queue: SqsQueue, clock: ManualClock) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)

    assert await settle(queue, (delivery, Retry(timedelta(seconds=90)))) == [None]

    await clock.advance(89)
    assert not await queue.receive(1, timedelta())
    await clock.advance(2)
    assert (await take(queue, 1))[0].attempt == 2


async def test_a_retry_is_clamped_to_what_the_ceiling_leaves(queue: SqsQueue, clock: ManualClock) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)
    await clock.advance(20)

    assert await settle(queue, (delivery, Retry(timedelta(hours=12)))) == [None]

    await clock.advance(12 * 3600 - 20)
    assert len(await queue.receive(1, timedelta())) == 1


async def test_what_the_server_calls_stale_is_lost(server: SqsServer, queue: SqsQueue, clock: ManualClock) -> None:
    """The adapter's own clock says the lease lasts, SQS says otherwise: SQS is right."""
    await put(queue, 3)
    one, two, three = await take(queue, 3)
    for message in server.state.queues["orders"].messages.values():
        message.visible_at = 0.0
    await clock.advance(1)

    answers = await settle(queue, (one, Release()), (two, Retry(timedelta(seconds=5))))

    assert all(isinstance(answer, LeaseLost) for answer in answers)
    assert isinstance((await queue.extend([three]))[0], LeaseLost)


async def test_after_the_lease_only_an_acknowledgement_is_sent(
    server: SqsServer, queue: SqsQueue, clock: ManualClock
) -> None:
    await put(queue, 4)
    deliveries = await take(queue, 4)
    await clock.advance(31)
    before = server.requests.copy()

    settlements = (Ack(), Retry(timedelta(0)), Bury("late"), Release())
    answers = await settle(queue, *zip(deliveries, settlements, strict=True))

    assert answers[0] is None
    assert all(isinstance(answer, LeaseLost) for answer in answers[1:])
    assert server.requests - before == {"DeleteMessageBatch": 1}
    assert len(server.bodies("orders")) == 3


async def test_a_late_acknowledgement_that_sqs_ignores_removes_nothing_of_the_other(
    server: SqsServer, queue: SqsQueue, opener: Opener, clock: ManualClock
) -> None:
    await put(queue, 1)
    [stale] = await take(queue, 1)
    await clock.advance(31)
    async with opener() as other:
        [fresh] = await take(other, 1)
        await ack(queue, stale)

        assert server.bodies("orders") == ["message 0"]
        await ack(other, fresh)

    assert server.bodies("orders") == []


async def test_on_fifo_a_late_acknowledgement_is_not_even_tried(
    server: SqsServer, opener: Opener, clock: ManualClock
) -> None:
    async with opener("orders.fifo") as queue:
        await put(queue, 1)
        [delivery] = await take(queue, 1)
        await clock.advance(31)

        [answer] = await settle(queue, (delivery, Ack()))

        assert isinstance(answer, LeaseLost)
        assert not queue.capabilities.late_ack


async def test_a_cancelled_settlement_goes_on_and_can_be_joined(server: SqsServer, queue: SqsQueue) -> None:
    await put(queue, 1)
    [delivery] = await take(queue, 1)
    asked = server.requests["DeleteMessageBatch"]
    server.fail("DeleteMessageBatch", Fault(seconds=0.05))
    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(ack(queue, delivery))
        await asyncio.sleep(0.03)
        cancelled.cancel()

    await ack(queue, delivery)

    assert server.requests["DeleteMessageBatch"] - asked == 1


class TestExtending:
    async def test_ten_leases_are_one_request(self, server: SqsServer, queue: SqsQueue, clock: ManualClock) -> None:
        await put(queue, 25)
        deliveries = await take(queue, 25)
        asked = server.requests["ChangeMessageVisibilityBatch"]
        await clock.advance(10)

        deadlines = await queue.extend(deliveries)

        assert set(deadlines) == {clock.monotonic() + 30}
        assert server.requests["ChangeMessageVisibilityBatch"] - asked == 3

    async def test_a_lease_is_never_kept_beyond_the_ceiling(
        self, server: SqsServer, opener: Opener, clock: ManualClock
    ) -> None:
        async with opener(visibility="3h") as queue:
            await put(queue, 1)
            [delivery] = await take(queue, 1)
            taken_at = clock.monotonic()
            deadline = delivery.lease.deadline
            for _ in range(12):
                await clock.advance(3600)
                [answer] = await queue.extend([delivery])
                if isinstance(answer, LeaseLost):
                    break
                assert isinstance(answer, float)
                assert answer >= deadline
                deadline = answer

            assert deadline == taken_at + 12 * 3600 - 1
            assert "InvalidParameterValue" not in str(answer), "SQS was asked for more than it allows"

    async def test_nothing_is_asked_for_a_deadline_that_stands(
        self, server: SqsServer, queue: SqsQueue, clock: ManualClock
    ) -> None:
        await put(queue, 1)
        [delivery] = await take(queue, 1)
        asked = server.requests["ChangeMessageVisibilityBatch"]

        assert await queue.extend([delivery]) == [delivery.lease.deadline]
        assert server.requests["ChangeMessageVisibilityBatch"] == asked

    async def test_a_failed_extension_is_told_and_can_be_tried_again(
        self, server: SqsServer, queue: SqsQueue, clock: ManualClock
    ) -> None:
        await put(queue, 2)
        deliveries = await take(queue, 2)
        await clock.advance(10)
        server.fail("ChangeMessageVisibilityBatch", Fault(entries=frozenset({0}), error=THROTTLED))

        first, second = await queue.extend(deliveries)

        assert isinstance(first, Unavailable)
        assert second == clock.monotonic() + 30
        assert await queue.extend(deliveries[:1]) == [clock.monotonic() + 30]

    async def test_no_extension_overtakes_a_retry(self, server: SqsServer, queue: SqsQueue, clock: ManualClock) -> None:
        await put(queue, 1)
        [delivery] = await take(queue, 1)
        await clock.advance(10)
        server.fail("ChangeMessageVisibilityBatch", Fault(seconds=0.05))
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.extend([delivery]))
            await asyncio.sleep(0.01)
            assert await settle(queue, (delivery, Retry(timedelta(seconds=2)))) == [None]

        await clock.advance(2.5)
        assert len(await queue.receive(1, timedelta())) == 1

    @pytest.mark.parametrize("steps", range(5))
    async def test_nor_one_that_was_about_to_be_asked_for(
        self, steps: int, server: SqsServer, clock: ManualClock
    ) -> None:
        adapter = SqsAdapter(linger=timedelta())  # the retry goes out as soon as it can
        async with adapter.open(f"sqs://orders?endpoint_url={server.url}", clock=clock, jitter=SeededJitter()) as queue:
            await put(queue, 1)
            [delivery] = await take(queue, 1)
            await clock.advance(10)
            server.fail("ChangeMessageVisibilityBatch", Fault(seconds=0.05))  # whichever comes first
            async with asyncio.TaskGroup() as group:
                group.create_task(queue.extend([delivery]))
                for _ in range(steps):
                    await asyncio.sleep(0)
                assert await settle(queue, (delivery, Retry(timedelta(minutes=10)))) == [None]

            await clock.advance(100)
            assert not await queue.receive(1, timedelta())
