"""Publishing: an id only for what is stored, every error in its place, nothing in doubt repeated."""

import asyncio
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from pulpo_core import (
    DEFAULT_PRIORITY,
    AdapterError,
    AnyJson,
    ConfigurationError,
    InvalidMessage,
    InvalidURL,
    Message,
    MessageTooLarge,
    PlainText,
    Unavailable,
    Unsupported,
    open_publisher,
)
from pulpo_core.testing import START, LoopClock, SeededJitter, virtual_time

from .fakes import FaultyAdapter, counts, failing, fresh_url, opened, refusing, stored, unavailable


@asynccontextmanager
async def publisher_to(url, **options):
    async with open_publisher(url, clock=LoopClock(), jitter=SeededJitter(7), **options) as publisher:
        yield publisher


@virtual_time
async def test_the_message_comes_back_with_its_id_its_uid_and_moments_instead_of_spans():
    url = fresh_url()
    async with publisher_to(url) as publisher:
        sent = await publisher.publish(Message(request_type="job", delay=60, expiration=timedelta(hours=1)))

    assert sent.id
    assert uuid.UUID(sent.uid).version == 7
    assert sent.delay == START + timedelta(seconds=60)
    assert sent.expiration == START + timedelta(hours=1)
    assert sent.header["published_at"] == START.isoformat()


@virtual_time
async def test_what_was_published_is_what_is_received():
    url = fresh_url()
    message = Message(request_type="job", body={"payload": 0, "more": [1, None]}, priority=5, header={"tenant": "t"})
    async with publisher_to(url) as publisher:
        sent = await publisher.publish(message)

    [got] = await stored(url)
    assert (got.request_type, got.body, got.priority) == ("job", message.body, 5)
    assert {**got.header} == {"tenant": "t", "uid": sent.uid, "published_at": START.isoformat()}


@virtual_time
async def test_a_uid_that_the_message_brings_is_kept():
    async with publisher_to(fresh_url()) as publisher:
        sent = await publisher.publish(Message(header={"uid": "mine"}))

    assert sent.uid == "mine"


@virtual_time
async def test_uids_are_in_the_order_of_publishing():
    url = fresh_url()
    async with publisher_to(url) as publisher:
        uids = []
        for _ in range(50):
            uids.append((await publisher.publish(Message())).uid)
            await asyncio.sleep(0.001)

    assert uids == sorted(uids)
    assert len(set(uids)) == 50


@virtual_time
async def test_every_message_of_a_batch_has_its_answer_in_its_place():
    url = fresh_url("?max_body=1000")
    messages = [
        Message(request_type="a"),
        Message(body={"bad": object()}),
        Message(request_type="b"),
        Message(body={"large": "x" * 2_000}),
        "no message at all",
        Message(request_type="c"),
    ]
    async with publisher_to(url) as publisher:
        answers = await publisher.publish_many(messages)

    assert [type(answer) for answer in answers] == [
        Message,
        InvalidMessage,
        Message,
        MessageTooLarge,
        InvalidMessage,
        Message,
    ]
    assert [answer.request_type for answer in answers if isinstance(answer, Message)] == ["a", "b", "c"]
    assert "body.bad" in str(answers[1])
    assert await counts(url) == {"ready": 3}


@virtual_time
async def test_errors_of_the_queue_are_in_their_places_too():
    adapter = FaultyAdapter(publish=refusing(unavailable(), times=1))
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        answers = await publisher.publish_many([Message(body={"bad": object()}), Message(), Message()])

    assert [type(answer) for answer in answers] == [InvalidMessage, Unavailable, Message]


@virtual_time
async def test_when_the_whole_call_fails_every_message_has_that_error():
    error = unavailable()
    async with publisher_to(fresh_url(), adapter=FaultyAdapter(publish=failing(error))) as publisher:
        answers = await publisher.publish_many([Message(), Message()])

    assert answers == [error, error]


@virtual_time
async def test_nothing_to_publish_asks_nobody():
    adapter = FaultyAdapter()
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        assert await publisher.publish_many([]) == []
        assert isinstance((await publisher.publish_many(["no message"]))[0], InvalidMessage)

    assert adapter.calls == []


@virtual_time
async def test_a_single_error_is_raised():
    async with publisher_to(fresh_url()) as publisher:
        with pytest.raises(InvalidMessage, match=r"body\.a\[0\]"):
            await publisher.publish(Message(body={"a": [object()]}))


LIMITS = {
    "a delay": ({"max_delay": timedelta(minutes=15)}, Message(delay=901), Unsupported, "delay of .* up to 0:15:00"),
    "a priority": ({"priority": False}, Message(priority=1), Unsupported, "priority 1: this queue knows no priority"),
    "a size": ({"max_body_bytes": 100}, Message(body={"a": "x" * 100}), MessageTooLarge, "bytes; .* up to 100"),
}


@pytest.mark.parametrize(("changes", "message", "error", "text"), LIMITS.values(), ids=LIMITS)
@virtual_time
async def test_what_the_queue_cannot_do_is_refused_before_it_is_sent(changes, message, error, text):
    adapter = FaultyAdapter(changes)
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        with pytest.raises(error, match=text):
            await publisher.publish(message)

    assert "publish" not in adapter.calls


@virtual_time
async def test_what_the_queue_can_just_do_is_sent():
    adapter = FaultyAdapter({"max_delay": timedelta(minutes=15), "priority": False})
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        assert publisher.capabilities.max_delay == timedelta(minutes=15)
        await publisher.publish(Message(delay=900, priority=DEFAULT_PRIORITY))
        await publisher.publish(Message(delay=START - timedelta(days=1)))


