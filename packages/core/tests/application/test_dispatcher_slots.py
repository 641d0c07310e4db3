"""Limits: so many handlers of a route, so many of the process, and never much more in hand than that."""

import asyncio

import pytest

from pulpo_core import Route
from pulpo_core.testing import virtual_time

from .fakes import (
    Recorder,
    ScriptedQueue,
    delivery,
    fresh_url,
    pass_time,
    payload,
    publish,
    run,
    running,
    scripted_route,
)


@pytest.mark.parametrize("concurrency", [1, 3, 10])
@virtual_time
async def test_so_many_handlers_run_at_once_and_no_more(concurrency):
    url, handler = fresh_url(), Recorder(seconds=1)
    await publish(url, *[payload(number) for number in range(30)])
    began = asyncio.get_running_loop().time()
    await run(Route(url, handler, concurrency=concurrency))

    assert handler.peak == concurrency
    assert asyncio.get_running_loop().time() - began == 30 / concurrency


@virtual_time
async def test_the_next_message_is_taken_as_soon_as_one_slot_is_free():
    url = fresh_url()
    starts = {}

    async def handler(payload):
        starts[payload["name"]] = asyncio.get_running_loop().time()
        await asyncio.sleep(payload["seconds"])

    jobs = {"long": 100, "a": 1, "b": 2, "c": 3}
    await publish(url, *[payload({"name": name, "seconds": seconds}) for name, seconds in jobs.items()])
    began = asyncio.get_running_loop().time()
    await run(Route(url, handler, concurrency=2))

    assert {name: start - began for name, start in starts.items()} == {"long": 0, "a": 0, "b": 1, "c": 3}


@virtual_time
async def test_the_process_limit_holds_over_all_routes():
    urls = [fresh_url() for _ in range(3)]
    handler = Recorder(seconds=1)
    for url in urls:
        await publish(url, *["job"] * 10)
    worker = await run(*[Route(url, handler, concurrency=5) for url in urls], concurrency=4)

    assert handler.peak == 4
    assert [ledger.acked for ledger in worker.dispatcher.ledgers.values()] == [10, 10, 10]


@virtual_time
async def test_no_route_is_starved_by_the_process_limit():
    urls, order = [fresh_url() for _ in range(3)], []

    async def handler(message, delivery):
        order.append(message.request_type)
        await asyncio.sleep(1)

    for number, url in enumerate(urls):
        await publish(url, *[f"route-{number}"] * 20)
    await run(*[Route(url, handler, concurrency=5) for url in urls], concurrency=2)

    assert {*order[:20]} == {"route-0", "route-1", "route-2"}


@virtual_time
async def test_beyond_the_process_limit_a_route_holds_no_more_than_it_was_receiving():
    urls, handler = [fresh_url() for _ in range(2)], Recorder(seconds=1)
    for url in urls:
        await publish(url, *["job"] * 50)
    async with running(*[Route(url, handler, concurrency=20) for url in urls], concurrency=4) as worker:
        for _ in range(20):
            await pass_time(0.5)
            assert sum(ledger.in_hand for ledger in worker.dispatcher.ledgers.values()) <= 3 * 4
        worker.stop()


@virtual_time
async def test_prefetched_messages_wait_beside_those_in_slots():
    url, handler = fresh_url(), Recorder(seconds=10)
    await publish(url, *["job"] * 20)
    async with running(Route(url, handler, concurrency=2, prefetch=3)) as worker:
        await pass_time(1)
        held, busy = worker.ledger.in_hand, handler.busy
        worker.stop()

    assert (held, busy) == (5, 2)


@virtual_time
async def test_order_of_arrival_is_order_of_start():
    url, handler = fresh_url(), Recorder(seconds=1)
    await publish(url, *[payload(number) for number in range(25)])
    await run(Route(url, handler, concurrency=3, prefetch=5))

    assert handler.payloads == list(range(25))


@virtual_time
async def test_priority_of_the_queue_is_order_of_start():
    url, handler = fresh_url(), Recorder()
    await publish(url, *[payload(priority, priority=priority) for priority in (70_000, 5, 65_536, 0)])
    await run(Route(url, handler, concurrency=1))

    assert handler.payloads == [0, 5, 65_536, 70_000]


@virtual_time
async def test_messages_that_come_one_by_one_all_find_a_slot():
    """The slots that are idle are woken one by one too."""
    url, handler = fresh_url(), Recorder(seconds=5)
    async with running(Route(url, handler, concurrency=4)) as worker:
        for number in range(40):
            await publish(url, payload(number))
            await pass_time(1.3)
        await pass_time(10)

    assert worker.columns == {"received": 40, "acked": 40}
    assert handler.peak == 4


@virtual_time
async def test_handlers_that_never_suspend_share_the_slots_with_those_that_do():
    url, handler = fresh_url(), Recorder()

    async def mixed(message):
        if message.payload % 3 == 0:
            await asyncio.sleep(message.payload % 7)
        handler.done.append(message)

    await publish(url, *[payload(number) for number in range(100)])
    worker = await run(Route(url, mixed, concurrency=6, prefetch=6))

    assert len(handler.done) == 100
    assert worker.columns == {"received": 100, "acked": 100}


