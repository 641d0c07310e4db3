"""Stopping: receive no more, drain, then cut; nothing is lost, nothing runs twice, nothing hangs."""

import asyncio
import contextlib
from datetime import timedelta

import pytest

from pulpo_core import PulpoError, Release, Route, Until
from pulpo_core.events import Received, RouteStopped, Settled
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    ScriptedQueue,
    Worker,
    counts,
    delivery,
    failing,
    filled,
    fresh_url,
    pass_time,
    payload,
    publish,
    run,
    running,
    scripted_route,
    unavailable,
)


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_what_runs_may_finish_within_the_grace_and_is_settled():
    url, handler = fresh_url(), Recorder(seconds=20)
    await publish(url, "job")
    async with running(Route(url, handler), grace=25) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began == 19
    assert len(handler.done) == 1
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_when_the_grace_is_over_what_runs_is_cancelled_and_released():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    async with running(Route(url, handler), grace=25) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began == 25
    assert handler.done == []
    assert worker.columns == {"received": 1, "released": 1}
    assert await counts(url) == {"ready": 1}


@virtual_time
async def test_a_second_stop_cuts_the_grace():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    async with running(Route(url, handler), grace=25) as worker:
        await pass_time(1)
        worker.stop()
        await pass_time(2)
        worker.stop(now=True)
        began = now()

    assert now() == began
    assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_stopping_at_once_needs_no_first_stop():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    async with running(Route(url, handler), grace=25) as worker:
        await pass_time(1)
        worker.stop(now=True)

    assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_a_grace_of_nothing_cancels_at_once():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    async with running(Route(url, handler), grace=0) as worker:
        await pass_time(1)
        began = now()
        worker.stop()

    assert now() == began
    assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_stopping_an_idle_worker_takes_no_time():
    async with running(Route(fresh_url(), Recorder()), Route(fresh_url(), Recorder())) as worker:
        await pass_time(3)
        began = now()
        worker.stop()

    assert now() == began
    assert len(worker.of_kind(RouteStopped)) == 2


@virtual_time
async def test_stopping_before_the_run_ends_it_at_once():
    url, handler = fresh_url(), Recorder()
    await publish(url, "job")
    worker = Worker.of(Route(url, handler))
    worker.stop()
    await worker.run()

    assert handler.messages == []
    assert worker.columns == {}


@virtual_time
async def test_stopping_while_queues_are_opened_ends_it_before_the_first_receive():
    url, handler = fresh_url(), Recorder()
    await publish(url, "job")
    adapter = FaultyAdapter(on_open=lambda: pass_time(5))
    async with running(Route(url, handler, adapter=adapter)) as worker:
        await pass_time(1)
        worker.stop()

    assert adapter.calls == []
    assert (adapter.opened, adapter.closed) == (1, 1)


@virtual_time
async def test_what_waits_for_a_slot_is_given_back_unstarted_at_once():
    url, handler = fresh_url(), Recorder(seconds=20)
    await publish(url, "job", "job", "job")
    async with running(Route(url, handler, concurrency=1, prefetch=2)) as worker:
        await pass_time(1)
        worker.stop()
        await pass_time(1)
        after_a_second = worker.columns

    assert after_a_second == {"received": 3, "released": 2, "in_hand": 1}
    assert len(handler.messages) == 1
    assert worker.columns == {"received": 3, "acked": 1, "released": 2}


@virtual_time
async def test_what_waits_at_the_process_limit_is_given_back_unstarted():
    first, second = fresh_url(), fresh_url()
    slow, never = Recorder(seconds=20), Recorder()
    await publish(first, "job")
    async with running(Route(first, slow), Route(second, never, name="second"), concurrency=1) as worker:
        await pass_time(1)
        await publish(second, "job")
        await pass_time(1)
        worker.stop()

    assert never.messages == []
    assert await counts(second) == {"ready": 1}
    assert worker.dispatcher.ledgers["second"].in_hand == 0


@virtual_time
async def test_a_receive_in_flight_is_completed_and_what_it_brings_is_released_unstarted():
    async def slow(method, limit, wait):
        deliveries = await method(limit, wait)
        await asyncio.sleep(5)
        return deliveries

    url, handler = fresh_url(), Recorder()
    await publish(url, "job", "job")
    route = Route(url, handler, adapter=FaultyAdapter(receive=slow))
    async with running(route, grace=25) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began == 4
    assert handler.messages == []
    assert worker.columns == {"received": 2, "released": 2}
    assert await counts(url) == {"ready": 2}


