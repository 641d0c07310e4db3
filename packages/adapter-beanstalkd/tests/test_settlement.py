"""Settling: priorities are kept, strangers settle nothing, and what is late is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import greenstalk
import pytest

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Delivery,
    Envelope,
    LeaseLost,
    Peek,
    Queue,
    Release,
    Retry,
    Settlement,
    Settling,
    State,
)
from tests.proxy import Proxy
from tests.servers import HOST, BeanstalkdServer

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Stranger = greenstalk.Client[bytes]

WAIT = timedelta(seconds=10)
SECOND = timedelta(seconds=1)


async def take(queue: Queue) -> Delivery:
    """Receive one delivery."""
    (delivery,) = await queue.receive(1, WAIT)
    return delivery


async def settle(queue: Queue, delivery: Delivery, settlement: Settlement) -> AdapterError | None:
    """Settle one delivery."""
    (error,) = await queue.settle([Settling(delivery, settlement)])
    return error


@pytest.mark.parametrize("settlement", [Retry(2 * SECOND), Release(), Bury("bad")], ids=repr)
async def test_a_priority_is_kept_through_everything(
    open_queue: Opener, stranger: Stranger, settlement: Settlement
) -> None:
    """greenstalk's own default would move the job to 65536."""
    stranger.put(b"x", priority=7)
    async with open_queue() as queue:
        delivery = await take(queue)
        assert await settle(queue, delivery, settlement) is None

        assert stranger.stats_job(int(delivery.id))["pri"] == 7


async def test_a_retry_without_delay_waits_a_second(open_queue: Opener, stranger: Stranger) -> None:
    """A release without delay is not in beanstalkd's log, and the attempt would be forgotten."""
    job = stranger.put(b"x")
    async with open_queue() as queue:
        assert await settle(queue, await take(queue), Retry(timedelta())) is None

    assert stranger.stats_job(job)["state"] == "delayed"
    assert stranger.stats_job(job)["delay"] == 1


async def test_a_release_goes_back_to_its_old_place(open_queue: Opener) -> None:
    async with open_queue() as queue:
        first, second = await queue.publish([Envelope(body=b"1"), Envelope(body=b"2")])
        assert await settle(queue, await take(queue), Release()) is None

        assert [(await take(queue)).id, (await take(queue)).id] == [first, second]


async def test_a_stale_ack_does_not_delete_a_job_that_waits(open_queue: Opener, stranger: Stranger) -> None:
    """beanstalkd lets anybody delete a job that is ready: its own lease is no protection."""
    job = stranger.put(b"x", ttr=1)
    async with open_queue(ttr="1s") as queue:
        delivery = await take(queue)
        await asyncio.sleep(1.5)
        assert stranger.stats_job(job)["state"] == "ready"

        assert isinstance(await settle(queue, delivery, Ack()), LeaseLost)
        assert stranger.stats_job(job)["state"] == "ready"


async def test_a_late_ack_of_a_job_that_is_still_ours_is_done(open_queue: Opener, stranger: Stranger) -> None:
    job = stranger.put(b"x", ttr=60)
    async with open_queue(ttr="1s") as queue:
        delivery = await take(queue)
        await asyncio.sleep(1)

        assert await settle(queue, delivery, Ack()) is None
        with pytest.raises(greenstalk.NotFoundError):
            stranger.stats_job(job)


async def test_nothing_is_settled_after_a_reconnect_even_if_the_id_is_taken(tmp_path: object, opened: Opener) -> None:
    """Without a log beanstalkd counts ids from 1 again: an old ack would delete somebody else's job."""
    with BeanstalkdServer() as server:
        async with opened(server.url("t")) as queue:
            await queue.publish([Envelope(body=b"old")])
            old = await take(queue)
            await asyncio.to_thread(server.restart)
            with greenstalk.Client(server.address, use="t") as client:
                assert client.put("new") == int(old.id)

            errors = [await settle(queue, old, each) for each in (Ack(), Retry(SECOND), Release(), Bury("bad"))]

            assert all(isinstance(error, LeaseLost) for error in errors)
            assert isinstance((await queue.extend([old]))[0], LeaseLost)
            assert (await take(queue)).envelope.body == b"new"


async def test_deliveries_of_a_cut_connection_are_lost_and_come_again(
    server: BeanstalkdServer, tube: str, opened: Opener, stranger: Stranger
) -> None:
    stranger.put(b"x")
    with Proxy(server.address) as proxy:
        async with opened(f"beanstalkd://{HOST}:{proxy.port}/{tube}") as queue:
            first = await take(queue)
            proxy.cut()
            await asyncio.sleep(0.05)

            assert isinstance(await settle(queue, first, Ack()), LeaseLost)
            again = await take(queue)
            assert (again.id, again.attempt, again.lost) == (first.id, 2, 1)


async def test_settling_twice_in_the_same_way_is_no_error(open_queue: Opener) -> None:
    async with open_queue() as queue:
        for settlement in (Ack(), Retry(SECOND), Release(), Bury("bad")):
            await queue.publish([Envelope(body=b"x")])
            delivery = await take(queue)

            assert await settle(queue, delivery, settlement) is None
            assert await settle(queue, delivery, settlement) is None
            assert isinstance(await settle(queue, delivery, Retry(SECOND) if settlement == Ack() else Ack()), LeaseLost)
            await queue.purge(frozenset({State.READY, State.DELAYED, State.BURIED}))


async def test_two_calls_that_settle_one_delivery_have_one_effect(open_queue: Opener, stranger: Stranger) -> None:
    job = stranger.put(b"x")
    async with open_queue() as queue:
        delivery = await take(queue)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(settle(queue, delivery, each)) for each in (Bury("bad"), Ack(), Bury("bad"))]
        first, second, third = [task.result() for task in tasks]

        assert first is None
        assert second is not None
        assert third is None or third.temporary, "done by then, or being done"
        assert stranger.stats_job(job)["state"] == "buried"
        assert len((await queue.buried()).records) == 1


async def test_a_mixed_batch_is_answered_in_its_order(open_queue: Opener) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"%d" % n) for n in range(8)])
        deliveries = [await take(queue) for _ in range(8)]
        settlements: list[Settlement] = [Ack(), Bury("bad"), Retry(SECOND), Release()] * 2

        answers = await queue.settle([Settling(*pair) for pair in zip(deliveries, settlements, strict=True)])
        stats = await queue.stats()

    assert answers == [None] * 8
    assert (stats.ready, stats.delayed, stats.buried, stats.reserved) == (2, 2, 2, 0)


async def test_an_over_long_retry_is_refused_and_the_job_still_ours(open_queue: Opener) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"x")])
        delivery = await take(queue)

        error = await settle(queue, delivery, Retry(timedelta(days=60_000)))
        assert error is not None
        assert "at most 4294967295 s" in str(error)
        assert await settle(queue, delivery, Ack()) is None


async def test_a_job_that_somebody_deleted_is_a_lost_lease(open_queue: Opener, stranger: Stranger) -> None:
    job = stranger.put(b"x", ttr=1)
    async with open_queue(ttr="1s") as queue:
        delivery = await take(queue)
        await asyncio.sleep(1.5)
        stranger.delete(job)

        assert isinstance(await settle(queue, delivery, Bury("bad")), LeaseLost)
        assert await queue.peek(Peek.BURIED) is None