# Groups


@virtual_time
async def test_messages_of_one_group_run_one_after_another_and_groups_beside_each_other():
    names = ["a1", "a2", "b1", "a3", "b2", "c1"]
    queue = ScriptedQueue([[delivery(name, payload(name), group=name[0]) for name in names]])
    handler = Recorder(seconds=1)
    async with running(scripted_route(queue, handler)) as worker:
        await pass_time(10)

    began = handler.starts[0]
    starts = dict(zip(handler.payloads, [start - began for start in handler.starts], strict=True))
    assert starts == {"a1": 0, "b1": 0, "c1": 0, "a2": 1, "b2": 1, "a3": 2}
    assert worker.columns == {"received": 6, "acked": 6}


@virtual_time
async def test_the_next_of_a_group_waits_until_the_one_before_is_confirmed():
    order = []

    class Slow(ScriptedQueue):
        async def settle(self, batch):
            await asyncio.sleep(5)
            order.extend(f"settled {item.delivery.id}" for item in batch)
            return await ScriptedQueue.settle(self, batch)

    async def handler(delivery):
        order.append(f"started {delivery.id}")

    queue = Slow([[delivery("1", group="g"), delivery("2", group="g")]])
    async with running(scripted_route(queue, handler)):
        await pass_time(20)

    assert order == ["started 1", "settled 1", "started 2", "settled 2"]


@pytest.mark.parametrize("result", [False, "raise"])
@virtual_time
async def test_when_one_of_a_group_comes_back_its_siblings_are_handed_back_and_do_not_overtake_it(result):
    async def handler(message):
        if message.payload == "a1":
            if result == "raise":
                raise ValueError
            return False
        return None

    names = ["a1", "a2", "b1", "a3", "n"]
    queue = ScriptedQueue([[delivery(name, payload(name), group=None if name == "n" else name[0]) for name in names]])
    async with running(scripted_route(queue, handler)) as worker:
        await pass_time(10)

    settled = {name: type(settlement).__name__ for name, settlement in queue.settled}
    assert settled == {"a1": "Retry", "a2": "Release", "a3": "Release", "b1": "Ack", "n": "Ack"}
    assert [name for name, _ in queue.settled].index("a1") < [name for name, _ in queue.settled].index("a2")
    assert worker.columns == {"received": 5, "acked": 2, "retried": 1, "released": 2}


@virtual_time
async def test_a_buried_message_lets_its_group_go_on():
    from pulpo_core import Bury

    async def handler(message):
        return Bury("so") if message.payload == "a1" else None

    queue = ScriptedQueue([[delivery(name, payload(name), group="a") for name in ("a1", "a2")]])
    async with running(scripted_route(queue, handler)) as worker:
        await pass_time(10)

    assert worker.columns == {"received": 2, "acked": 1, "buried": 1}


@virtual_time
async def test_a_group_that_blocks_leaves_the_slots_to_others():
    queue = ScriptedQueue(
        [
            [delivery(f"a{number}", payload("slow"), group="a") for number in range(5)],
            [delivery(f"n{number}", payload("fast")) for number in range(20)],
        ]
    )
    done = []

    async def handler(message):
        await asyncio.sleep(10 if message.payload == "slow" else 0.1)
        done.append(message.payload)

    async with running(scripted_route(queue, handler, concurrency=8, prefetch=40)):
        await pass_time(5)
        assert done == ["fast"] * 20
        await pass_time(60)

    assert done.count("slow") == 5


@virtual_time
async def test_groups_of_the_queue_in_memory_keep_their_order_through_retries():
    url, seen = fresh_url(), []

    async def handler(message, delivery):
        seen.append((message.payload, delivery.attempt))
        return False if message.payload == 1 and delivery.attempt == 1 else None

    await publish(url, *[payload(number, header={"group": "g"}) for number in range(4)])
    async with running(Route(url, handler)) as worker:
        await pass_time(60)

    assert seen == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1)]
    assert worker.columns == {"received": 5, "acked": 4, "retried": 1}


@virtual_time
async def test_a_late_answer_about_a_sibling_lets_nobody_overtake():
    class Late(ScriptedQueue):
        async def settle(self, batch):
            if any(item.delivery.id == "2" for item in batch):
                await asyncio.sleep(5)
            return await ScriptedQueue.settle(self, batch)

    running_now, together = set(), []

    async def handler(delivery):
        together.append({*running_now})
        running_now.add(delivery.id)
        try:
            if delivery.id == "1":
                raise ValueError
            await asyncio.sleep(20)
        finally:
            running_now.discard(delivery.id)

    queue = Late(
        [
            [delivery("1", group="g"), delivery("2", group="g")],
            [],
            [delivery("1 again", group="g"), delivery("2 again", group="g")],
        ]
    )
    async with running(scripted_route(queue, handler, wait=1)) as worker:
        await pass_time(60)

    assert together == [set(), set(), set()]
    assert worker.columns == {"received": 4, "retried": 1, "released": 1, "acked": 2}