@virtual_time
async def test_a_receive_that_never_comes_back_is_given_up_soon_after_the_grace():
    async def hang(method, limit, wait):
        await asyncio.sleep(1_000_000)

    route = Route(fresh_url(), Recorder(), adapter=FaultyAdapter(receive=hang))
    async with running(route, grace=25) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert 25 <= now() - began <= 30
    assert worker.columns == {}


@virtual_time
async def test_a_receive_that_fails_while_stopping_ends_in_order():
    async def fail(method, limit, wait):
        await asyncio.sleep(5)
        raise unavailable()

    async with running(Route(fresh_url(), Recorder(), adapter=FaultyAdapter(receive=fail))) as worker:
        await pass_time(1)
        began = now()
        worker.stop()

    assert now() - began <= 5


@virtual_time
async def test_a_pause_after_a_failed_receive_is_cut_short_by_a_stop():
    adapter = FaultyAdapter(receive=failing(unavailable()))
    async with running(Route(fresh_url(), Recorder(), adapter=adapter)) as worker:
        await pass_time(300)
        began = now()
        worker.stop()

    assert now() == began
    assert worker.columns == {}


@virtual_time
async def test_a_handler_that_swallows_its_cancellation_is_cancelled_again_until_it_ends():
    url, swallowed = fresh_url(), []

    async def stubborn(message):
        for _ in range(3):
            try:
                await asyncio.sleep(1_000)
            except asyncio.CancelledError:
                swallowed.append(now())

    await publish(url, "job")
    async with running(Route(url, stubborn), grace=5) as worker:
        await pass_time(1)
        worker.stop()

    assert len(swallowed) == 3
    assert worker.columns == {"received": 1, "acked": 1}, "it came to its end, and what it returned counts"


ASYNC_REFUSALS = {"its cancellation": asyncio.CancelledError, "even being closed": BaseException}


@pytest.mark.parametrize("swallowed", ASYNC_REFUSALS.values(), ids=ASYNC_REFUSALS)
@virtual_time
async def test_a_handler_that_swallows_everything_is_given_up_and_its_message_left_to_the_lease(swallowed):
    url, steps, refuses = fresh_url(), [], True

    async def stubborn(message):
        while refuses:
            with contextlib.suppress(swallowed):
                steps.append(now())
                await asyncio.sleep(1_000)

    await publish(url, "job", "job")
    async with running(Route(url, stubborn), grace=5) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began == 15, "the grace, and ten seconds of cancelling"
    assert worker.columns == {"received": 2, "lease_lost": 2}
    assert worker.dispatcher.abandoned == 2
    assert worker.dispatcher.stops_within > timedelta(seconds=15)
    came_to = len(steps)
    await pass_time(2_000)
    assert len(steps) == came_to, "it is not stepped any more"
    refuses = False  # the interpreter asks once more when it ends, and what the handler would need is gone by then


@virtual_time
async def test_a_handler_may_clean_up_while_it_is_cancelled():
    url, cleaned = fresh_url(), []

    async def tidy(message):
        try:
            await asyncio.sleep(1_000)
        finally:
            await asyncio.sleep(0.5)
            cleaned.append(message.request_type)

    await publish(url, "job")
    async with running(Route(url, tidy), grace=5) as worker:
        await pass_time(1)
        worker.stop()

    assert cleaned == ["job"]
    assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_a_handler_that_fails_because_it_was_cancelled_has_not_failed():
    url = fresh_url()

    async def fragile(message):
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            raise ConnectionError("interrupted") from None

    await publish(url, "job")
    async with running(Route(url, fragile), grace=5) as worker:
        await pass_time(1)
        worker.stop()

    assert worker.columns == {"received": 1, "released": 1}


