"""When a run ends by itself: once, burst, after so many messages, after so many empty polls."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import Message, Retry, Route, Until
from pulpo_core.events import Received
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
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


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_without_a_limit_a_run_never_ends_by_itself():
    async with running(Route(fresh_url(), Recorder())) as worker:
        await pass_time(86_400)

    assert worker.columns == {}


@virtual_time
async def test_once_is_one_receive_of_each_route_and_everything_it_brought():
    first, second, handler = fresh_url(), fresh_url(), Recorder(seconds=30)
    await publish(first, *["job"] * 8)
    worker = await run(
        Route(first, handler, concurrency=5), Route(second, handler, name="second"), until=Until(once=True)
    )

    assert [ledger.acked for ledger in worker.dispatcher.ledgers.values()] == [5, 0]
    assert await counts(first) == {"ready": 3}


@virtual_time
async def test_once_does_not_wait_for_a_message():
    began = now()
    await run(Route(fresh_url(), Recorder()), until=Until(once=True))

    assert now() == began


@virtual_time
async def test_once_means_one_receive_that_worked():
    url, handler = fresh_url(), Recorder()
    await publish(url, "job")
    adapter = FaultyAdapter(receive=failing(unavailable(), times=2))
    await run(Route(url, handler, adapter=adapter), until=Until(once=True))

    assert len(handler.done) == 1


@virtual_time
async def test_burst_handles_all_there_is_and_leaves_what_is_delayed():
    url, handler = fresh_url(), Recorder(seconds=1)
    await publish(url, *[payload(number) for number in range(35)], payload("later", delay=3600))
    worker = await run(Route(url, handler, concurrency=4, prefetch=2), until=Until(burst=True))

    assert worker.columns == {"received": 35, "acked": 35}
    assert await counts(url) == {"delayed": 1}


@virtual_time
async def test_burst_handles_what_the_last_messages_brought_about():
    url, seen = fresh_url(), []

    async def handler(message):
        await asyncio.sleep(5)
        seen.append(message.payload)
        return payload(message.payload - 1) if message.payload else None

    await publish(url, payload(3))
    worker = await run(Route(url, handler), until=Until(burst=True))

    assert seen == [3, 2, 1, 0]
    assert worker.columns == {"received": 4, "acked": 4}


@virtual_time
async def test_burst_looks_again_at_what_was_put_in_behind_its_last_look():
    async def slow_answer(method, *args):
        answer = await method(*args)
        await asyncio.sleep(5)  # longer than the handler, whose follow-up is stored after this look
        return answer

    url, seen = fresh_url(), []

    async def handler(message):
        await asyncio.sleep(1)
        seen.append(message.payload)
        return payload(message.payload - 1) if message.payload else None

    await publish(url, payload(3))
    worker = await run(Route(url, handler, adapter=FaultyAdapter(receive=slow_answer)), until=Until(burst=True))

    assert seen == [3, 2, 1, 0]
    assert worker.columns == {"received": 4, "acked": 4}


@virtual_time
async def test_burst_on_an_empty_queue_ends_at_once():
    began = now()
    await run(Route(fresh_url(), Recorder()), until=Until(burst=True))

    assert now() == began


@virtual_time
async def test_burst_ends_when_it_is_stopped_while_it_waits_for_what_is_in_hand():
    url = fresh_url()
    await publish(url, "job")
    async with running(Route(url, Recorder(seconds=100)), until=Until(burst=True), grace=10) as worker:
        await pass_time(1)
        worker.stop()
        began = now()

    assert now() - began == 10
    assert worker.columns == {"received": 1, "released": 1}


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
@virtual_time
async def test_never_more_messages_are_received_than_allowed(limit):
    url, handler = fresh_url(), Recorder(seconds=1)
    await publish(url, *[payload(number) for number in range(20)])
    worker = await run(Route(url, handler, concurrency=3, prefetch=2), until=Until(max_messages=limit))

    assert worker.columns == {"received": limit, "acked": limit}
    assert await counts(url) == ({"ready": 20 - limit} if limit < 20 else {})


@virtual_time
async def test_the_limit_of_messages_counts_over_all_routes():
    urls = [fresh_url() for _ in range(3)]
    for url in urls:
        await publish(url, *[payload(number) for number in range(20)])
    routes = [Route(url, Recorder(seconds=1), concurrency=4) for url in urls]
    worker = await run(*routes, until=Until(max_messages=10))

    assert sum(ledger.received for ledger in worker.dispatcher.ledgers.values()) == 10


@virtual_time
async def test_a_limit_of_messages_waits_for_messages():
    url, handler = fresh_url(), Recorder()
    async with running(Route(url, handler), until=Until(max_messages=2)):
        await pass_time(100)
        await publish(url, "job")
        await pass_time(100)
        await publish(url, "job")
        await pass_time(0)

    assert len(handler.done) == 2


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
@virtual_time
async def test_an_idle_route_keeps_the_limit_from_no_other_for_long(limit):
    """Its long poll may bring messages, so it holds a part of the limit; the others get their turn."""
    idle, busy, handler = fresh_url(), fresh_url(), Recorder()
    await publish(busy, *[payload(number) for number in range(60)])
    routes = [Route(idle, Recorder(), wait=10), Route(busy, handler, name="busy", concurrency=10)]
    began = now()
    async with asyncio.timeout(1_000):
        await run(*routes, until=Until(max_messages=limit))

    assert len(handler.done) == limit
    assert now() - began <= 60


@virtual_time
async def test_after_so_many_empty_polls_it_ends_with_a_pause_between_two_of_them():
    began = now()
    adapter = FaultyAdapter()
    await run(Route(fresh_url(), Recorder(), adapter=adapter), until=Until(max_empty_polls=4, poll_interval=5))

    assert adapter.calls.count("receive") == 4
    assert now() - began == 3 * 5


@virtual_time
async def test_one_empty_poll_takes_no_time():
    began = now()
    await run(Route(fresh_url(), Recorder()), until=Until(max_empty_polls=1))

    assert now() == began


@virtual_time
async def test_any_message_starts_the_count_of_empty_polls_anew():
    url, began = fresh_url(), now()
    await publish(url, payload("later", delay=12))
    worker = await run(Route(url, Recorder()), until=Until(max_empty_polls=4, poll_interval=timedelta(seconds=5)))

    assert worker.columns == {"received": 1, "acked": 1}
    assert now() - began == 15 + 3 * 5


@virtual_time
async def test_a_failed_poll_is_no_empty_one():
    adapter = FaultyAdapter(receive=failing(unavailable(), times=3))
    await run(Route(fresh_url(), Recorder(), adapter=adapter), until=Until(max_empty_polls=2, poll_interval=1))

    assert adapter.calls.count("receive") == 5


@virtual_time
async def test_a_stop_ends_the_pause_between_polls():
    began = now()
    async with running(Route(fresh_url(), Recorder()), until=Until(max_empty_polls=2, poll_interval=1_000)) as worker:
        await pass_time(1)
        worker.stop()

    assert now() - began == 1


@virtual_time
async def test_what_is_in_hand_is_handled_after_the_last_poll_too():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    worker = await run(Route(url, handler), until=Until(max_empty_polls=2, poll_interval=1))

    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_each_route_ends_on_its_own():
    slow, fast = fresh_url(), fresh_url()
    await publish(slow, *["job"] * 3)
    worker = await run(
        Route(slow, Recorder(seconds=50), concurrency=1), Route(fast, Recorder(), name="fast"), until=Until(burst=True)
    )

    stops = [type(event).__name__ for event in worker.watch.events]
    assert stops[-1] == "RouteStopped"
    assert len(worker.of_kind(Received)) == 3


@virtual_time
async def test_a_retried_message_does_not_keep_a_burst_going():
    url = fresh_url()
    await publish(url, "job")

    async def handler(message):
        return Retry(1)

    worker = await run(Route(url, handler), until=Until(burst=True))

    assert worker.columns == {"received": 1, "retried": 1}


@virtual_time
async def test_a_run_may_be_told_to_end_by_its_own_handler():
    url = fresh_url()
    await publish(url, *["job"] * 5)

    async def handler(message: Message):
        worker.stop()

    async with running(Route(url, handler, concurrency=1)) as worker:
        await pass_time(10)

    assert worker.columns == {"received": 1, "acked": 1}
