"""Looking at a tube and repairing it, beside other tools and other tubes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import greenstalk
import pytest

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Delivery,
    Envelope,
    MessageNotFound,
    Peek,
    Queue,
    Release,
    Retry,
    Settlement,
    Settling,
    State,
    Unsupported,
)
from tests.servers import BeanstalkdServer

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Stranger = greenstalk.Client[bytes]

WAIT = timedelta(seconds=10)
SECOND = timedelta(seconds=1)


async def bury(queue: Queue, body: bytes, reason: str = "bad", error: str = "") -> str:
    """Publish, receive and bury one envelope; its id."""
    await queue.publish([Envelope(body=body)])
    return await bury_next(queue, reason, error)


async def bury_next(queue: Queue, reason: str = "bad", error: str = "") -> str:
    """Receive one delivery and bury it; its id."""
    (delivery,) = await queue.receive(1, WAIT)
    assert await queue.settle([Settling(delivery, Bury(reason, error))]) == [None]
    return delivery.id


async def bury_all(queue: Queue, number: int) -> set[int]:
    """Receive and bury *number* deliveries, ten at a time; the attempts they were."""
    attempts: set[int] = set()
    for _ in range(number // 10):
        deliveries: list[Delivery] = []
        while len(deliveries) < 10:
            deliveries += await queue.receive(10 - len(deliveries), WAIT)
        assert not any(await queue.settle([Settling(each, Bury("bad")) for each in deliveries]))
        attempts |= {each.attempt for each in deliveries}
    return attempts


def _reserved(server: BeanstalkdServer) -> int:
    with greenstalk.Client(server.address) as client:
        return int(client.stats()["cmd-reserve-with-timeout"])


def records(stranger: Stranger, tube: str) -> int:
    """How many records there are."""
    try:
        stats = stranger.stats_tube(f"{tube}.buried")
    except greenstalk.NotFoundError:
        return 0
    return stats["current-jobs-ready"] + stats["current-jobs-reserved"]


class TestOtherTubes:
    """Jobs of other tubes on the same server are none of our business."""

    async def test_they_are_neither_seen_nor_touched(self, server: BeanstalkdServer, open_queue: Opener) -> None:
        with greenstalk.Client(server.address, encoding=None, use="elsewhere", watch="elsewhere") as other:
            ready, buried = other.put(b"x", priority=5), other.put(b"y", priority=1)
            other.bury(other.reserve())
            async with open_queue() as queue:
                assert await queue.peek(Peek.ID, str(ready)) is None
                assert isinstance((await queue.delete([str(ready)]))[0], MessageNotFound)
                with pytest.raises(MessageNotFound):
                    await queue.kick([str(buried)])
                assert await queue.kick() == 0
                assert await queue.purge(frozenset({State.READY, State.BURIED})) == 0
            assert other.stats_job(ready)["state"] == "ready"
            assert other.stats_job(buried)["state"] == "buried"


class TestBuried:
    """Why and when jobs were buried."""

    async def test_a_burial_is_remembered_in_full(self, open_queue: Opener) -> None:
        async with open_queue() as queue:
            await queue.publish([Envelope(body=b"x", priority=3)])
            (first,) = await queue.receive(1, WAIT)
            await queue.settle([Settling(first, Retry(SECOND))])
            job = await bury_next(queue, "attempts-exhausted", "ValueError: no")
            (record,) = (await queue.buried()).records

        assert (record.id, record.state, record.envelope.body) == (job, State.BURIED, b"x")
        assert (record.reason, record.error, record.attempts) == ("attempts-exhausted", "ValueError: no", 2)
        assert record.envelope.priority == 3
        assert record.buried_at is not None

    async def test_peeking_tells_the_reason_too(self, open_queue: Opener) -> None:
        async with open_queue() as queue:
            job = await bury(queue, b"x", "fatal")
            by_state, by_id = await queue.peek(Peek.BURIED), await queue.peek(Peek.ID, job)

        assert by_state is not None
        assert by_id is not None
        assert (by_state.id, by_state.reason) == (by_id.id, by_id.reason) == (job, "fatal")

    async def test_every_beanstalkd_tool_sees_it(self, open_queue: Opener, stranger: Stranger, tube: str) -> None:
        async with open_queue() as queue:
            job = await bury(queue, b"x")

        assert stranger.peek_buried().id == int(job)
        assert stranger.stats_tube(tube)["current-jobs-buried"] == 1

    async def test_the_oldest_burial_comes_first(self, open_queue: Opener) -> None:
        async with open_queue() as queue:
            jobs = [await bury(queue, b"x") for _ in range(5)]
            page, two = await queue.buried(), await queue.buried(limit=2)

        assert [record.id for record in page.records] == jobs
        assert not page.partial
        assert [record.id for record in two.records] == jobs[:2]
        assert two.partial

    async def test_what_others_buried_is_counted_and_the_first_is_shown(
        self, open_queue: Opener, stranger: Stranger
    ) -> None:
        jobs = [stranger.put(b"%d" % n) for n in range(3)]
        for _ in jobs:
            stranger.bury(stranger.reserve())
        async with open_queue() as queue:
            ours = await bury(queue, b"ours")
            page = await queue.buried()

        assert [record.id for record in page.records] == [str(jobs[0]), ours]
        assert page.records[0].reason is None
        assert page.partial
        assert "2 more buried jobs" in page.note

    async def test_a_long_error_is_cut_and_the_body_is_not_in_the_record(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as queue:
            await bury(queue, b"correct horse" * 5_000, "bad", "e" * 100_000)
            stranger.use(f"{tube}.buried")

            assert b"horse" not in stranger.peek_ready().body
            assert len((await queue.buried()).records[0].error or "") == 2_000

    async def test_a_long_reason_is_cut_too(self, open_queue: Opener) -> None:
        async with open_queue() as queue:
            await bury(queue, b"x", "r" * 100_000)

            assert [record.reason for record in (await queue.buried()).records] == ["r" * 2_000]

    async def test_records_survive_the_reader_and_each_other(self, open_queue: Opener) -> None:
        """Reading holds all records for a moment: those who read at the same time wait for each other."""
        async with open_queue() as one, open_queue() as two, open_queue() as three:
            jobs = [await bury(one, b"x") for _ in range(20)]
            async with asyncio.TaskGroup() as group:
                readings = [group.create_task(queue.buried()) for queue in (one, two, three)]

        assert [[record.id for record in each.result().records] for each in readings] == [jobs] * 3

    async def test_records_held_by_somebody_else_are_told(
        self, server: BeanstalkdServer, tube: str, open_queue: Opener
    ) -> None:
        async with open_queue() as queue:
            await bury(queue, b"x")
            with greenstalk.Client(server.address, encoding=None, watch=f"{tube}.buried") as thief:
                thief.reserve()
                page = await queue.buried()

                assert page.partial
                assert "being read by others" in page.note
            assert not (await queue.buried()).partial

    async def test_what_is_over_the_limit_is_not_called_unrecorded(self, open_queue: Opener) -> None:
        async with open_queue() as queue:
            for _ in range(3):
                await bury(queue, b"x")
            page = await queue.buried(limit=2)

        assert (len(page.records), page.partial) == (2, True)
        assert page.note == "1 more buried jobs are not shown"

    async def test_what_is_no_record_is_left_alone(
        self, server: BeanstalkdServer, tube: str, open_queue: Opener
    ) -> None:
        with greenstalk.Client(server.address, encoding=None, use=f"{tube}.buried") as other:
            for body in (b"", b"hello", b"{}", b"[1]", b"\xff", b'{"pulpo": 1}', b'{"pulpo": 2, "job": 1}'):
                other.put(body)
            async with open_queue() as queue:
                job = await bury(queue, b"x")

                assert [record.id for record in (await queue.buried()).records] == [job]
            assert other.stats_tube(f"{tube}.buried")["current-jobs-ready"] == 8


class TestRecordsComeAndGo:
    """The life of a record: before the burial until nobody needs it."""

    async def test_a_kick_keeps_it_and_an_ack_removes_it(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as queue:
            await bury(queue, b"x")
            assert await queue.kick() == 1
            assert (await queue.buried()).records == []
            assert records(stranger, tube) == 1, "it says how much of the counters is from before"

            (delivery,) = await queue.receive(1, WAIT)
            await queue.settle([Settling(delivery, Ack())])
            assert records(stranger, tube) == 0

    async def test_a_second_burial_replaces_the_first_record(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as queue:
            await bury(queue, b"x", "once")
            await queue.kick()
            await bury_next(queue, "twice")
            page = await queue.buried()

        assert [record.reason for record in page.records] == ["twice"]
        assert records(stranger, tube) == 1

    async def test_what_was_deleted_by_another_tool_is_cleaned_up_by_a_look(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as queue:
            job = await bury(queue, b"x")
            stranger.delete(int(job))

            assert (await queue.buried()).records == []
            assert records(stranger, tube) == 0

    async def test_deleting_and_purging_remove_it(self, open_queue: Opener, stranger: Stranger, tube: str) -> None:
        async with open_queue() as queue:
            jobs = [await bury(queue, b"x") for _ in range(3)]
            assert await queue.delete(jobs[:1]) == [None]
            assert records(stranger, tube) == 2
            assert await queue.purge(frozenset({State.BURIED})) == 2
            assert records(stranger, tube) == 0

    async def test_a_job_that_could_not_be_deleted_keeps_it(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        """Without its record nobody would know that what it was tried before its kick does not count."""
        async with open_queue() as queue:
            job = await bury(queue, b"x")
            await queue.kick()
            (held,) = await queue.receive(1, WAIT)
            (refused,) = await queue.delete([job])

            assert refused is not None
            assert refused.temporary
            assert records(stranger, tube) == 1
            assert await queue.settle([Settling(held, Ack())]) == [None]
            assert records(stranger, tube) == 0

    async def test_a_job_is_deleted_even_if_its_record_cannot_be(self, impostor: Any, opened: Opener) -> None:
        buried = impostor.stats(id=1, tube="t", state="buried", buries=1, kicks=0)
        async with (
            impostor({b"stats-job": [buried], b"watch": [b"(hang up)"]}) as broker,
            opened(broker.url()) as queue,
        ):
            assert await queue.delete(["1"]) == [None]

    async def test_a_record_whose_job_was_never_buried_harms_nobody(
        self, server: BeanstalkdServer, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        """The record is put first: whoever dies between leaves a record of a job that lives."""
        async with open_queue() as queue:
            job = await bury(queue, b"x")
            stranger.kick_job(int(job))
            (delivery,) = await queue.receive(1, WAIT)
            await queue.settle([Settling(delivery, Release())])

            assert (await queue.buried()).records == []
            assert [each.attempt for each in await queue.receive(1, WAIT)] == [2]

    async def test_a_record_of_another_job_with_that_id_is_not_believed(
        self, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as queue:
            old = await bury(queue, b"x", "not this one")
            stranger.use(f"{tube}.buried")
            record = stranger.peek_ready()
            stranger.use(tube)
            (job,) = await queue.publish([Envelope(body=b"another")])
            stranger.use(f"{tube}.buried")
            stranger.put(record.body.replace(b'"job":', b'"job":%s,"was":' % job.encode()))
            stranger.use(tube)
            stranger.bury(stranger.reserve())
            stranger.delete(int(old))

            page = await queue.buried()
            assert {each.id: each.reason for each in page.records}[job] is None


class TestKicking:
    """A kicked job starts afresh."""

    @pytest.mark.parametrize("by", ["pulpo", "another tool"])
    async def test_its_attempts_begin_again(self, open_queue: Opener, stranger: Stranger, by: str) -> None:
        async with open_queue() as one, open_queue() as two:
            await one.publish([Envelope(body=b"x")])
            for _ in range(3):
                (delivery,) = await one.receive(1, WAIT)
                await one.settle([Settling(delivery, Release())])
            job = await bury_next(one)
            if by == "pulpo":
                await two.kick([job])
            else:
                stranger.kick(10)
            waiting = await two.peek(Peek.ID, job)
            (again,) = await two.receive(1, WAIT)

            assert waiting is not None
            assert waiting.attempts == 0
            assert (again.id, again.attempt, again.lost) == (job, 1, 0)

    async def test_attempts_are_known_again_when_the_records_can_be_read_again(
        self, server: BeanstalkdServer, open_queue: Opener, stranger: Stranger, tube: str
    ) -> None:
        async with open_queue() as one, open_queue() as two:
            await one.publish([Envelope(body=b"x")])
            for _ in range(3):
                (delivery,) = await one.receive(1, WAIT)
                await one.settle([Settling(delivery, Release())])
            await bury_next(one)
            await two.kick()
            with greenstalk.Client(server.address, encoding=None, watch=f"{tube}.buried") as thief:
                thief.reserve()
                (unsure,) = await two.receive(1, WAIT)
            await two.settle([Settling(unsure, Release())])
            (sure,) = await two.receive(1, WAIT)

        assert unsure.attempt > 2, "nobody could know better"
        assert sure.attempt == 2

    async def test_many_that_fail_again_are_not_looked_up_one_by_one(
        self, server: BeanstalkdServer, open_queue: Opener, tube: str
    ) -> None:
        """Reading all records after each new one took minutes for some thousand jobs."""
        async with open_queue() as queue:
            await queue.publish([Envelope(body=b"x")] * 300)
            await bury_all(queue, 300)
            await queue.kick()
            before = _reserved(server)
            attempts = await bury_all(queue, 300)

            assert attempts == {1}
            assert _reserved(server) - before < 3 * 300

    async def test_what_somebody_else_kicks_meanwhile_is_not_counted(self, impostor: Any, opened: Opener) -> None:
        answers = {
            b"stats-tube": [impostor.stats(current_jobs_buried=3, current_jobs_delayed=1)],
            b"peek-buried": [b"FOUND 1 1\r\nx\r\n", b"FOUND 2 1\r\nx\r\n", b"NOT_FOUND\r\n"],
            b"kick-job": [b"NOT_FOUND\r\n", b"KICKED\r\n"],
        }
        async with impostor(answers) as broker, opened(broker.url()) as queue:
            assert await queue.kick() == 1

    async def test_delayed_jobs_are_not_kicked_in_their_stead(self, open_queue: Opener, stranger: Stranger) -> None:
        """beanstalkd's own kick takes delayed jobs when none is buried."""
        delayed = stranger.put(b"later", delay=60)
        async with open_queue() as queue:
            assert await queue.kick() == 0
            await bury(queue, b"x")
            assert await queue.kick(limit=10) == 1
            assert await queue.kick() == 0

        assert stranger.stats_job(delayed)["state"] == "delayed"

    @pytest.mark.parametrize("delayed", [False, True])
    async def test_the_oldest_are_kicked_first_up_to_the_limit(
        self, open_queue: Opener, stranger: Stranger, delayed: bool
    ) -> None:
        if delayed:
            stranger.put(b"later", delay=60)
        async with open_queue() as queue:
            jobs = [await bury(queue, b"x") for _ in range(5)]
            assert await queue.kick(limit=2) == 2
            assert [record.id for record in (await queue.buried()).records] == jobs[2:]
            assert await queue.kick(limit=0) == 0
            assert await queue.kick() == 3

    async def test_one_that_is_not_buried_kicks_none(self, open_queue: Opener, stranger: Stranger) -> None:
        ready = str(stranger.put(b"x", priority=99_999))
        async with open_queue() as queue:
            job = await bury(queue, b"y")
            for wrong in (ready, "999999", "not-a-number"):
                with pytest.raises(MessageNotFound, match="nothing was kicked"):
                    await queue.kick([job, wrong])
            assert (await queue.stats()).buried == 1
            assert await queue.kick([job, job]) == 1