STAGES = {
    "translator": "translator",
    "middleware": "middleware",
    "error handler": "error_handler",
    "handler": "handler",
}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
@virtual_time
async def test_a_cut_reaches_every_stage_of_handling(stage):
    from pulpo_core import PulpoJson

    async def forever(*args):
        await asyncio.sleep(1_000_000)

    class Slow(PulpoJson):
        async def translate(self, envelope):
            if stage == "translator":
                await forever()
            return PulpoJson.translate(self, envelope)

    async def middleware(message, delivery, call_next):
        if stage == "middleware":
            await forever()
        return await call_next(message, delivery)

    async def handler(message):
        if stage == "handler":
            await forever()
        raise ValueError

    url = fresh_url()
    await publish(url, "job")
    route = Route(url, handler, translator=Slow(), middleware=[middleware], error_handler=forever)
    async with running(route, grace=5) as worker:
        await pass_time(1)
        worker.stop()

    assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_many_messages_at_every_stage_are_all_accounted_for_when_the_worker_is_cut():
    url = fresh_url("?lease=3s")

    async def handler(message):
        await asyncio.sleep(message.payload)
        if message.payload % 3 == 0:
            raise ValueError
        return None if message.payload % 2 else False

    for cut_after in (0.5, 3.2, 7.0, 10.1):
        await publish(url, *[payload(number) for number in range(25)])
        async with running(Route(url, handler, concurrency=7, prefetch=3), grace=1) as worker:
            await pass_time(cut_after)
            worker.stop()
        assert worker.ledger.in_hand == 0
        assert worker.ledger.lease_lost == 0


@virtual_time
async def test_a_drained_message_is_never_run_twice():
    url, handler = fresh_url(), Recorder(seconds=5)
    await publish(url, *[payload(number) for number in range(40)])
    for _ in range(10):
        async with running(Route(url, handler, concurrency=4, prefetch=4)) as worker:
            await pass_time(7)
            worker.stop()
        assert worker.ledger.in_hand == 0

    assert sorted(handler.payloads) == list(range(40))


@virtual_time
async def test_settlements_are_confirmed_before_the_queue_is_closed():
    async def slow(method, batch):
        await asyncio.sleep(3)
        return await method(batch)

    url = fresh_url()
    await publish(url, "job", "job")
    worker = await run(Route(url, Recorder(), adapter=FaultyAdapter(settle=slow)), until=Until(once=True))

    assert worker.columns == {"received": 2, "acked": 2}
    assert await counts(url) == {}


@virtual_time
async def test_what_cannot_be_settled_in_time_is_named_and_stays_in_hand():
    url = fresh_url()
    [message] = await publish(url, "job")
    adapter = FaultyAdapter(settle=failing(unavailable()))
    async with running(Route(url, Recorder(), adapter=adapter)) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began <= 15
    assert worker.dispatcher.unsettled == [message.id]
    assert worker.columns == {"received": 1, "in_hand": 1}


@virtual_time
async def test_a_settlement_that_hangs_at_the_end_is_given_up():
    async def hang(method, batch):
        await asyncio.sleep(1_000_000)

    url = fresh_url()
    [message] = await publish(url, "job")
    worker = await run(Route(url, Recorder(), adapter=FaultyAdapter(settle=hang)), until=Until(once=True))

    assert worker.dispatcher.unsettled == [message.id]
    assert worker.columns == {"received": 1, "in_hand": 1}


@virtual_time
async def test_cancelling_the_run_leaves_what_is_in_hand_to_its_lease():
    url, handler = fresh_url("?lease=30s"), Recorder(seconds=1_000)
    await publish(url, "job", "job")
    worker = Worker.of(Route(url, handler))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        await pass_time(1)
        task.cancel()

    assert task.cancelled()
    assert worker.columns == {"received": 2, "in_hand": 2}
    assert handler.busy == 0, "no handler is left running"
    assert await counts(url) == {"reserved": 2}
    await pass_time(31)
    assert await counts(url) == {"ready": 2}


@virtual_time
async def test_cancelling_the_run_works_even_while_it_drains():
    url = fresh_url()
    await publish(url, "job")
    worker = Worker.of(Route(url, Recorder(seconds=1_000)), grace=100)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        await pass_time(1)
        worker.stop()
        await pass_time(1)
        task.cancel()

    assert task.cancelled()
    assert worker.columns == {"received": 1, "in_hand": 1}


@virtual_time
async def test_a_timeout_around_the_run_works():
    url = fresh_url()
    await publish(url, "job")
    worker = Worker.of(Route(url, Recorder(seconds=1_000)))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await worker.run()

    assert worker.columns == {"received": 1, "in_hand": 1}


