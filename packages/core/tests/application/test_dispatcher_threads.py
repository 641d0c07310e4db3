"""Handlers that are plain functions: in threads, with their context, and never in the way of the exit."""

import asyncio
import contextvars
import threading
from collections import defaultdict
from datetime import timedelta

import pytest

from pulpo_core import BuryMessage, Envelope, Handlers, LeaseLost, Policy, PulpoError, Route, Until
from pulpo_core.events import Settled, Started
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    Worker,
    buried,
    counts,
    fresh_url,
    opened,
    pass_time,
    payload,
    publish,
    refusing,
    run,
    running,
)

ONCE = Policy(max_attempts=1)


class Blocking:
    """A handler that blocks its thread until it is let go.

    Attributes:
        started: names of the threads in which it was started, and payloads.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.payloads: list[object] = []
        self.ended: list[object] = []

    def __call__(self, message, delivery):
        self.payloads.append(message.payload)
        self.gate.wait(20)
        self.ended.append((message.payload, delivery.lease_lost))

    def let_go(self) -> None:
        self.gate.set()


@pytest.fixture
def blocking():
    handler = Blocking()
    yield handler
    handler.let_go()


@virtual_time
async def test_a_plain_function_runs_in_a_thread_with_its_own_copy_of_the_context():
    variable, url, seen = contextvars.ContextVar("variable", default="nothing"), fresh_url(), []
    variable.set("from the start")

    def handler(message):
        seen.append((variable.get(), threading.current_thread() is threading.main_thread()))
        variable.set(f"set by {message.payload}")

    await publish(url, payload(1), payload(2))
    await run(Route(url, handler, concurrency=1))

    assert seen == [("from the start", False), ("from the start", False)]
    assert variable.get() == "from the start"


@virtual_time
async def test_what_a_middleware_sets_reaches_the_thread():
    variable, url, seen = contextvars.ContextVar("variable"), fresh_url(), []

    async def middleware(message, delivery, call_next):
        variable.set(message.payload)
        return await call_next(message, delivery)

    await publish(url, payload(1), payload(2))
    await run(Route(url, lambda message: seen.append(variable.get()), middleware=[middleware], concurrency=1))

    assert seen == [1, 2]


@virtual_time
async def test_a_plain_function_that_returns_a_coroutine_is_awaited_in_the_loop():
    url, seen = fresh_url(), []

    async def work(message):
        await asyncio.sleep(1)
        seen.append(message.payload)

    def decorated(message):
        return work(message)

    await publish(url, payload(1))
    worker = await run(Route(url, decorated))

    assert seen == [1]
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_there_are_never_more_threads_than_allowed():
    url, lock = fresh_url(), threading.Lock()
    busy = peak = 0
    names = set()

    def handler(message):
        nonlocal busy, peak
        with lock:
            busy += 1
            peak = max(peak, busy)
            names.add(threading.current_thread().name)
        threading.Event().wait(0.005)
        with lock:
            busy -= 1

    await publish(url, *[payload(number) for number in range(20)])
    worker = await run(Route(url, handler, concurrency=10), threads=3)

    assert peak <= 3
    assert len(names) <= 3
    assert worker.columns == {"received": 20, "acked": 20}


@virtual_time
async def test_a_thread_that_ends_within_its_grace_after_the_timeout_has_its_say(blocking):
    url = fresh_url()
    await publish(url, payload(1))
    async with running(Route(url, blocking, timeout=5), thread_grace=30) as worker:
        await pass_time(20)
        assert worker.columns == {"received": 1, "in_hand": 1}
        blocking.let_go()
        await pass_time(1)

    assert worker.columns == {"received": 1, "acked": 1}
    assert worker.dispatcher.abandoned == 0


@virtual_time
async def test_what_a_thread_raises_within_its_grace_counts_just_as_what_it_returns(blocking):
    url = fresh_url()

    def handler(message):
        blocking.gate.wait(20)
        raise BuryMessage("said so in time")

    await publish(url, payload(1))
    async with running(Route(url, handler, timeout=5), thread_grace=30) as worker:
        await pass_time(20)
        blocking.let_go()
        await pass_time(1)

    assert worker.columns == {"received": 1, "buried": 1}
    assert [record.reason for record in await buried(url)] == ["said so in time"]


@virtual_time
async def test_a_thread_that_does_not_end_is_abandoned_and_counts_as_a_lost_lease(blocking):
    url = fresh_url("?lease=10s")
    await publish(url, payload(1))
    async with running(Route(url, blocking, timeout=5), thread_grace=30) as worker:
        await pass_time(34)
        assert worker.columns == {"received": 1, "in_hand": 1}
        assert await counts(url) == {"reserved": 1}, "its lease is kept while there is hope"
        await pass_time(2)
        assert worker.columns == {"received": 1, "lease_lost": 1}
        worker.stop()

    assert worker.dispatcher.abandoned == 1
    await pass_time(11)
    assert await counts(url) == {"ready": 1}, "nobody extends it any more"


def hurried(reraise):
    """A middleware that waits for its handler for five seconds."""

    async def middleware(message, delivery, call_next):
        try:
            async with asyncio.timeout(5):
                return await call_next(message, delivery)
        except TimeoutError:
            if reraise:
                raise
            return None

    return middleware


@pytest.mark.parametrize("reraise", [True, False], ids=["fails", "says that all is well"])
@virtual_time
async def test_a_thread_that_a_middleware_does_not_wait_for_is_not_begun_a_second_time_beside_the_first(reraise):
    blocking = Blocking()
    url = fresh_url()
    await publish(url, "job")
    async with running(Route(url, blocking, middleware=[hurried(reraise)]), thread_grace=30) as worker:
        await pass_time(34)
        assert worker.columns == {"received": 1, "in_hand": 1}
        await pass_time(2)
        assert worker.columns == {"received": 1, "lease_lost": 1}
        worker.stop()
    blocking.let_go()

    assert len(blocking.payloads) == 1


@virtual_time
async def test_a_thread_that_ends_a_little_later_than_a_middleware_waits_has_its_say(blocking):
    url = fresh_url()
    await publish(url, "job")
    async with running(Route(url, blocking, middleware=[hurried(reraise=True)]), thread_grace=30) as worker:
        await pass_time(20)
        blocking.let_go()
        await pass_time(1)

    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_the_handler_in_a_thread_can_see_that_its_lease_is_lost(blocking):
    url = fresh_url("?lease=12s")
    await publish(url, payload(1))
    route = Route(url, blocking, adapter=FaultyAdapter(extend=refusing(LeaseLost("gone"))))
    async with running(route, thread_grace=30) as worker:
        await pass_time(10)
        blocking.let_go()
        await pass_time(1)
        worker.stop()

    assert blocking.ended[0] == (1, True)
    assert worker.ledger.lease_lost == 1


@virtual_time
async def test_a_thread_whose_lease_is_lost_has_all_of_its_grace_even_if_it_times_out_meanwhile(blocking):
    """Only the end of the worker cuts the grace of a thread short."""
    url = fresh_url("?lease=12s")
    await publish(url, payload(1))
    adapter = FaultyAdapter(extend=refusing(LeaseLost("gone")))
    async with running(Route(url, blocking, adapter=adapter, timeout=8), thread_grace=30) as worker:
        await pass_time(20)
        blocking.let_go()
        await pass_time(1)
        worker.stop()

    assert worker.dispatcher.abandoned == 0


@virtual_time
async def test_at_the_end_of_the_grace_of_the_worker_a_thread_is_abandoned_at_once(blocking):
    url = fresh_url()
    await publish(url, payload(1))
    async with running(Route(url, blocking), grace=5, thread_grace=30) as worker:
        await pass_time(1)
        worker.stop()
        began = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - began <= 6
    assert worker.columns == {"received": 1, "lease_lost": 1}
    assert worker.dispatcher.abandoned == 1


@virtual_time
async def test_work_that_waits_for_a_thread_is_given_back_at_a_stop_and_never_run(blocking):
    url = fresh_url()
    await publish(url, *[payload(number) for number in range(4)])
    async with running(Route(url, blocking, concurrency=4), threads=1, grace=5) as worker:
        await pass_time(1)
        worker.stop()
        await pass_time(6)
        blocking.let_go()

    assert worker.columns == {"received": 4, "released": 3, "lease_lost": 1}
    assert worker.dispatcher.abandoned == 1
    await pass_time(1)
    assert len(blocking.payloads) == 1


class OneByOne:
    """A handler that blocks its thread until its own message is let go.

    Attributes:
        began: the payloads whose handler has begun, in order.
    """

    def __init__(self) -> None:
        self.gates: defaultdict[object, threading.Event] = defaultdict(threading.Event)
        self.began: list[object] = []

    def __call__(self, message):
        self.began.append(message.payload)
        self.gates[message.payload].wait(20)

    async def let_go(self, payload: object) -> None:
        self.gates[payload].set()
        await pass_time(0.5)


@pytest.fixture
def one_by_one():
    handler = OneByOne()
    yield handler
    for number in (1, 2, 3):
        handler.gates[number].set()


@virtual_time
async def test_the_time_of_a_handler_begins_with_its_thread(one_by_one):
    url = fresh_url()
    await publish(url, payload(1), payload(2))
    async with running(Route(url, one_by_one, concurrency=2, timeout=5, policy=ONCE), threads=1) as worker:
        await pass_time(4)
        await one_by_one.let_go(1)
        await pass_time(4)
        assert worker.columns == {"received": 2, "acked": 1, "in_hand": 1}, "received 8.5 s ago, begun 4 s ago"
        await one_by_one.let_go(2)

    assert worker.columns == {"received": 2, "acked": 2}


@virtual_time
async def test_a_handler_that_waited_for_its_thread_times_out_as_any_other(one_by_one):
    url = fresh_url()
    await publish(url, payload(1), payload(2), payload(3))
    async with running(Route(url, one_by_one, concurrency=3, timeout=5), threads=2, thread_grace=30) as worker:
        await pass_time(4)
        await one_by_one.let_go(1)
        await one_by_one.let_go(2)
        await pass_time(5 + 30 - 2)
        assert worker.columns == {"received": 3, "acked": 2, "in_hand": 1}
        await pass_time(2)
        assert worker.columns == {"received": 3, "acked": 2, "lease_lost": 1}, "given up after its time and its grace"


@virtual_time
async def test_what_waits_for_a_thread_keeps_its_lease_and_does_not_count_as_running(one_by_one):
    url = fresh_url("?lease=10s")
    await publish(url, payload(1), payload(2))
    async with running(Route(url, one_by_one, concurrency=2), threads=1) as worker:
        await pass_time(45)
        assert await counts(url) == {"reserved": 2}
        [progress] = worker.dispatcher.progress.values()
        assert (progress.in_hand, progress.running) == (2, 1)
        assert [event.message.payload for event in worker.of_kind(Started)] == [1]
        await one_by_one.let_go(1)
        await one_by_one.let_go(2)

    assert [event.message.payload for event in worker.of_kind(Started)] == [1, 2]
    assert [event.handling < timedelta(seconds=2) for event in worker.of_kind(Settled)] == [False, True]


@virtual_time
async def test_a_stop_and_a_pause_give_back_what_waits_for_a_thread_at_once(one_by_one):
    for is_stop in (True, False):
        url = fresh_url()
        await publish(url, payload(1), payload(2))
        route = Route(url, one_by_one, concurrency=2)
        async with running(route, threads=1, grace=25) as worker:
            await pass_time(1)
            if is_stop:
                worker.stop()
            else:
                worker.dispatcher.pause(route.name)
            await pass_time(1)
            assert worker.columns == {"received": 2, "released": 1, "in_hand": 1}
            one_by_one.gates[1].set()

        assert worker.columns == {"received": 2, "released": 1, "acked": 1}
        one_by_one.gates[1].clear()

    assert one_by_one.began == [1, 1]


@virtual_time
async def test_what_expires_while_it_waits_for_a_thread_is_never_run(one_by_one):
    url = fresh_url()
    await publish(url, payload(1), payload(2, expiration=timedelta(seconds=10)))
    async with running(Route(url, one_by_one, concurrency=2), threads=1) as worker:
        await pass_time(11)
        await one_by_one.let_go(1)

    assert one_by_one.began == [1]
    assert worker.columns == {"received": 2, "acked": 1, "buried": 1}
    assert [record.reason for record in await buried(url)] == ["expired"]


@virtual_time
async def test_what_loses_its_lease_while_it_waits_for_a_thread_is_never_run(one_by_one):
    url = fresh_url("?lease=12s")
    await publish(url, payload(1), payload(2))
    refuses = FaultyAdapter(extend=refusing(LeaseLost("gone")))
    async with running(Route(url, one_by_one, adapter=refuses, concurrency=2), threads=1) as worker:
        await pass_time(6)
        assert worker.ledger.lease_lost == 1
        worker.stop()
        await one_by_one.let_go(1)

    assert one_by_one.began == [1]
    assert worker.columns == {"received": 2, "lease_lost": 2}


@virtual_time
async def test_nothing_of_a_message_begins_before_its_thread_is_free(one_by_one):
    """A session with a database is not kept open for what only waits."""
    url, entered = fresh_url(), []

    async def middleware(message, delivery, call_next):
        entered.append(message.payload)
        return await call_next(message, delivery)

    await publish(url, payload(1), payload(2))
    async with running(Route(url, one_by_one, middleware=[middleware], concurrency=2), threads=1):
        await pass_time(1)
        assert entered == [1]
        await one_by_one.let_go(1)
        assert entered == [1, 2]
        await one_by_one.let_go(2)


@virtual_time
async def test_a_middleware_may_call_the_handler_never_or_twice(one_by_one):
    url, results = fresh_url(), []

    async def middleware(message, delivery, call_next):
        if message.payload != "never":
            results.append([await call_next(message, delivery), await call_next(message, delivery)])

    await publish(url, payload("never"), payload("never"), payload("twice"), payload("twice"))
    route = Route(url, lambda message: message.payload == "twice", middleware=[middleware], concurrency=4)
    worker = await run(route, threads=1)

    assert results == [[True, True], [True, True]]
    assert worker.columns == {"received": 4, "acked": 4}


@virtual_time
async def test_an_error_handler_does_not_pay_for_its_wait_for_a_thread_and_may_take_as_long_as_a_handler(one_by_one):
    url = fresh_url()
    handlers = Handlers()
    handlers.add("slow", one_by_one)
    handlers.add("fails", Recorder(error=ValueError()))
    asked = []

    def error_handler(exc_info, message):
        asked.append(message.request_type)
        return True

    await publish(url, payload(1, "slow"), payload(2, "fails"))
    route = Route(url, handlers, error_handler=error_handler, concurrency=2, timeout=5, policy=ONCE)
    async with running(route, threads=1, thread_grace=60) as worker:
        await pass_time(20)
        assert asked == []
        await one_by_one.let_go(1)

    assert asked == ["fails"]
    assert worker.columns == {"received": 2, "acked": 2}


@virtual_time
async def test_an_error_handler_runs_in_the_thread_that_was_kept_for_a_handler_which_was_never_called():
    """With one thread it would wait for itself otherwise."""
    url, asked = fresh_url(), []

    async def middleware(message, delivery, call_next):
        raise ConnectionError("no database")

    def error_handler(exc_info, message):
        asked.append(exc_info[0])
        return True

    await publish(url, payload(1), payload(2))
    route = Route(url, lambda message: None, middleware=[middleware], error_handler=error_handler, concurrency=2)
    async with asyncio.timeout(60):
        worker = await run(route, threads=1)

    assert asked == [ConnectionError, ConnectionError]
    assert worker.columns == {"received": 2, "acked": 2}


@virtual_time
async def test_an_error_handler_that_does_not_end_is_cancelled_after_the_time_of_a_handler():
    url = fresh_url()

    async def error_handler(exc_info, message):
        await asyncio.sleep(1000)

    async with opened(url) as queue:
        await queue.publish([Envelope(body=b"neither JSON nor anything")])
    async with running(Route(url, Recorder(), error_handler=error_handler, timeout=5, policy=ONCE)) as worker:
        await pass_time(6)
        assert worker.columns == {"received": 1, "buried": 1}


@virtual_time
async def test_cancelling_the_run_takes_back_work_that_waits_for_a_thread(blocking):
    url = fresh_url()
    await publish(url, payload(1), payload(2))
    worker = Worker.of(Route(url, blocking, concurrency=2), threads=1)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run())
        await pass_time(1)
        task.cancel()
    blocking.let_go()
    await pass_time(1)

    assert len(blocking.payloads) == 1
    assert worker.columns == {"received": 2, "in_hand": 2}


@virtual_time
async def test_when_every_thread_is_abandoned_the_worker_stops_with_an_error(blocking):
    """Nothing could be handled any more, and a supervisor can start a new process."""
    url, other = fresh_url(), fresh_url()
    healthy = Recorder(seconds=1)
    await publish(url, payload(1), payload(2))
    worker = Worker.of(
        Route(url, blocking, timeout=5, concurrency=2), Route(other, healthy, name="other"), threads=2, thread_grace=30
    )
    with pytest.raises(PulpoError, match="thread"):
        await worker.run()

    assert worker.dispatcher.abandoned == 2
    assert worker.dispatcher.ledgers[url].lease_lost == 2


@virtual_time
async def test_a_worker_without_plain_functions_starts_no_thread():
    url = fresh_url()
    await publish(url, "job")
    before = set(threading.enumerate())
    async with running(Route(url, Recorder())):
        await pass_time(1)
        assert set(threading.enumerate()) <= before


@virtual_time
async def test_a_synchronous_error_handler_runs_in_a_thread():
    url, seen = fresh_url(), []

    def error_handler(exc_info, message):
        seen.append(threading.current_thread() is threading.main_thread())
        return True

    await publish(url, "job")
    await run(Route(url, Recorder(error=ValueError()), error_handler=error_handler))

    assert seen == [False]


@virtual_time
async def test_a_handler_in_a_thread_is_kept_for_no_longer_than_the_longest_hold(blocking):
    """At that moment it has timed out; it still has its grace."""
    url = fresh_url("?lease=60s")
    await publish(url, payload(1))
    adapter = FaultyAdapter({"max_hold": timedelta(minutes=10), "lease": timedelta(seconds=60)})
    async with running(Route(url, blocking, adapter=adapter), thread_grace=30) as worker:
        await pass_time(625)
        assert worker.columns == {"received": 1, "in_hand": 1}
        blocking.let_go()
        await pass_time(1)

    assert worker.dispatcher.abandoned == 0
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_threads_of_a_finished_run_end(blocking):
    url = fresh_url()
    await publish(url, *[payload(number) for number in range(5)])
    blocking.let_go()
    before = set(threading.enumerate())
    await run(Route(url, blocking), until=Until(burst=True))
    for thread in set(threading.enumerate()) - before:
        thread.join(10)

    assert set(threading.enumerate()) <= before
