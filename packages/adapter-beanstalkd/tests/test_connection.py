"""Answers that are late, cut, missing or wrong, from a stand-in that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from operator import methodcaller
from typing import Any

import pytest

from pulpo_adapter_beanstalkd.connection import Address, Connection
from pulpo_adapter_beanstalkd.pipeline import RESERVE_NOW
from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Delivery,
    Envelope,
    LeaseLost,
    MessageTooLarge,
    Queue,
    Release,
    Retry,
    Settlement,
    Settling,
    Unavailable,
)

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Impostor = Any

SECOND = timedelta(seconds=1)
HANG_UP = [b"(hang up)"]
NO_ANSWER = {b"delete": HANG_UP, b"release": HANG_UP, b"bury": HANG_UP}


async def publish(queue: Queue, body: bytes = b"x") -> str | AdapterError:
    """Publish one envelope."""
    (answer,) = await queue.publish([Envelope(body=body)])
    return answer


async def take(queue: Queue) -> Delivery:
    """Receive one delivery."""
    (delivery,) = await queue.receive(1, SECOND)
    return delivery


async def settle(queue: Queue, delivery: Delivery, settlement: Settlement) -> AdapterError | None:
    """Settle one delivery."""
    (error,) = await queue.settle([Settling(delivery, settlement)])
    return error


class Noting(asyncio.Transport):
    """A transport that keeps what is written to it, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        """There is nothing to abort."""


async def test_whoever_cannot_wait_takes_along_what_was_asked_before_in_one_write() -> None:
    connection, transport = Connection(Address(host="nowhere"), timeout=10), Noting()
    connection.connection_made(transport)

    connection.ask([methodcaller("delete", 7)])
    assert transport.writes == []
    connection.ask([RESERVE_NOW], at_once=True)
    assert transport.writes == [b"delete 7\r\nreserve-with-timeout 0\r\n"]

    await asyncio.sleep(0)
    assert len(transport.writes) == 1
    connection.end("done")


async def test_an_answer_that_comes_in_many_pieces_is_not_taken_for_silence() -> None:
    """A large body takes its time on a slow network; while it comes in, the connection is alive."""
    connection = Connection(Address(host="nowhere"), timeout=0.3)
    connection.connection_made(Noting())
    asked = connection.ask([RESERVE_NOW])
    for piece in (b"RESERVED 1 4\r\n", b"b", b"o", b"d", b"y", b"\r\n"):
        await asyncio.sleep(0.1)
        connection.data_received(piece)
    (job,) = await asked
    connection.end("done")

    assert job.body == b"body"


@pytest.mark.parametrize(
    ("answer", "kind", "temporary", "in_doubt"),
    [
        pytest.param(b"JOB_TOO_BIG", MessageTooLarge, False, False, id="too big"),
        pytest.param(b"DRAINING", Unavailable, True, False, id="draining"),
        pytest.param(b"OUT_OF_MEMORY", Unavailable, True, False, id="no room"),
        pytest.param(b"INTERNAL_ERROR", Unavailable, True, True, id="failed inside"),
        pytest.param(b"BURIED 7", Unavailable, True, True, id="stored, but buried"),
        pytest.param(b"EXPECTED_CRLF", AdapterError, False, False, id="misunderstood"),
        pytest.param(b"BAD_FORMAT", AdapterError, False, False, id="not understood"),
    ],
)
async def test_every_refusal_of_a_job_has_its_error(
    impostor: Impostor, opened: Opener, answer: bytes, kind: type[AdapterError], temporary: bool, in_doubt: bool
) -> None:
    async with impostor({b"put": [answer + b"\r\n"]}) as broker, opened(broker.url()) as queue:
        error = await publish(queue)

    assert type(error) is kind
    assert (error.temporary, error.in_doubt) == (temporary, in_doubt)


async def test_a_refused_job_leaves_its_neighbours_alone(impostor: Impostor, opened: Opener) -> None:
    answers = [b"INSERTED 1\r\n", b"JOB_TOO_BIG\r\n", b"INSERTED 2\r\n"]
    async with impostor({b"put": answers}) as broker, opened(broker.url()) as queue:
        first, second, third = await queue.publish([Envelope(body=b"x")] * 3)

    assert (first, third) == ("1", "2")
    assert isinstance(second, MessageTooLarge)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"INSERT", id="half an answer"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", id="rubbish"),
        pytest.param(b"DELETED\r\n", id="an answer to something else"),
        pytest.param(None, id="silence"),
        pytest.param(b"(hang up)", id="a hang-up"),
    ],
)
async def test_a_publish_without_an_answer_is_in_doubt_and_is_not_repeated(
    impostor: Impostor, opened: Opener, answer: bytes | None
) -> None:
    async with impostor({b"put": [answer, b"INSERTED 2\r\n"]}) as broker, opened(broker.url(timeout="300ms")) as queue:
        error = await publish(queue)
        puts = [line for line in broker.heard if line.startswith(b"put")]

        assert isinstance(error, Unavailable)
        assert error.in_doubt
        assert "\n" not in str(error)
        assert len(puts) == 1
        assert await publish(queue) == "2", "the next call has a new connection"