@virtual_time
async def test_cancelling_the_run_is_not_undone_by_handlers_that_swallow_it():
    url = fresh_url()
    await publish(url, "job", "job")

    async def stubborn(message):
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            await asyncio.sleep(1)

    worker = Worker.of(Route(url, stubborn, concurrency=2))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        await pass_time(1)
        task.cancel()

    assert task.cancelled()


@virtual_time
async def test_handlers_that_are_objects_are_stopped_once_each_after_everything_is_settled():
    stopped = []

    class Job:
        def __init__(self, name: str) -> None:
            self.name = name

        async def handle(self, message):
            await asyncio.sleep(1)

        async def stop(self):
            stopped.append(self.name)

    class Synchronous(Job):
        def stop(self):
            stopped.append(self.name)

    from pulpo_core import Handlers

    handlers, shared = Handlers(), Job("shared")
    handlers.add("job", shared)
    handlers.add("other", shared)
    handlers.default(Synchronous("synchronous"))
    url = fresh_url()
    await publish(url, "job", "unknown")
    async with running(Route(url, handlers), Route(fresh_url(), shared, name="second")) as worker:
        await pass_time(0.5)
        assert stopped == []

    assert stopped == ["shared", "synchronous"]
    assert worker.dispatcher.ledgers[url].acked == 2


@pytest.mark.parametrize("broken", ["it raises", "it hangs"])
@virtual_time
async def test_a_handler_that_cannot_be_stopped_holds_up_nobody(broken):
    stopped = []

    class Broken:
        async def handle(self, message): ...

        async def stop(self):
            if broken == "it raises":
                raise ValueError
            await asyncio.sleep(1_000_000)

    class Fine:
        async def handle(self, message): ...

        def stop(self):
            stopped.append(True)

    began = now()
    await run(Route(fresh_url(), Broken()), Route(fresh_url(), Fine()))

    assert stopped == [True]
    assert now() - began < 60


@virtual_time
async def test_a_stop_during_a_shared_limit_of_messages_ends_every_route():
    """One route holds all of the limit in a long poll, the others wait for a part of it."""
    routes = [Route(fresh_url(), Recorder(), name=name) for name in "abc"]
    async with running(*routes, until=Until(max_messages=5)) as worker:
        await pass_time(3)
        began = now()
        worker.stop()

    assert now() == began


@virtual_time
async def test_groups_are_given_back_in_order_at_a_stop():
    queue = ScriptedQueue([[delivery("1", group="g"), delivery("2", group="g"), delivery("3", group="g")]])
    handler = Recorder(seconds=10)
    async with running(scripted_route(queue, handler)) as worker:
        await pass_time(1)
        worker.stop()

    assert worker.columns == {"received": 3, "acked": 1, "released": 2}
    assert sorted(name for name, settlement in queue.settled if settlement == Release()) == ["2", "3"]


@virtual_time
async def test_the_last_events_tell_the_whole_story():
    url = fresh_url()
    await publish(url, "job", "job", "job")
    async with running(Route(url, Recorder(seconds=5), concurrency=2)) as worker:
        await pass_time(1)
        worker.stop()

    assert len(worker.of_kind(Received)) == len(worker.of_kind(Settled)) == 2
    assert worker.of_kind(Settled)[-1].elapsed == timedelta(seconds=5)


@virtual_time
async def test_a_dispatcher_runs_once():
    worker = await run(Route(fresh_url(), Recorder()))

    with pytest.raises(PulpoError, match="runs once"):
        await worker.run()


@virtual_time
async def test_what_waits_for_the_limit_of_the_process_is_given_back_at_once():
    busy, waits = fresh_url(), fresh_url()
    slow, never = Recorder(seconds=20), Recorder()
    await publish(busy, "job")
    async with running(Route(busy, slow), Route(waits, never, weight=1), concurrency=1, grace=25) as worker:
        await pass_time(1)
        await publish(waits, "job")
        await pass_time(1)
        assert worker.dispatcher.ledgers[waits].in_hand == 1
        worker.stop()
        await pass_time(1)
        assert filled(worker.dispatcher.ledgers[waits]) == {"received": 1, "released": 1}
        assert filled(worker.dispatcher.ledgers[busy]) == {"received": 1, "in_hand": 1}

    assert filled(worker.dispatcher.ledgers[busy]) == {"received": 1, "acked": 1}
    assert never.starts == []
