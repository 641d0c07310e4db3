"""Leases: kept from receipt to settlement, buffered deliveries included; a loss is noticed, told and counted."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import AdapterError, LeaseLost, Message, PermissionDenied, Policy, Retry, Route, Until
from pulpo_core.events import LeaseExtended, LeaseGone, Settled
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    Worker,
    counts,
    failing,
    fresh_url,
    opened,
    pass_time,
    payload,
    publish,
    refusing,
    run,
    running,
    unavailable,
)


@virtual_time
async def test_a_handler_may_take_many_times_as_long_as_a_lease():
    url, handler = fresh_url("?lease=10s"), Recorder(seconds=300)
    await publish(url, "job")
    async with running(Route(url, handler)) as worker:
        await pass_time(299)
        assert await counts(url) == {"reserved": 1}
        await pass_time(2)

    assert worker.columns == {"received": 1, "acked": 1}
    assert len(handler.messages) == 1


@virtual_time
async def test_leases_of_buffered_deliveries_are_kept_too():
    url, handler = fresh_url("?lease=10s"), Recorder(seconds=60)
    await publish(url, "job", "job", "job")
    async with running(Route(url, handler, concurrency=1, prefetch=2)) as worker:
        await pass_time(185)

    assert worker.columns == {"received": 3, "acked": 3}
    assert len(handler.messages) == 3


@virtual_time
async def test_an_extension_without_an_answer_does_not_cost_the_leases_of_others():
    url, handler = fresh_url("?lease=10s"), Recorder(seconds=60)
    stuck = []

    async def extend(method, batch):
        answers = await method(batch)
        if not stuck:
            stuck.extend(batch)
            await asyncio.sleep(3_600)
        return answers

    await publish(url, "job")
    async with running(Route(url, handler, adapter=FaultyAdapter(extend=extend))) as worker:
        await pass_time(5)
        await publish(url, "another")
        await pass_time(90)

    assert worker.columns == {"received": 3, "acked": 2, "lease_lost": 1}, "the stuck one came again, and that is all"


@virtual_time
async def test_leases_are_extended_in_batches_and_not_too_often():
    url, batches = fresh_url("?lease=30s"), []

    async def extend(method, batch):
        batches.append(len(batch))
        return await method(batch)

    await publish(url, *["job"] * 10)
    async with running(Route(url, Recorder(seconds=120), adapter=FaultyAdapter(extend=extend))) as worker:
        await pass_time(121)

    assert set(batches) == {10}
    assert 4 <= len(batches) <= 12
    assert {event.count for event in worker.of_kind(LeaseExtended)} == {10}


@virtual_time
async def test_nothing_is_extended_while_nothing_is_in_hand():
    adapter = FaultyAdapter()
    async with running(Route(fresh_url("?lease=10s"), Recorder(), adapter=adapter)):
        await pass_time(600)

    assert "extend" not in adapter.calls


@virtual_time
async def test_an_extension_that_fails_for_now_is_tried_again_while_the_lease_lasts():
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=60)
    await publish(url, "job")
    adapter = FaultyAdapter(extend=failing(unavailable(), times=3))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(61)

    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_an_item_that_cannot_be_extended_for_now_does_not_harm_its_neighbours():
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=60)
    await publish(url, "job", "job")
    adapter = FaultyAdapter(extend=refusing(unavailable(), times=1))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(61)

    assert worker.columns == {"received": 2, "acked": 2}


@virtual_time
async def test_a_lease_that_could_not_be_kept_is_lost_its_handler_is_cancelled_and_nothing_is_settled():
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=60)
    await publish(url, "job")
    adapter = FaultyAdapter(extend=failing(unavailable()))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(14)
        assert handler.busy <= 1
        worker.stop(now=True)

    assert worker.ledger.lease_lost == 1
    assert "settle" not in adapter.calls[: adapter.calls.index("extend") + 3]
    assert len(worker.of_kind(LeaseGone)) == 1
    assert handler.done == []


@virtual_time
async def test_a_handler_learns_that_its_lease_is_lost():
    url, told = fresh_url("?lease=12s"), []

    async def handler(delivery):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append(delivery.lease_lost)
            raise

    await publish(url, "job")
    adapter = FaultyAdapter(extend=refusing(LeaseLost("gone"), times=1))
    async with running(Route(url, handler, adapter=adapter), grace=0) as worker:
        await pass_time(6)
        worker.stop()

    assert told == [True]
    assert worker.columns == {"received": 1, "lease_lost": 1}
    [event] = worker.of_kind(Settled)
    assert (event.settlement, event.reason) == (None, "lease-lost")


@virtual_time
async def test_a_buffered_delivery_whose_lease_is_lost_is_never_started():
    """Another worker has it already."""
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=30)
    _, second = await publish(url, payload(1), payload(2))

    async def extend(method, batch):
        return [LeaseLost("gone") if each.id == second.id else (await method([each]))[0] for each in batch]

    route = Route(url, handler, concurrency=1, prefetch=1, adapter=FaultyAdapter(extend=extend))
    worker = await run(route, until=Until(once=True))

    assert handler.payloads == [1]
    assert worker.columns == {"received": 2, "acked": 1, "lease_lost": 1}
    assert len(worker.of_kind(LeaseGone)) == 1


@virtual_time
async def test_a_buffered_delivery_whose_lease_is_over_is_never_started_either():
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=13)
    await publish(url, payload(1), payload(2))

    async def hang(method, batch):
        await asyncio.sleep(1_000)

    route = Route(url, handler, concurrency=1, prefetch=1, adapter=FaultyAdapter(extend=hang))
    worker = await run(route, until=Until(once=True))

    assert handler.payloads == [1]
    assert worker.columns == {"received": 2, "lease_lost": 2}
    assert len(worker.of_kind(LeaseGone)) == 2


@pytest.mark.parametrize("late_ack", [True, False])
@virtual_time
async def test_work_that_was_done_before_the_loss_was_known_is_acknowledged_late_only_where_that_is_safe(late_ack):
    url, settled = fresh_url("?lease=12s"), []

    async def handler(message):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return  # its work was done in fact

    async def settle(method, batch):
        settled.extend(type(item.settlement).__name__ for item in batch)
        return [None] * len(batch)

    await publish(url, "job")
    adapter = FaultyAdapter({"late_ack": late_ack}, extend=refusing(LeaseLost("gone"), times=1), settle=settle)
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(6)
        worker.stop()

    assert settled == (["Ack"] if late_ack else [])
    assert worker.columns == {"received": 1, ("acked" if late_ack else "lease_lost"): 1}


@virtual_time
async def test_work_done_late_is_not_acknowledged_while_its_follow_ups_are_not_published():
    """The message comes again, and they come with it: acknowledging it would lose them."""
    url, settled = fresh_url("?lease=12s"), []

    async def handler(message):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return Message(request_type="next")

    async def settle(method, batch):
        settled.extend(batch)
        return [None] * len(batch)

    await publish(url, "job")
    adapter = FaultyAdapter({"late_ack": True}, extend=refusing(LeaseLost("gone"), times=1), settle=settle)
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(6)
        worker.stop()

    assert settled == []
    assert worker.columns == {"received": 1, "lease_lost": 1}


@virtual_time
async def test_an_extension_never_overwrites_the_delay_of_a_retry():
    """The settlement waits until the extension has ended."""
    url, order = fresh_url("?lease=12s"), []

    async def extend(method, batch):
        order.append("extension begins")
        await asyncio.sleep(3)
        answers = await method(batch)
        order.append("extension ends")
        return answers

    async def settle(method, batch):
        order.append("settlement")
        return await method(batch)

    async def handler(message):
        await asyncio.sleep(6)
        return Retry(600)

    await publish(url, "job")
    async with running(Route(url, handler, adapter=FaultyAdapter(extend=extend, settle=settle))) as worker:
        await pass_time(20)

    assert order == ["extension begins", "extension ends", "settlement"]
    assert worker.columns == {"received": 1, "retried": 1}
    assert await counts(url) == {"delayed": 1}


@virtual_time
async def test_what_is_being_settled_is_not_extended():
    url, extended = fresh_url("?lease=12s"), []

    async def settle(method, batch):
        await asyncio.sleep(10)
        return await method(batch)

    async def extend(method, batch):
        extended.append(len(batch))
        return await method(batch)

    await publish(url, "job")
    async with running(Route(url, Recorder(), adapter=FaultyAdapter(settle=settle, extend=extend))) as worker:
        await pass_time(11)

    assert extended == []
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_no_delivery_is_held_longer_than_the_queue_allows_and_then_it_has_timed_out():
    url, ends = fresh_url("?lease=60s"), []

    async def handler(message):
        try:
            await asyncio.sleep(100_000)
        finally:
            ends.append(asyncio.get_running_loop().time())

    await publish(url, "job")
    began = asyncio.get_running_loop().time()
    adapter = FaultyAdapter({"max_hold": timedelta(minutes=10)})
    async with running(Route(url, handler, adapter=adapter, policy=Policy(max_attempts=1))) as worker:
        await pass_time(700)

    assert 600 <= ends[0] - began <= 610
    assert worker.columns == {"received": 1, "buried": 1}
    assert worker.of_kind(Settled)[0].reason == "attempts-exhausted"


@virtual_time
async def test_no_delivery_is_held_longer_than_half_a_day_anywhere():
    url = fresh_url("?lease=1h")
    await publish(url, "job")
    async with running(Route(url, Recorder(seconds=1_000_000)), grace=0) as worker:
        await pass_time(12 * 3600 - 10)
        assert worker.columns == {"received": 1, "in_hand": 1}
        await pass_time(400)
        assert worker.ledger.retried == 1
        worker.stop()


@virtual_time
async def test_a_handler_is_interrupted_once_and_may_clean_up_longer_than_leases_are_looked_at():
    url, interruptions = fresh_url("?lease=12s"), []

    async def handler(message):
        try:
            await asyncio.sleep(100_000)
        except asyncio.CancelledError:
            for _ in range(5):
                try:
                    await asyncio.sleep(1.5)
                except asyncio.CancelledError:
                    interruptions.append("again")
            raise

    await publish(url, "job")
    adapter = FaultyAdapter({"max_hold": timedelta(seconds=60)})
    worker = await run(Route(url, handler, adapter=adapter), until=Until(once=True))

    assert interruptions == []
    assert worker.columns == {"received": 1, "retried": 1}


@pytest.mark.parametrize("error", [PermissionDenied("may not extend"), KeyError("a defect")])
@virtual_time
async def test_an_extension_of_the_wrong_access_stops_the_worker_in_order(error):
    url, other, slow = fresh_url("?lease=12s"), fresh_url(), Recorder(seconds=8)
    await publish(url, "job")
    await publish(other, "job")
    route = Route(url, slow, name="broken", adapter=FaultyAdapter(extend=failing(error)))
    worker = Worker.of(route, Route(other, slow, name="other"))

    with pytest.raises(type(error)):
        async with asyncio.timeout(100):
            await worker.run()

    assert [ledger.acked for ledger in worker.dispatcher.ledgers.values()] == [1, 1]


@virtual_time
async def test_a_temporary_answer_is_no_loss():
    url, handler = fresh_url("?lease=12s"), Recorder(seconds=30)
    await publish(url, "job")
    adapter = FaultyAdapter(extend=refusing(AdapterError("later", temporary=True), times=1))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(31)

    assert worker.of_kind(LeaseGone) == []
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_a_queue_whose_leases_do_not_end_is_never_asked_to_extend():
    url, adapter = fresh_url(), FaultyAdapter({"lease": None})
    await publish(url, "job")
    async with running(Route(url, Recorder(seconds=20), adapter=adapter)) as worker:
        await pass_time(21)

    assert "extend" not in adapter.calls
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_a_message_whose_lease_ran_out_elsewhere_comes_again_with_its_attempts_counted():
    url, handler = fresh_url("?lease=5s"), Recorder()
    await publish(url, "job")
    async with opened(url) as queue:
        await queue.receive(1, timedelta())
    async with running(Route(url, handler)):
        await pass_time(6)

    assert [message.attempts for message in handler.messages] == [1]