async def test_all_that_waited_on_a_lost_connection_is_told(impostor: Impostor, opened: Opener) -> None:
    answers = [b"INSERTED 1\r\n", b"(hang up)"]
    async with impostor({b"put": answers}) as broker, opened(broker.url()) as queue:
        results = await queue.publish([Envelope(body=b"x")] * 3)

    assert results[0] == "1"
    assert [getattr(result, "in_doubt", None) for result in results[1:]] == [True, True]


@pytest.mark.parametrize("answer", [b"OUT_OF_MEMORY", b"INTERNAL_ERROR"])
async def test_a_broker_that_cannot_tell_anything_now_may_do_so_later(
    impostor: Impostor, opened: Opener, answer: bytes
) -> None:
    async with impostor({b"stats": [answer + b"\r\n"]}) as broker:
        with pytest.raises(Unavailable, match="beanstalkd"):
            async with opened(broker.url()):
                pass


async def test_what_is_no_beanstalkd_is_told_in_one_line(impostor: Impostor, opened: Opener) -> None:
    async with impostor({b"use": [b"SSH-2.0-OpenSSH_9.2\r\n"]}) as broker:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ answered something that is not beanstalkd's protocol"):
            async with opened(broker.url()):
                pass


async def test_a_connection_that_says_something_unasked_is_not_used_again(impostor: Impostor, opened: Opener) -> None:
    answers = [b"INSERTED 1\r\nINSERTED 2\r\n", b"INSERTED 3\r\n"]
    async with impostor({b"put": answers}) as broker, opened(broker.url()) as queue:
        first = await publish(queue)

        assert isinstance(first, str) or first.in_doubt
        assert await publish(queue) == "3"


@pytest.mark.parametrize(
    "settlement", [Ack(), Retry(SECOND), Release(), Bury("bad")], ids=lambda each: type(each).__name__
)
async def test_a_settlement_without_an_answer_is_in_doubt_and_then_lost(
    impostor: Impostor, opened: Opener, settlement: Settlement
) -> None:
    async with impostor(NO_ANSWER) as broker, opened(broker.url()) as queue:
        delivery = await take(queue)
        error = await settle(queue, delivery, settlement)
        said = len(broker.heard)
        again = await settle(queue, delivery, settlement)

        assert isinstance(error, Unavailable)
        assert error.in_doubt
        assert isinstance(again, LeaseLost)
        assert len(broker.heard) == said, "nothing is said for it on another connection"


@pytest.mark.parametrize(
    ("command", "answer", "settlement"),
    [
        pytest.param(b"bury", b"INTERNAL_ERROR", Bury("bad"), id="a burial that cannot be logged"),
        pytest.param(b"release", b"OUT_OF_MEMORY", Retry(SECOND), id="a retry that cannot be logged"),
        pytest.param(b"delete", b"INTERNAL_ERROR", Ack(), id="a delete that fails"),
        pytest.param(b"release", b"BURIED", Release(), id="a release for which there is no memory"),
    ],
)
async def test_an_answer_that_leaves_the_job_to_nobody_is_in_doubt(
    impostor: Impostor, opened: Opener, command: bytes, answer: bytes, settlement: Settlement
) -> None:
    async with impostor({command: [answer + b"\r\n"]}) as broker, opened(broker.url()) as queue:
        delivery = await take(queue)
        error = await settle(queue, delivery, settlement)
        (extended,) = await queue.extend([delivery])

        assert isinstance(error, Unavailable)
        assert error.in_doubt
        assert isinstance(extended, LeaseLost)


