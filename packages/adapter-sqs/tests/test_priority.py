"""Several queues in an order: the first first, the others not never."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from pulpo_core import DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY, Envelope, Order
from pulpo_core.testing import ManualClock
from tests.sqs_server import SqsServer

from .conftest import Opener, moving, settle, take, until

LONG = timedelta(seconds=10)


@pytest.fixture(autouse=True)
def _queues(server: SqsServer) -> None:
    for name in ("high", "normal", "low"):
        server.create(f"{name}-buried")
        server.create(name)


def envelope(priority: int, number: int = 0) -> Envelope:
    return Envelope(body=b"%d" % number, uid=f"{priority}-{number}", priority=priority)


async def test_a_message_goes_to_the_queue_of_its_priority(server: SqsServer, opener: Opener) -> None:
    async with opener("high,normal,low") as queue:
        await queue.publish([envelope(p) for p in (FIRST_PRIORITY, DEFAULT_PRIORITY - 1, DEFAULT_PRIORITY)])
        await queue.publish([envelope(p) for p in (DEFAULT_PRIORITY + 1, LAST_PRIORITY)])

    assert [len(server.bodies(name)) for name in ("high", "normal", "low")] == [2, 1, 2]


async def test_bands_can_be_said(server: SqsServer, opener: Opener) -> None:
    async with opener("high,low", bands=100) as queue:
        await queue.publish([envelope(99), envelope(100)])

    assert [len(server.bodies(name)) for name in ("high", "low")] == [1, 1]


async def test_it_declares_priority_but_no_order_within_a_queue(opener: Opener) -> None:
    async with opener("high,normal,low") as queue:
        assert queue.capabilities.priority
        assert queue.capabilities.order is Order.NONE


async def test_the_upper_queue_comes_first(opener: Opener) -> None:
    async with opener("high,normal,low") as queue:
        await queue.publish([envelope(p, n) for n in range(3) for p in (LAST_PRIORITY, DEFAULT_PRIORITY, 0)])

        came = [(await take(queue, 1))[0].envelope.priority for _ in range(9)]

    assert came == [0] * 3 + [DEFAULT_PRIORITY] * 3 + [LAST_PRIORITY] * 3


@pytest.mark.parametrize(("every", "share"), [(0, 0), (5, 20), (20, 5)])
async def test_under_constant_load_the_lower_ones_get_their_share(opener: Opener, every: int, share: int) -> None:
    counted: Counter[int] = Counter()
    async with opener("high,low", lower_every=every) as queue:
        await queue.publish([envelope(LAST_PRIORITY, number) for number in range(100)])
        for number in range(100):
            await queue.publish([envelope(0, number), envelope(0, number + 1000)])
            [delivery] = await queue.receive(1, LONG)
            counted[delivery.envelope.priority] += 1

    assert counted[LAST_PRIORITY] == share


async def test_whichever_queue_gets_one_wakes_the_receive(server: SqsServer, opener: Opener) -> None:
    async with opener("high,normal,low") as queue, opener("low") as producer, asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive(10, LONG))
        await until(lambda: server.waiting == 3)
        await producer.publish([Envelope(body=b"x", uid="u")])

        [delivery] = await waiting

    assert delivery.envelope.body == b"x"


async def test_an_idle_set_costs_one_poll_for_each_queue(server: SqsServer, opener: Opener, clock: ManualClock) -> None:
    async with opener("high,normal,low") as queue, asyncio.TaskGroup() as group:
        await moving(clock, group.create_task(queue.receive(10, LONG)))
        at_first = server.requests["ReceiveMessage"]
        await moving(clock, group.create_task(queue.receive(10, LONG)))

        assert at_first == 6  # each is looked into once, then waited for
        assert server.requests["ReceiveMessage"] - at_first == 3


async def test_a_busy_low_queue_does_not_pay_for_the_idle_ones_above(server: SqsServer, opener: Opener) -> None:
    async with opener("high,normal,low") as queue:
        await queue.publish([envelope(LAST_PRIORITY, number) for number in range(200)])
        server.requests.clear()
        taken = 0
        while taken < 200:
            taken += len(await queue.receive(10, LONG))

        assert server.requests["ReceiveMessage"] <= 20 + 5


async def test_each_is_settled_where_it_came_from(server: SqsServer, opener: Opener) -> None:
    from pulpo_core import Bury

    async with opener("high,low") as queue:
        await queue.publish([envelope(0), envelope(LAST_PRIORITY)])
        high, low = await take(queue, 2)
        assert list(await settle(queue, (high, Bury("fatal")), (low, Bury("fatal")))) == [None, None]

        assert [len(server.bodies(name)) for name in ("high-buried", "low-buried")] == [1, 1]
        assert (await queue.stats()).buried == 2
        assert await queue.kick() == 2

    assert [len(server.bodies(name)) for name in ("high", "low")] == [1, 1]