# Trying again


@virtual_time
async def test_without_retry_for_there_is_one_attempt():
    adapter = FaultyAdapter(publish=failing(unavailable()))
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(Message())

    assert adapter.calls.count("publish") == 1


@virtual_time
async def test_for_as_long_as_asked_what_is_certainly_not_stored_is_tried_again_with_pauses():
    url, times = fresh_url(), []

    async def publish(method, batch):
        times.append(asyncio.get_running_loop().time())
        if len(times) < 6:
            raise unavailable()
        return await method(batch)

    async with publisher_to(url, adapter=FaultyAdapter(publish=publish)) as publisher:
        await publisher.publish(Message(), retry_for=timedelta(minutes=1))

    assert len(times) == 6
    assert 0.05 <= times[1] - times[0] <= 0.1
    assert times[-1] - times[0] <= 60
    assert await counts(url) == {"ready": 1}


@virtual_time
async def test_the_time_for_trying_again_ends():
    adapter = FaultyAdapter(publish=failing(unavailable()))
    began = asyncio.get_running_loop().time()
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(Message(), retry_for=10)

    assert 5 <= asyncio.get_running_loop().time() - began <= 10
    assert adapter.calls.count("publish") > 3


@virtual_time
async def test_only_what_failed_is_tried_again():
    url, sizes = fresh_url(), []

    async def publish(method, batch):
        sizes.append(len(batch))
        return await refuse(method, batch)

    refuse = refusing(unavailable(), times=2)
    async with publisher_to(url, adapter=FaultyAdapter(publish=publish)) as publisher:
        answers = await publisher.publish_many([Message(request_type=str(n)) for n in range(5)], retry_for=5)

    assert sizes == [5, 2]
    assert [answer.request_type for answer in answers] == ["0", "1", "2", "3", "4"]
    assert len({answer.id for answer in answers}) == 5
    assert await counts(url) == {"ready": 5}


@pytest.mark.parametrize(
    "error", [Unavailable("no answer", in_doubt=True), AdapterError("for good"), MessageTooLarge("too large")]
)
@pytest.mark.parametrize("whole", [True, False])
@virtual_time
async def test_what_is_in_doubt_or_refused_for_good_is_never_repeated(error, whole):
    adapter = FaultyAdapter(publish=failing(error) if whole else refusing(error))
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        with pytest.raises(type(error)) as caught:
            await publisher.publish(Message(), retry_for=60)

    assert caught.value is error
    assert adapter.calls.count("publish") == 1


@virtual_time
async def test_what_comes_into_doubt_at_a_later_attempt_is_left_alone_from_then_on():
    errors = [unavailable(), Unavailable("no answer", in_doubt=True)]

    async def publish(method, batch):
        raise errors.pop(0)

    async with publisher_to(fresh_url(), adapter=FaultyAdapter(publish=publish)) as publisher:
        with pytest.raises(Unavailable) as caught:
            await publisher.publish(Message(), retry_for=60)

    assert caught.value.in_doubt


@pytest.mark.parametrize("retry_for", [-1, "5", None])
@virtual_time
async def test_the_time_for_trying_again_is_a_time_span(retry_for):
    adapter = FaultyAdapter()
    async with publisher_to(fresh_url(), adapter=adapter) as publisher:
        with pytest.raises(ConfigurationError, match="retry_for"):
            await publisher.publish(Message(), retry_for=retry_for)

    assert adapter.calls == []


# Formats and middleware


@virtual_time
async def test_a_translator_decides_about_the_bytes():
    url = fresh_url()
    async with publisher_to(url, translator=AnyJson()) as publisher:
        await publisher.publish(Message(body={"a": 1}))
        await publisher.publish(Message(body={"payload": [1]}))
    async with publisher_to(url, translator=PlainText()) as publisher:
        await publisher.publish(Message(body={"payload": "text"}))
        with pytest.raises(InvalidMessage, match="payload"):
            await publisher.publish(Message(body={"payload": 1}))
    async with opened(url) as queue:
        bodies = [each.envelope.body for each in await queue.receive(10, timedelta())]

    assert bodies == [b'{"a":1}', b"[1]", b"text"]


@virtual_time
async def test_middleware_sees_every_message_before_it_is_encoded_and_in_order():
    url, seen = fresh_url(), []

    def first(message):
        seen.append(("first", message.uid is not None))
        return message.with_header(trail="first")

    def second(message):
        seen.append(("second", message.header["trail"]))
        return message.with_header(trail="second")

    async with publisher_to(url, middleware=[first, second]) as publisher:
        sent = await publisher.publish(Message())

    assert seen == [("first", True), ("second", "first")]
    assert sent.header["trail"] == "second"
    assert (await stored(url))[0].header["trail"] == "second"


@virtual_time
async def test_middleware_that_returns_no_message_is_told_by_its_name():
    def forgetful(message):
        message.with_header(a=1)

    async with publisher_to(fresh_url(), middleware=[forgetful]) as publisher:
        with pytest.raises(ConfigurationError, match=r"forgetful returns NoneType, not the Message"):
            await publisher.publish(Message())


# Opening


@virtual_time
async def test_a_wrong_url_is_told_when_it_is_opened():
    with pytest.raises(InvalidURL, match="colour"):
        async with publisher_to("memory://x?colour=red"):
            raise AssertionError


@virtual_time
async def test_any_number_of_tasks_may_publish_at_once():
    url = fresh_url()
    async with publisher_to(url) as publisher, asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(publisher.publish(Message()))

    assert await counts(url) == {"ready": 50}
