"""One publisher for all queues of an application."""

import asyncio

import pytest

from pulpo_core import ConfigurationError, Message, Publishers, PulpoError, Unavailable
from pulpo_core.testing import virtual_time

from .fakes import FaultyAdapter, fresh_url, payload, stored


@virtual_time
async def test_it_publishes_by_name_by_url_and_by_default():
    mail, bills, other = fresh_url(), fresh_url(), fresh_url()

    async with Publishers({"mail": mail, "bills": bills}, default=mail) as publisher:
        sent = await publisher.publish(payload(1))
        await publisher.publish(payload(2), queue="bills")
        await publisher.publish_many([payload(3), payload(4)], queue=other)

        assert sent.id
        assert [message.payload for message in await stored(mail)] == [1]
        assert [message.payload for message in await stored(bills)] == [2]
        assert [message.payload for message in await stored(other)] == [3, 4]


@virtual_time
async def test_a_queue_is_opened_when_it_is_first_named_and_closed_at_the_end():
    adapter = FaultyAdapter()
    url = fresh_url()

    async with Publishers(default=url, adapter=adapter) as publisher:
        assert adapter.opened == 0
        await publisher.publish(payload(1))
        await publisher.publish(payload(2))
        assert (adapter.opened, adapter.closed) == (1, 0)

    assert adapter.closed == 1
    with pytest.raises(PulpoError, match="this publisher is not open"):
        await publisher.publish(payload(3))


@virtual_time
async def test_middleware_sees_what_is_published():
    url = fresh_url()

    async with Publishers(default=url, middleware=[lambda message: message.with_header(tenant="a")]) as publisher:
        await publisher.publish(Message(request_type="job"))

        assert [message.header["tenant"] for message in await stored(url)] == ["a"]


@virtual_time
async def test_a_queue_that_nobody_knows_is_named():
    async with Publishers({"mail": fresh_url()}) as publisher:
        with pytest.raises(ConfigurationError, match="no queue is called 'male'; known: mail"):
            await publisher.publish(payload(1), queue="male")
        with pytest.raises(ConfigurationError, match=r"publish to which queue\? Give queue=, one of mail"):
            await publisher.publish(payload(1))


@virtual_time
async def test_it_is_open_once_at_a_time():
    async with Publishers() as publisher:
        with pytest.raises(PulpoError, match="open already"):
            await publisher.__aenter__()
    async with publisher:
        pass


@virtual_time
async def test_nobody_waits_for_ever_when_a_driver_is_cancelled_while_it_opens_a_queue():
    async def cancelled():
        if left:
            raise left.pop()

    left = [asyncio.CancelledError()]
    adapter = FaultyAdapter(on_open=cancelled)
    async with Publishers(default=fresh_url(), adapter=adapter) as publisher, asyncio.timeout(1000):
        with pytest.raises(Unavailable, match="cancelled"):
            await publisher.publish(payload(1))

        assert (await publisher.publish(payload(2))).id