async def test_deleting_answers_for_each(open_queue: Opener, stranger: Stranger) -> None:
    ready, held = stranger.put(b"x", priority=9), stranger.put(b"y", priority=1)
    stranger.reserve()
    async with open_queue() as queue:
        answers = await queue.delete([str(ready), str(held), "999999", "x", str(ready)])

    assert answers[0] is None
    assert isinstance(answers[1], AdapterError)
    assert answers[1].temporary
    assert [type(answer) for answer in answers[2:]] == [MessageNotFound] * 3


async def test_purging_empties_only_what_was_named(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue() as queue:
        for n in range(700):
            stranger.put(b"%d" % n, delay=60 if n % 2 else 0)
        assert await queue.purge(frozenset({State.DELAYED})) == 350
        stats = await queue.stats()
        assert (stats.ready, stats.delayed) == (350, 0)
        with pytest.raises(Unsupported, match="buried, delayed, ready"):
            await queue.purge(frozenset({State.READY, State.RESERVED}))
        assert await queue.purge(frozenset({State.READY})) == 350


async def test_pausing_is_for_everybody_and_for_a_time(open_queue: Opener, stranger: Stranger) -> None:
    stranger.put(b"x")
    async with open_queue() as queue:
        await queue.pause()
        assert (await queue.stats()).paused
        with pytest.raises(greenstalk.TimedOutError):
            stranger.reserve(timeout=0)
        await queue.resume()
        await queue.resume()
        assert not (await queue.stats()).paused
        assert stranger.reserve(timeout=0).body == b"x"


@pytest.mark.parametrize("empty", [True, False])
async def test_a_pause_lasts_while_there_is_something_to_pause(
    server: BeanstalkdServer, tube: str, open_queue: Opener, empty: bool
) -> None:
    """beanstalkd forgets a tube in which nothing is and to which nobody is connected."""
    async with open_queue() as queue:
        if not empty:
            await queue.publish([Envelope(body=b"x")])
        await queue.pause(timedelta(seconds=60))
        assert (await queue.stats()).paused
    with greenstalk.Client(server.address) as client:
        for _ in range(100):  # beanstalkd has yet to notice that we are gone
            if not empty or tube not in client.tubes():
                break
            await asyncio.sleep(0.02)
    async with open_queue() as queue:
        assert (await queue.stats()).paused is not empty


async def test_a_delayed_job_tells_when_it_is_ready(open_queue: Opener) -> None:
    async with open_queue() as queue:
        await queue.publish([Envelope(body=b"x")])
        (delivery,) = await queue.receive(1, WAIT)
        await queue.settle([Settling(delivery, Retry(30 * SECOND))])
        record = await queue.peek(Peek.DELAYED)

    assert record is not None
    assert record.ready_at is not None
    assert record.envelope.published_at is not None
    assert 28 * SECOND <= record.ready_at - record.envelope.published_at <= 33 * SECOND
    assert record.attempts == 1


@pytest.mark.parametrize("settlement", [Ack(), Retry(SECOND), Release()], ids=repr)
async def test_an_empty_tube_can_be_looked_at(open_queue: Opener, settlement: Settlement) -> None:
    async with open_queue() as queue:
        stats = await queue.stats()

        assert (stats.ready, stats.delayed, stats.reserved, stats.buried, stats.oldest_age) == (0, 0, 0, 0, None)
        assert await queue.peek(Peek.READY) is None
        assert (await queue.buried()).records == []
        assert await queue.kick() == 0
        assert await queue.purge(frozenset({State.READY})) == 0
