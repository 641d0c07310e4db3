"""A queue that is closed leaves no connection behind, whatever was going on, and whoever closes it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from typing import Any

import greenstalk
import pytest

from pulpo_core import AdapterError, Bury, Envelope, Queue, Settling
from tests.servers import BeanstalkdServer

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Stranger = greenstalk.Client[bytes]

NO_WAIT = timedelta()
WAIT = timedelta(seconds=5)

#: Turns of the loop after which something is cut short: a dial takes fewer, and so does any of the calls below.
TURNS = range(0, 36, 3)


async def _bury(queue: Queue) -> object:
    deliveries = await queue.receive(1, WAIT)  # none, if it was closed meanwhile
    return await queue.settle([Settling(delivery, Bury("bad")) for delivery in deliveries])


CALLS: dict[str, Callable[[Queue], Awaitable[object]]] = {
    "publish": lambda queue: queue.publish([Envelope(body=b"x")]),
    "take": lambda queue: queue.receive(10, NO_WAIT),
    "wait": lambda queue: queue.receive(1, WAIT),
    "bury": _bury,
    "list": lambda queue: queue.buried(),
}


async def turns(number: int) -> None:
    """Let the loop go round so many times; every third time with time for an answer to come."""
    for n in range(number):
        await asyncio.sleep(0 if n % 3 else 0.0003)


async def connections(stranger: Stranger, expected: int) -> int:
    """How many connections beanstalkd has, once it has noticed that the others are gone."""
    for _ in range(100):
        if stranger.stats()["current-connections"] <= expected:
            break
        await asyncio.sleep(0.02)
    return stranger.stats()["current-connections"]


@pytest.mark.parametrize("call", CALLS)
async def test_closing_leaves_no_connection_whatever_is_going_on(
    open_queue: Opener, stranger: Stranger, call: str
) -> None:
    before = stranger.stats()["current-connections"]
    for number in TURNS:
        stranger.put(b"x")
        async with open_queue() as queue:
            going_on = asyncio.ensure_future(CALLS[call](queue))
            await turns(number)
        with suppress(AdapterError):
            async with asyncio.timeout(5):
                await going_on

    assert await connections(stranger, before) == before


@pytest.mark.parametrize("number", range(6))
async def test_whoever_is_cancelled_while_closing_leaves_no_connection_either(
    open_queue: Opener, stranger: Stranger, number: int
) -> None:
    before = stranger.stats()["current-connections"]
    opened, go = asyncio.Event(), asyncio.Event()

    async def use() -> None:
        async with open_queue() as queue:
            await queue.publish([Envelope(body=b"x")])
            await queue.receive(1, WAIT)
            opened.set()
            await go.wait()

    using = asyncio.ensure_future(use())
    await opened.wait()
    go.set()
    for _ in range(number):
        await asyncio.sleep(0)
    using.cancel()
    await asyncio.wait([using])

    assert await connections(stranger, before) == before


async def test_a_tube_that_is_polled_is_not_polled_any_more(
    open_queue: Opener, stranger: Stranger, server: BeanstalkdServer
) -> None:
    stranger.put(b"held")
    async with open_queue(connections=1) as queue:
        await queue.receive(1, WAIT)
        polling = asyncio.ensure_future(queue.receive(1, WAIT))
        await asyncio.sleep(0.05)
        assert not polling.done()
    stranger.put(b"another")

    with pytest.raises(AdapterError, match="closed"):
        async with asyncio.timeout(2):
            await polling
    assert {stranger.reserve(timeout=2).body for _ in range(2)} == {b"held", b"another"}


async def test_a_connection_that_comes_too_late_is_not_used(impostor: Any, opened: Opener) -> None:
    async with impostor({}) as broker:
        async with opened(broker.url()) as queue:
            broker.pause = 0.1
            late = asyncio.ensure_future(queue.receive(1, NO_WAIT))
            await asyncio.sleep(0.05)
        with pytest.raises(AdapterError, match="closed"):
            await late

        assert not any(line.startswith(b"reserve") for line in broker.heard)


async def test_what_was_done_before_is_not_untold_by_closing(open_queue: Opener) -> None:
    """More is published than goes out at once, and the queue is closed before it has all gone out."""
    async with open_queue() as queue:
        publishing = asyncio.ensure_future(queue.publish([Envelope(body=b"x")] * 1_500))
        while not (await queue.stats()).ready:
            pass
    results = await publishing

    assert len(results) == 1_500
    assert all(isinstance(each, str) or each.in_doubt for each in results[:1_000]), "these were sent"
