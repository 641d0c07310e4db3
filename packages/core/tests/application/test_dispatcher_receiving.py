"""Receiving: as soon as there is room, with patience for what passes, and an end for what does not."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import (
    AdapterError,
    ConfigurationError,
    PermissionDenied,
    QueueNotFound,
    Route,
    Unavailable,
    Until,
)
from pulpo_core.events import Received, ReceiveFailed, ReceiveRecovered, RouteStarted, RouteStopped
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
    run,
    running,
    unavailable,
)


@virtual_time
async def test_a_message_is_taken_as_soon_as_it_is_published():
    url, handler = fresh_url(), Recorder()
    async with running(Route(url, handler)):
        await pass_time(4)
        before = asyncio.get_running_loop().time()
        await publish(url, "job")
        await pass_time(0)

    assert handler.starts == [before]


@virtual_time
async def test_a_temporary_error_is_waited_out_with_growing_pauses_and_the_worker_goes_on():
    url, handler = fresh_url(), Recorder()
    await publish(url, "job")
    adapter = FaultyAdapter(receive=failing(unavailable(), times=12))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(600)

    delays = [event.delay.total_seconds() for event in worker.of_kind(ReceiveFailed)]
    assert len(delays) == 12
    assert all(0.1 * 2**n <= delay <= 0.2 * 2**n for n, delay in enumerate(delays[:7])), "equal jitter"
    assert all(15 <= delay <= 30 for delay in delays[8:]), "never more than half a minute"
    assert len(set(delays)) == 12
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_one_success_forgets_the_failures_before_it():
    url = fresh_url()
    answers = [unavailable(), unavailable(), unavailable(), None, unavailable()]

    async def receive(method, limit, wait):
        error = answers.pop(0) if answers else None
        if error is not None:
            raise error
        return await method(limit, wait)

    route = Route(url, Recorder(), adapter=FaultyAdapter(receive=receive), wait=5)
    async with running(route) as worker:
        await pass_time(30)

    delays = [event.delay.total_seconds() for event in worker.of_kind(ReceiveFailed)]
    assert delays[2] >= 0.4
    assert delays[3] <= 0.2
    assert [event.failures for event in worker.of_kind(ReceiveRecovered)] == [3, 1]


PERMANENT = {
    "the queue is gone": QueueNotFound("gone"),
    "access was withdrawn": PermissionDenied("no"),
    "an error for good": AdapterError("for good"),
    "a defect of the adapter": KeyError("surprise"),
}


@pytest.mark.parametrize("error", PERMANENT.values(), ids=PERMANENT)
@virtual_time
async def test_a_permanent_error_stops_all_routes_in_order_and_is_raised(error):
    broken, other = fresh_url(), fresh_url()
    slow = Recorder(seconds=10)
    await publish(broken, "job")
    await publish(other, "job")
    first = True

    async def receive(method, limit, wait):
        nonlocal first
        if first:
            first = False
            return await method(limit, wait)
        await asyncio.sleep(3)
        raise error

    worker = Worker.of(
        Route(broken, slow, name="broken", adapter=FaultyAdapter(receive=receive)), Route(other, slow, name="other")
    )
    with pytest.raises(type(error)) as caught:
        await worker.run()

    assert caught.value is error
    assert len(slow.done) == 2, "what runs may finish"
    assert [ledger.acked for ledger in worker.dispatcher.ledgers.values()] == [1, 1]
    assert {event.route for event in worker.of_kind(RouteStopped)} == {"broken", "other"}


@virtual_time
async def test_a_permanent_error_does_not_wait_longer_than_the_grace_for_what_runs():
    url, other = fresh_url(), fresh_url()
    forever = Recorder(seconds=1_000_000)
    await publish(url, "job")
    await publish(other, "job")
    calls = 0

    async def receive(method, limit, wait):
        nonlocal calls
        calls += 1
        if calls == 1:
            return await method(limit, wait)
        raise QueueNotFound("gone")

    worker = Worker.of(
        Route(url, forever, name="broken", adapter=FaultyAdapter(receive=receive)),
        Route(other, forever, name="other"),
        grace=25,
    )
    began = asyncio.get_running_loop().time()
    with pytest.raises(QueueNotFound):
        await worker.run()

    assert asyncio.get_running_loop().time() - began <= 30
    assert [ledger.released for ledger in worker.dispatcher.ledgers.values()] == [1, 1]


@virtual_time
async def test_a_failing_route_delays_no_other():
    failing_url, other = fresh_url(), fresh_url()
    handler = Recorder()
    adapter = FaultyAdapter(receive=failing(unavailable()))
    async with running(Route(failing_url, Recorder(), name="failing", adapter=adapter), Route(other, handler)):
        await pass_time(60)
        before = asyncio.get_running_loop().time()
        await publish(other, "job")
        await pass_time(0)

    assert handler.starts == [before]


@virtual_time
async def test_an_empty_long_poll_delays_no_other_route():
    empty, busy, handler = fresh_url(), fresh_url(), Recorder(seconds=0.1)
    await publish(busy, *[payload(number) for number in range(50)])
    async with running(Route(empty, Recorder(), wait=20), Route(busy, handler, concurrency=5)):
        await pass_time(2)

    assert len(handler.done) == 50


@virtual_time
async def test_a_slow_handler_delays_no_other_route_and_no_other_message():
    url, other = fresh_url(), fresh_url()
    handler = Recorder()

    async def slow(message):
        if message.payload == "slow":
            await asyncio.sleep(1_000)
        else:
            await handler(message)

    await publish(url, payload("slow"), *[payload(number) for number in range(20)])
    await publish(other, *[payload(number) for number in range(20)])
    async with running(Route(url, slow, concurrency=2), Route(other, handler), grace=0):
        await pass_time(1)

    assert len(handler.done) == 40


@virtual_time
async def test_the_wait_of_the_route_is_handed_to_the_queue():
    waits = []

    async def receive(method, limit, wait):
        waits.append(wait)
        return await method(limit, wait)

    async with running(Route(fresh_url(), Recorder(), wait=7, adapter=FaultyAdapter(receive=receive))):
        await pass_time(20)

    assert waits == [timedelta(seconds=7)] * 3


@virtual_time
async def test_never_more_is_asked_for_than_there_are_slots_and_prefetch():
    asked = []

    async def receive(method, limit, wait):
        asked.append(limit)
        return await method(limit, wait)

    url = fresh_url()
    await publish(url, *[payload(number) for number in range(30)])
    route = Route(url, Recorder(seconds=1), concurrency=3, prefetch=2, adapter=FaultyAdapter(receive=receive))
    async with running(route) as worker:
        await pass_time(0.5)
        in_hand = worker.ledger.in_hand
        await pass_time(60)

    assert asked[0] == 5
    assert max(asked) <= 5
    assert in_hand == 5


@virtual_time
async def test_a_queue_that_cannot_be_interrupted_must_be_asked_for_less_than_the_grace():
    adapter = FaultyAdapter({"prompt_interrupt": False})
    route = Route(fresh_url(), Recorder(), wait=25, adapter=adapter)

    with pytest.raises(ConfigurationError, match=r"wait.*shorter than the grace of 20 s"):
        await run(route, grace=20)


@virtual_time
async def test_the_wait_that_counts_is_the_one_the_queue_can_do():
    adapter = FaultyAdapter({"prompt_interrupt": False, "max_wait": timedelta(seconds=5)})
    worker = await run(Route(fresh_url(), Recorder(), wait=25, adapter=adapter), grace=20)

    assert worker.columns == {}


@virtual_time
async def test_what_a_route_needs_and_its_queue_lacks_is_told_at_the_start():
    adapter = FaultyAdapter({"priority": False})
    handler, url = Recorder(), fresh_url()
    await publish(url, "job")

    with pytest.raises(ConfigurationError, match="'mail' needs priority"):
        await run(Route(url, handler, name="mail", needs=("priority",), adapter=adapter))

    assert adapter.calls == []
    assert (adapter.opened, adapter.closed) == (1, 1)


@virtual_time
async def test_when_one_queue_cannot_be_opened_none_is_received_from_and_all_are_closed():
    first, url, handler = FaultyAdapter(), fresh_url(), Recorder()
    await publish(url, "job")

    async def refuse():
        raise Unavailable("not reachable")

    second = FaultyAdapter(on_open=refuse)
    with pytest.raises(Unavailable):
        await run(Route(url, handler, adapter=first), Route(fresh_url(), Recorder(), adapter=second))

    assert first.calls == []
    assert first.opened == first.closed == 1


@virtual_time
async def test_an_explicit_number_of_attempts_over_the_queue_s_own_is_told_at_the_start():
    from pulpo_core import Policy

    adapter = FaultyAdapter({"max_receives": 3})
    with pytest.raises(ConfigurationError, match="max_attempts is 5"):
        await run(Route(fresh_url(), Recorder(), policy=Policy(max_attempts=5), adapter=adapter))


@virtual_time
async def test_an_unset_number_of_attempts_follows_the_queue_s_own():
    url, adapter = fresh_url(), FaultyAdapter({"max_receives": 2})
    await publish(url, "job")
    async with running(Route(url, Recorder(error=ValueError()), adapter=adapter)) as worker:
        await pass_time(3_600)

    assert worker.columns == {"received": 2, "retried": 1, "buried": 1}


@virtual_time
async def test_received_messages_are_told_once_each_and_routes_when_they_start_and_stop():
    url = fresh_url()
    await publish(url, "job", "job")
    worker = await run(Route(url, Recorder(), name="mail"))

    assert [event.route for event in worker.of_kind(Received)] == ["mail", "mail"]
    assert isinstance(worker.watch.events[0], RouteStarted)
    assert isinstance(worker.watch.events[-1], RouteStopped)


@virtual_time
async def test_an_empty_queue_is_asked_a_few_times_and_not_on_and_on():
    """A queue whose receive returns at once with nothing must not burn the processor."""
    calls = 0

    async def receive(method, limit, wait):
        nonlocal calls
        calls += 1
        return await method(limit, wait)

    async with running(Route(fresh_url(), Recorder(), wait=10, adapter=FaultyAdapter(receive=receive))):
        await pass_time(100)

    assert calls <= 12


@virtual_time
async def test_delayed_messages_come_when_they_are_due():
    url, handler = fresh_url(), Recorder()
    await publish(url, payload(1, delay=30), payload(2))
    began = asyncio.get_running_loop().time()
    async with running(Route(url, handler)):
        await pass_time(40)

    assert [start - began for start in handler.starts] == [0, 30]
    assert await counts(url) == {}


@virtual_time
async def test_the_time_of_the_last_receive_is_known_even_when_it_brought_nothing():
    async with running(Route(fresh_url(), Recorder(), wait=5), until=Until()) as worker:
        await pass_time(12)
        [pump] = worker.dispatcher._pumps.values()
        assert pump.last_receive is not None
        assert asyncio.get_running_loop().time() - pump.last_receive <= 5
