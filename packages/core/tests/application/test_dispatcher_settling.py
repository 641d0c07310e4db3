"""Settling: in batches, beside everything else, repeated where that is safe, and never more than once counted."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    LeaseLost,
    Message,
    PermissionDenied,
    Policy,
    Retry,
    Route,
    Unavailable,
    Until,
)
from pulpo_core.events import Alarm, LeaseGone, Settled, SettleFailed
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    Worker,
    counts,
    failing,
    fresh_url,
    pass_time,
    payload,
    publish,
    refusing,
    run,
    running,
    unavailable,
)


def batches_of(sizes: list[int], seconds: float = 0):
    async def settle(method, batch):
        sizes.append(len(batch))
        await asyncio.sleep(seconds)
        return await method(batch)

    return settle


@virtual_time
async def test_a_busy_route_settles_in_batches_and_a_quiet_one_at_once():
    url, sizes = fresh_url(), []
    await publish(url, *[payload(number) for number in range(100)])
    adapter = FaultyAdapter(settle=batches_of(sizes))
    async with running(Route(url, Recorder(), concurrency=20, adapter=adapter)) as worker:
        await pass_time(1)
        busy, before = len(sizes), asyncio.get_running_loop().time()
        await publish(url, "job")
        await pass_time(0)

    assert busy < 100
    assert sizes[-1] == 1
    assert worker.of_kind(Settled)[-1].elapsed.total_seconds() == 0
    assert asyncio.get_running_loop().time() == before


@virtual_time
async def test_a_slow_settlement_does_not_hold_up_the_next_messages():
    url, handler = fresh_url(), Recorder()
    await publish(url, *[payload(number) for number in range(10)])
    adapter = FaultyAdapter(settle=batches_of([], seconds=5))
    async with running(Route(url, handler, concurrency=1, adapter=adapter)):
        await pass_time(1)

    assert len(handler.done) == 10


@virtual_time
async def test_what_is_handled_but_not_settled_is_bounded():
    """A queue that does not confirm must not have the worker take in everything."""
    url, handler = fresh_url(), Recorder()
    await publish(url, *[payload(number) for number in range(200)])
    adapter = FaultyAdapter(settle=batches_of([], seconds=5))
    async with running(Route(url, handler, concurrency=5, prefetch=2, adapter=adapter)) as worker:
        await pass_time(4)
        held = worker.ledger.in_hand

    assert held == 5 + 2 + 20
    assert worker.ledger.in_hand == 0


@virtual_time
async def test_one_refused_item_is_repeated_alone_and_its_neighbours_are_settled():
    url = fresh_url()
    await publish(url, "job", "job", "job")
    adapter = FaultyAdapter(settle=refusing(unavailable(), times=1))
    worker = await run(Route(url, Recorder(), adapter=adapter))

    assert worker.columns == {"received": 3, "acked": 3}
    [event] = worker.of_kind(SettleFailed)
    assert not event.final


@virtual_time
async def test_a_failed_settlement_is_repeated_with_pauses_while_its_lease_is_kept():
    url, times = fresh_url("?lease=10s"), []

    async def settle(method, batch):
        times.append(asyncio.get_running_loop().time())
        if len(times) < 15:
            raise unavailable()
        return await method(batch)

    await publish(url, "job")
    async with running(Route(url, Recorder(), adapter=FaultyAdapter(settle=settle))) as worker:
        await pass_time(120)

    assert worker.columns == {"received": 1, "acked": 1}
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses[0] <= 0.2
    assert 2.5 <= pauses[-1] <= 5
    assert times[-1] - times[0] > 10, "longer than the lease alone"


@virtual_time
async def test_when_its_lease_ends_a_settlement_is_given_up_and_counted_as_lost():
    url = fresh_url("?lease=10s")
    await publish(url, "job")
    adapter = FaultyAdapter(settle=failing(unavailable(), times=20), extend=failing(unavailable()))
    async with running(Route(url, Recorder(), adapter=adapter)) as worker:
        await pass_time(9)
        assert worker.columns == {"received": 1, "in_hand": 1}
        await pass_time(5)
        assert worker.ledger.lease_lost == 1


@virtual_time
async def test_a_settlement_refused_for_good_is_counted_as_lost_and_told():
    url = fresh_url()
    await publish(url, "job")
    adapter = FaultyAdapter(settle=refusing(AdapterError("cannot be"), times=1))
    async with running(Route(url, Recorder(), adapter=adapter)) as worker:
        await pass_time(1)

    assert worker.columns == {"received": 1, "lease_lost": 1}
    [event] = worker.of_kind(SettleFailed)
    assert event.final


@virtual_time
async def test_a_lost_lease_is_told_by_the_settlement():
    url = fresh_url()
    await publish(url, "job")
    adapter = FaultyAdapter(settle=refusing(LeaseLost("gone"), times=1))
    async with running(Route(url, Recorder(), adapter=adapter)) as worker:
        await pass_time(1)

    assert worker.columns == {"received": 1, "lease_lost": 1}
    assert len(worker.of_kind(LeaseGone)) == 1
    assert worker.of_kind(SettleFailed) == []


def in_doubt() -> AdapterError:
    return Unavailable("no answer", in_doubt=True)


@virtual_time
async def test_an_acknowledgement_in_doubt_is_repeated():
    async def settle(method, batch):
        answers = await method(batch)
        if len(adapter.calls) and adapter.calls.count("settle") == 1:
            raise in_doubt()
        return answers

    url = fresh_url()
    await publish(url, "job")
    adapter = FaultyAdapter(settle=settle)
    worker = await run(Route(url, Recorder(), adapter=adapter))

    assert worker.columns == {"received": 1, "acked": 1}
    assert adapter.calls.count("settle") == 2


@pytest.mark.parametrize("settlement", [Retry(60), Bury("set aside")])
@virtual_time
async def test_any_other_settlement_in_doubt_is_not_repeated_but_counted(settlement):
    url = fresh_url()
    await publish(url, "job")
    adapter = FaultyAdapter(settle=refusing(in_doubt(), times=1))

    async def handler(message):
        return settlement

    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(1)
        worker.stop()

    assert worker.columns == {"received": 1, "in_doubt": 1}
    assert adapter.calls.count("settle") == 1
    assert [event.final for event in worker.of_kind(SettleFailed)] == [True]


@virtual_time
async def test_an_acknowledgement_in_doubt_is_not_repeated_after_its_lease():
    url = fresh_url("?lease=5s")
    await publish(url, "job")

    async def settle(method, batch):
        await asyncio.sleep(6)
        raise in_doubt()

    adapter = FaultyAdapter(settle=settle)
    worker = await run(Route(url, Recorder(), adapter=adapter), until=Until(once=True))

    assert worker.columns == {"received": 1, "in_doubt": 1}
    assert adapter.calls.count("settle") == 1


@pytest.mark.parametrize("late_ack", [True, False])
@virtual_time
async def test_an_acknowledgement_after_its_lease_is_sent_only_where_that_is_safe(late_ack):
    """It waited for an extension that hung, and that its lease did not survive."""
    url, sent = fresh_url("?lease=12s"), []

    async def settle(method, batch):
        sent.extend(item.delivery.id for item in batch)
        return [None] * len(batch)

    async def hang(method, batch):
        await asyncio.sleep(15)
        raise unavailable()

    await publish(url, "job")
    adapter = FaultyAdapter({"late_ack": late_ack}, settle=settle, extend=hang)
    worker = await run(Route(url, Recorder(seconds=11), adapter=adapter), until=Until(once=True))

    assert worker.columns == {"received": 1, ("acked" if late_ack else "lease_lost"): 1}
    assert len(sent) == (1 if late_ack else 0)


@virtual_time
async def test_a_settlement_of_the_wrong_access_stops_the_worker_instead_of_reprocessing_for_ever():
    url, other, handler = fresh_url(), fresh_url(), Recorder()
    await publish(url, "job", "job")
    adapter = FaultyAdapter(settle=failing(PermissionDenied("may not delete")))
    worker = Worker.of(Route(url, handler, adapter=adapter), Route(other, Recorder(), name="other"))

    with pytest.raises(PermissionDenied):
        async with asyncio.timeout(100):
            await worker.run()

    assert worker.dispatcher.ledgers[url].lease_lost == 2


@virtual_time
async def test_what_was_settled_beside_a_wrong_access_counts_as_settled():
    url = fresh_url()
    await publish(url, "job", "job", "bad", "job")

    async def settle(method, batch):
        answers = await method([each for each in batch if isinstance(each.settlement, Ack)])
        if len(answers) < len(batch):
            raise PermissionDenied("may not bury")
        return answers

    async def handler(message):
        return Bury("bad") if message.request_type == "bad" else None

    worker = Worker.of(Route(url, handler, adapter=FaultyAdapter(settle=settle)))
    with pytest.raises(PermissionDenied):
        async with asyncio.timeout(100):
            await worker.run()

    assert worker.columns == {"received": 4, "acked": 3, "lease_lost": 1}


@virtual_time
async def test_a_defect_in_an_adapter_s_settling_stops_the_worker_in_order():
    url, other, slow = fresh_url(), fresh_url(), Recorder(seconds=5)
    await publish(url, "job")
    await publish(other, "job")
    adapter = FaultyAdapter(settle=failing(KeyError("surprise")))
    worker = Worker.of(Route(url, Recorder(), adapter=adapter), Route(other, slow, name="other"))

    with pytest.raises(KeyError):
        async with asyncio.timeout(100):
            await worker.run()

    assert worker.dispatcher.ledgers["other"].acked == 1


@virtual_time
async def test_every_failure_is_accounted_for_in_a_storm():
    """Half of all settlements fail in one way or another; each delivery ends in exactly one column."""
    import random

    chance = random.Random(5)
    errors = [
        unavailable,
        in_doubt,
        lambda: LeaseLost("gone"),
        lambda: AdapterError("for good"),
    ]

    async def settle(method, batch):
        await asyncio.sleep(chance.random())
        if chance.random() < 0.1:
            raise unavailable()
        answers = []
        for item in batch:
            error = chance.choice(errors)() if chance.random() < 0.4 else None
            if error is None or (error.in_doubt and chance.random() < 0.5):
                [done] = await method([item])
                error = error or done
            answers.append(error)
        return answers

    async def handler(message):
        await asyncio.sleep(chance.random() * 5)
        if chance.random() < 0.3:
            raise ValueError
        return chance.choice([None, False, Retry(1), Bury("so")])

    url = fresh_url("?lease=6s")
    await publish(url, *[payload(number) for number in range(150)])
    route = Route(url, handler, concurrency=8, prefetch=4, adapter=FaultyAdapter(settle=settle), timeout=4)
    async with running(route) as worker:
        await pass_time(200)
        worker.stop()

    ledger = worker.ledger
    assert ledger.received > 150
    assert min(ledger.acked, ledger.retried, ledger.buried, ledger.lease_lost, ledger.in_doubt) > 0
    assert ledger.in_hand == 0


@virtual_time
async def test_a_retry_waits_for_as_long_as_was_asked_rounded_up_to_what_the_queue_can():
    from datetime import timedelta

    url, seen = fresh_url(), []

    async def settle(method, batch):
        seen.extend(item.settlement.delay for item in batch)
        return await method(batch)

    async def handler(message):
        return Retry(0.25)

    await publish(url, "job")
    changes = {"granularity": timedelta(seconds=1), "min_retry_delay": timedelta(seconds=1)}
    async with running(Route(url, handler, adapter=FaultyAdapter(changes, settle=settle))):
        await pass_time(0.5)

    assert seen == [timedelta(seconds=1)]


@virtual_time
async def test_a_message_is_retried_until_its_attempts_are_used_up_and_then_buried():
    url, handler = fresh_url(), Recorder(error=ValueError("never"))
    await publish(url, "job")
    async with running(Route(url, handler, policy=Policy(max_attempts=4))) as worker:
        await pass_time(3_600)

    assert worker.columns == {"received": 4, "retried": 3, "buried": 1}
    assert [message.attempts for message in handler.messages] == [0, 1, 2, 3]
    assert await counts(url) == {"buried": 1}
    pauses = [after - before for before, after in pairwise(handler.starts)]
    assert all(low <= pause <= high for pause, low, high in zip(pauses, (2.5, 5, 10), (5, 10, 20), strict=True))


@pytest.mark.parametrize("method", ["receive", "settle", "extend", "publish"])
@virtual_time
async def test_a_cancellation_inside_an_adapter_is_a_failure_that_passes_and_ends_nobody(method):
    """Drivers have tasks of their own, and somebody may cancel them."""
    url, handler = fresh_url("?lease=9s"), Recorder(seconds=5, result=None)
    adapter = FaultyAdapter({"atomic_follow_ups": False})

    async def follow_up(message):
        await handler(message)
        return Message(request_type="next") if message.request_type == "job" else None

    await publish(url, "job")
    setattr(adapter, method, failing(asyncio.CancelledError(), times=1))
    async with running(Route(url, follow_up, adapter=adapter), grace=5) as worker:
        await pass_time(60)
        worker.stop()

    assert handler.types[-1] == "next"
    assert worker.ledger.acked == 2
    assert worker.ledger.in_hand == 0


@virtual_time
async def test_a_retry_that_its_queue_cannot_put_off_for_so_long_comes_sooner_and_is_told():
    url, adapter = fresh_url(), FaultyAdapter({"max_retry_delay": timedelta(hours=1)})
    await publish(url, payload(2 * 3600), payload(60))

    async def handler(message: Message):
        await asyncio.sleep(600)
        return Retry(message.payload)

    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(601)

        long, short = [event.settlement.delay for event in worker.of_kind(Settled)]
        [alarm] = worker.of_kind(Alarm)
        assert long == timedelta(minutes=50)
        assert timedelta(minutes=1) <= short < timedelta(minutes=2)
        assert alarm.text.startswith("a retry comes after 0:50:00 and not 2:0")
        worker.stop(now=True)
