"""Receiving: who waits, what is taken, and what beanstalkd may and may not do meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import greenstalk
import pytest

from pulpo_adapter_beanstalkd.pace import FIRST_BATCH, LARGEST_BATCH, SHARED_FOR, WATCH_EVERY, Company, Pace
from pulpo_core import Ack, AdapterError, Delivery, Envelope, Queue, Release, Settling
from tests.servers import BeanstalkdServer

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Stranger = greenstalk.Client[bytes]

NO_WAIT = timedelta()
WAIT = timedelta(seconds=10)


async def take(queue: Queue, number: int = 1) -> list[Delivery]:
    """Receive *number* deliveries."""
    taken: list[Delivery] = []
    while len(taken) < number:
        taken += await queue.receive(number - len(taken), WAIT)
    return taken


async def acknowledge(queue: Queue, deliveries: Sequence[Delivery]) -> None:
    """Acknowledge *deliveries*, all of them."""
    assert await queue.settle([Settling(each, Ack()) for each in deliveries]) == [None] * len(deliveries)


def connections(server: BeanstalkdServer, tube: str) -> int:
    """How many connections reserve from *tube*."""
    with greenstalk.Client(server.address) as client:
        return int(client.stats_tube(tube)["current-watching"])


class TestPace:
    """How many jobs are asked for at once."""

    def test_a_job_now_and_then_is_waited_for(self) -> None:
        pace = Pace()
        for waited in (0.0001, 1.0, 0.0001, 0.5):
            pace.caught(waited)

            assert pace.batch == 0

    def test_two_that_were_there_already_are_a_backlog(self) -> None:
        pace = Pace()
        pace.caught(0.0001)
        pace.caught(0.0002)

        assert pace.batch == FIRST_BATCH

    def test_what_was_there_already_is_measured_in_round_trips(self) -> None:
        pace = Pace()
        for round_trip in (0.5, 0.1, 0.3):
            pace.answered(round_trip)
        pace.caught(0.12)
        pace.caught(0.21)
        assert pace.batch == 0

        pace.caught(0.11)
        pace.caught(0.19)
        assert pace.batch == FIRST_BATCH

    def test_batches_grow_while_they_come_back_full(self) -> None:
        pace = Pace(batch=FIRST_BATCH)
        sizes = []
        for _ in range(5):
            pace.took(asked=pace.batch, got=pace.batch)
            sizes.append(pace.batch)

        assert sizes == [16, 64, LARGEST_BATCH, LARGEST_BATCH, LARGEST_BATCH]

    def test_a_batch_that_is_not_full_ends_it(self) -> None:
        pace = Pace(batch=64)
        pace.took(asked=64, got=63)

        assert pace.batch == 0


class TestCompany:
    """Who else takes from the tube."""

    def test_it_is_looked_for_now_and_then_and_believed_for_a_while(self) -> None:
        company = Company()
        assert company.look_is_due(0)
        company.looked(0, {"current-watching": 3}, ours=2)

        assert not company.look_is_due(WATCH_EVERY / 2)
        assert company.look_is_due(WATCH_EVERY)
        company.looked(WATCH_EVERY, {"current-watching": 2}, ours=2)
        assert company.is_shared(SHARED_FOR / 2)
        company.looked(SHARED_FOR, {"current-watching": 2}, ours=2)
        assert not company.is_shared(SHARED_FOR)

    def test_when_nobody_has_looked_lately_there_may_be_some(self) -> None:
        company = Company()
        assert company.is_shared(0)
        company.looked(0, {"current-watching": 1}, ours=1)

        assert not company.is_shared(WATCH_EVERY / 2)
        assert company.is_shared(WATCH_EVERY)

    def test_ones_own_connections_are_no_company(self) -> None:
        company = Company()
        company.looked(0, {"current-watching": 2}, ours=2)

        assert not company.is_shared(0.1)


async def test_a_backlog_is_worked_off_through_one_connection(
    server: BeanstalkdServer, tube: str, open_queue: Opener
) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"%d" % n) for n in range(2_000)])
        came = []
        while len(came) < 2_000:
            deliveries = await queue.receive(50, WAIT)
            came += [int(each.envelope.body) for each in deliveries]
            await acknowledge(queue, deliveries)

        assert came == list(range(2_000)), "in order, each once"
        assert connections(server, tube) <= 2


async def test_jobs_in_hand_never_keep_others_from_coming(
    server: BeanstalkdServer, tube: str, open_queue: Opener, stranger: Stranger
) -> None:
    """Each catch stays with its connection, and another waits: a handful of long jobs blocks nobody."""
    async with open_queue() as queue:
        long_ones = await _caught_one_by_one(queue, stranger, 5)
        before = connections(server, tube)
        await acknowledge(queue, long_ones)
        assert await queue.receive(1, timedelta(milliseconds=50)) == ()
        await asyncio.sleep(0.05)

        assert before == 1 + 5, "the stranger's and five"
        assert connections(server, tube) <= 1 + 2, "those that nobody needs are closed again"


async def test_with_all_connections_in_use_the_tube_is_polled(
    open_queue: Opener, stranger: Stranger, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_queue(connections=2) as queue:
        held = []
        for n in range(4):
            stranger.put(b"%d" % n)
            (delivery,) = await queue.receive(1, WAIT)
            held.append(delivery)
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        assert not await queue.receive(1, timedelta(milliseconds=300))
        assert time.monotonic() - begun >= 0.3

        await acknowledge(queue, held)
        assert "connections= in the URL allows more" in caplog.text


async def test_a_waiting_receive_does_not_keep_settlements_waiting(open_queue: Opener, stranger: Stranger) -> None:
    stranger.put(b"x")
    async with open_queue() as queue, asyncio.TaskGroup() as group:
        (delivery,) = await take(queue)
        waiting = group.create_task(queue.receive(1, WAIT))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await queue.extend([delivery])
            await acknowledge(queue, [delivery])
        assert not waiting.done()
        queue.interrupt()


async def test_an_interrupt_ends_waiting_at_once(open_queue: Opener) -> None:
    async with open_queue() as queue, asyncio.TaskGroup() as group:
        waiting = [group.create_task(queue.receive(1, WAIT)) for _ in range(3)]
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        queue.interrupt()
        queue.interrupt()
        async with asyncio.timeout(2):
            assert not any([await each for each in waiting])
            assert not await queue.receive(1, WAIT)

        assert time.monotonic() - begun < 1


async def test_a_wait_ends_with_its_fraction_of_a_second(open_queue: Opener) -> None:
    async with open_queue() as queue:
        begun = time.monotonic()
        assert await queue.receive(1, timedelta(seconds=1.2)) == ()
        waited = time.monotonic() - begun

    assert 1.2 <= waited < 5


async def test_what_comes_after_the_wait_stays_in_the_tube(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue() as queue:
        assert await queue.receive(1, timedelta(milliseconds=20)) == ()
        stranger.put(b"later")

        assert stranger.reserve(timeout=2).body == b"later"


async def test_deadline_soon_blocks_nothing(open_queue: Opener, stranger: Stranger) -> None:
    """In the last second of any job that a connection holds, beanstalkd answers its reserves DEADLINE_SOON."""
    async with open_queue(ttr="1s", connections=1) as queue:
        await queue.publish([Envelope(body=b"held")])
        (held,) = await take(queue)
        assert not await queue.receive(1, NO_WAIT)
        stranger.put(b"new")

        (new,) = await queue.receive(1, WAIT)
        assert new.envelope.body == b"new"
        assert isinstance((await queue.extend([held]))[0], float)


async def test_a_paused_tube_wakes_up_by_itself(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue() as queue:
        await queue.pause(timedelta(seconds=1))
        stranger.put(b"x")

        assert not await queue.receive(1, NO_WAIT)
        assert len(await queue.receive(1, WAIT)) == 1


async def test_a_cancelled_batch_is_handed_out_by_the_next_receive(open_queue: Opener, stranger: Stranger) -> None:
    for n in range(10):
        stranger.put(b"%d" % n)
    async with open_queue() as queue:
        (first,) = await queue.receive(1, NO_WAIT)
        cut_short = asyncio.ensure_future(queue.receive(9, NO_WAIT))
        await asyncio.sleep(0)
        cut_short.cancel()
        await asyncio.wait([cut_short])
        rest = await take(queue, 9)

    assert sorted(each.envelope.body for each in [first, *rest]) == [b"%d" % n for n in range(10)]
    assert {each.attempt for each in rest} == {1}, "they were never given back"


@pytest.mark.parametrize("answered", ["before", "in the same turn", "after"])
async def test_a_cancelled_batch_is_in_hand_whenever_its_answer_comes(
    open_queue: Opener, stranger: Stranger, answered: str
) -> None:
    for n in range(10):
        stranger.put(b"%d" % n)
    async with open_queue() as queue:
        (first,) = await queue.receive(1, NO_WAIT)
        cut_short = asyncio.ensure_future(queue.receive(9, NO_WAIT))
        await asyncio.sleep(0)
        if answered != "after":
            time.sleep(0.05)  # noqa: ASYNC251 - the answer is there, and the loop has not read it yet
            await asyncio.sleep(0)
        if answered == "before":
            await asyncio.sleep(0)
        cut_short.cancel()
        await asyncio.wait([cut_short])
        async with asyncio.timeout(5):
            rest = await take(queue, 9)

    assert sorted(each.envelope.body for each in [first, *rest]) == [b"%d" % n for n in range(10)]


async def test_what_a_cancelled_batch_left_is_kept_for_its_whole_lease(open_queue: Opener, stranger: Stranger) -> None:
    stranger.put(b"first")
    async with open_queue(ttr="30s") as queue:
        await acknowledge(queue, await take(queue))
        await asyncio.sleep(0.6)
        jobs = [stranger.put(b"x", ttr=1) for _ in range(2)]
        cut_short = asyncio.ensure_future(queue.receive(2, NO_WAIT))
        await asyncio.sleep(0)
        cut_short.cancel()
        await asyncio.wait([cut_short])
        await asyncio.sleep(2.6)
        rest = await take(queue, 2)

    assert [int(each.id) for each in rest] == jobs
    assert {each.attempt for each in rest} == {1}


async def test_a_cancelled_wait_gives_back_what_it_caught(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue() as queue:
        waiting = asyncio.ensure_future(queue.receive(1, WAIT))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        stranger.put(b"x")

        assert stranger.reserve(timeout=2).body == b"x"


async def test_the_same_job_on_the_same_connection_is_only_its_last_holders(open_queue: Opener) -> None:
    """beanstalkd cannot tell an old reservation by this connection from a new one: we must."""
    async with open_queue(ttr="1s", connections=1) as queue:
        await queue.publish([Envelope(body=b"x")])
        (stale,) = await take(queue)
        (fresh,) = await take(queue)

        assert fresh.id == stale.id
        assert fresh.attempt == 2
        assert isinstance((await queue.settle([Settling(stale, Ack())]))[0], AdapterError)
        assert isinstance((await queue.extend([fresh]))[0], float), "the older one has done no harm"
        await acknowledge(queue, [fresh])


async def test_attempts_are_exact_beside_other_consumers(open_queue: Opener) -> None:
    """Ids alone would say that a job is new which another consumer has just given back."""
    async with open_queue() as one, open_queue() as two:
        for _ in range(100):  # both are past the first jobs, which are looked at one by one
            await one.publish([Envelope(body=b"x")] * 2)
            await acknowledge(one, await take(one))
            await acknowledge(two, await take(two))
        await one.publish([Envelope(body=b"y")])
        await one.settle([Settling((await take(one))[0], Release())])

        assert [each.attempt for each in await take(two)] == [2]


async def test_attempts_are_exact_after_a_long_wait(server: BeanstalkdServer, tube: str, open_queue: Opener) -> None:
    """Whoever came while we waited has not been seen by us yet."""
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"x")] * 100)
        for _ in range(100):
            await acknowledge(queue, await take(queue))
        waiting = asyncio.ensure_future(queue.receive(1, WAIT))
        await asyncio.sleep(1.1)
        with greenstalk.Client(server.address, use=tube) as client:
            client.release(client.reserve_job(client.put("y", delay=60)))

            assert [each.attempt for each in await waiting] == [2]


async def test_alone_a_new_job_costs_no_second_question(server: BeanstalkdServer, open_queue: Opener) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"x")] * 3_000)
        asked_before = _asked(server)
        for _ in range(60):
            await acknowledge(queue, await take(queue, 50))

        assert _asked(server) - asked_before < 100


def _asked(server: BeanstalkdServer) -> int:
    with greenstalk.Client(server.address) as client:
        return int(client.stats()["cmd-stats-job"])


async def test_with_attempts_always_every_job_is_looked_at(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue(attempts="always") as queue:
        for n in range(200):
            stranger.put(b"x", priority=n)
        deliveries: list[Any] = await take(queue, 200)

    assert [each.envelope.priority for each in deliveries] == list(range(200))
    assert all(each.envelope.published_at for each in deliveries)


async def test_nothing_is_said_while_nothing_happens(server: BeanstalkdServer, open_queue: Opener) -> None:
    async with open_queue() as queue, asyncio.TaskGroup() as group:
        group.create_task(queue.receive(1, WAIT))
        await asyncio.sleep(0.2)
        before = _commands(server)
        await asyncio.sleep(1)
        after = _commands(server)
        queue.interrupt()

    assert after - before == 1, "only our own look"


def _commands(server: BeanstalkdServer) -> int:
    with greenstalk.Client(server.address) as client:
        stats = client.stats()
    return sum(value for name, value in stats.items() if name.startswith("cmd-") and isinstance(value, int))


async def test_waits_that_end_while_jobs_come_in_lose_none(open_queue: Opener) -> None:
    """A job that is handed out at the very end of a wait goes back by itself."""
    handled: list[bytes] = []
    async with open_queue() as queue, open_queue() as producer, asyncio.TaskGroup() as group:

        async def produce() -> None:
            for n in range(300):
                await producer.publish([Envelope(body=b"%d" % n)])
                await asyncio.sleep(0.002)

        producing = group.create_task(produce())
        while not producing.done() or len(set(handled)) < 300:
            for each in await queue.receive(10, timedelta(milliseconds=3)):
                handled.append(each.envelope.body)
                await acknowledge(queue, [each])

    assert sorted(handled, key=int) == [b"%d" % n for n in range(300)]


async def test_a_connection_that_owes_an_answer_is_not_closed(open_queue: Opener, stranger: Stranger) -> None:
    """Its last job is acknowledged, so nothing is in hand; but whether that went well is still on its way."""
    async with open_queue() as queue:
        deliveries = await _caught_one_by_one(queue, stranger, 6)
        async with asyncio.TaskGroup() as group:
            settling = [group.create_task(queue.settle([Settling(each, Ack())])) for each in deliveries]
            group.create_task(queue.receive(1, timedelta(milliseconds=20)))

        assert [each.result() for each in settling] == [[None]] * 6


async def _caught_one_by_one(queue: Queue, stranger: Stranger, number: int) -> list[Delivery]:
    """Deliveries each of which was waited for, so that each is on a connection of its own."""
    caught: list[Delivery] = []
    for n in range(number):
        waiting = asyncio.ensure_future(queue.receive(10, WAIT))
        await asyncio.sleep(0.01)
        stranger.put(b"%d" % n)
        caught += await waiting
    return caught


async def test_a_cancelled_wait_leaves_the_settlement_before_it_alone(open_queue: Opener) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"x")])
        (delivery,) = await take(queue)
        settling = asyncio.ensure_future(queue.settle([Settling(delivery, Ack())]))
        waiting = asyncio.ensure_future(queue.receive(1, WAIT))
        await asyncio.sleep(0)
        waiting.cancel()

        assert await settling == [None]