async def test_after_a_betrayal_the_connection_is_given_up(impostor: Impostor, opened: Opener) -> None:
    jobs = [b"RESERVED 1 1\r\nx\r\n", b"RESERVED 2 1\r\nx\r\n", b"TIMED_OUT\r\n"]
    answers = {b"reserve": jobs, b"bury": [b"INTERNAL_ERROR\r\n"]}
    async with impostor(answers) as broker, opened(broker.url()) as queue:
        one, two = await queue.receive(2, timedelta())
        await settle(queue, one, Bury("bad"))

        assert isinstance(await settle(queue, two, Ack()), LeaseLost)
        assert b"delete 2" not in broker.heard


async def test_an_extension_without_an_answer_is_a_lost_lease(impostor: Impostor, opened: Opener) -> None:
    async with impostor({b"touch": [None]}) as broker, opened(broker.url(timeout="200ms")) as queue:
        (answer,) = await queue.extend([await take(queue)])

    assert isinstance(answer, LeaseLost)


async def test_a_receive_without_an_answer_ends(impostor: Impostor, opened: Opener) -> None:
    async with impostor({b"reserve": [None]}) as broker, opened(broker.url(timeout="200ms")) as queue:
        with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
            await queue.receive(1, timedelta())
        with pytest.raises(Unavailable):
            await queue.receive(1, timedelta(milliseconds=50))


async def test_after_a_long_wait_an_answer_is_missed_as_soon_as_before_it(impostor: Impostor, opened: Opener) -> None:
    """The patience with a reserve that waits is for that reserve alone."""
    answers = {b"delete": [b"DELETED\r\n", None]}
    async with impostor(answers) as broker, opened(broker.url(timeout="200ms")) as queue:
        await settle(queue, await take(queue), Ack())
        await asyncio.sleep(0.3)
        (delivery,) = await queue.receive(1, 20 * SECOND)
        async with asyncio.timeout(2):
            error = await settle(queue, delivery, Ack())

    assert isinstance(error, Unavailable)
    assert error.in_doubt


async def test_the_end_of_a_wait_does_not_hurry_the_settlement_before_it(impostor: Impostor, opened: Opener) -> None:
    """A connection that has waited long enough is half-closed; what else it owes may take its time."""
    async with impostor({}) as broker, opened(broker.url()) as queue:
        delivery = await take(queue)
        broker.pause = 1.5
        settling = asyncio.ensure_future(settle(queue, delivery, Ack()))
        await asyncio.sleep(0)

        assert not await queue.receive(1, timedelta(milliseconds=100))
        assert await settling is None


async def test_a_loop_that_is_kept_from_sending_does_not_take_that_for_silence(
    impostor: Impostor, opened: Opener
) -> None:
    """A handler that blocks the loop for longer than the timeout is no reason to leave a publish in doubt."""
    async with impostor({}) as broker, opened(broker.url(timeout="100ms")) as queue:
        publishing = asyncio.ensure_future(publish(queue))
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251 - that is the point

        assert await publishing == "1"


async def test_a_connection_that_answers_now_and_then_is_alive(impostor: Impostor, opened: Opener) -> None:
    """The timeout is about answers: a hundred jobs may take longer than one may."""
    async with impostor({}) as broker, opened(broker.url(timeout="300ms")) as queue:
        broker.pause = 0.1
        results = await queue.publish([Envelope(body=b"x")] * 6)

    assert results == ["1"] * 6


async def test_a_bury_whose_record_cannot_be_stored_is_not_done(impostor: Impostor, opened: Opener) -> None:
    async with impostor({b"put": [b"DRAINING\r\n"]}) as broker, opened(broker.url()) as queue:
        delivery = await take(queue)
        error = await settle(queue, delivery, Bury("bad"))

        assert error is not None
        assert error.temporary
        assert not error.in_doubt
        assert not any(line.startswith(b"bury") for line in broker.heard)
        assert await settle(queue, delivery, Release()) is None, "it is still ours"


async def test_a_record_that_is_too_large_for_the_broker_does_not_keep_a_job_from_its_grave(
    impostor: Impostor, opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    async with impostor({b"put": [b"JOB_TOO_BIG\r\n"]}) as broker, opened(broker.url()) as queue:
        assert await settle(queue, await take(queue), Bury("bad")) is None

    assert "without a record" in caplog.text


async def test_closing_twice_and_using_a_closed_queue(impostor: Impostor, opened: Opener) -> None:
    async with impostor({}) as broker:
        async with opened(broker.url()) as queue:
            delivery = await take(queue)
        with pytest.raises(AdapterError, match="closed"):
            await queue.publish([Envelope(body=b"x")])
        with pytest.raises(AdapterError, match="closed"):
            await queue.receive(1, timedelta())

        assert isinstance(await settle(queue, delivery, Ack()), LeaseLost)
