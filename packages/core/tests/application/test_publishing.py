"""Publishing: an id only for what is stored, every error in its place, nothing in doubt repeated."""

import asyncio
import os
import signal
import threading
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

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
    PulpoError,
    Unavailable,
    Unsupported,
    open_publisher,
    open_publisher_sync,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
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


# Without await, in real time


def ready(url: str) -> int | None:
    async def look():
        async with open_queue(url) as queue:
            return (await queue.stats()).ready

    return asyncio.run(look())


def test_synchronous_code_publishes_as_well():
    url = fresh_url()
    with open_publisher_sync(url) as publisher:
        sent = publisher.publish(Message(request_type="job"), retry_for=1)
        answers = publisher.publish_many((Message(), Message(body={"bad": object()})), retry_for=1)

    assert sent.id
    assert sent.header["published_at"] <= datetime.now(UTC).isoformat()
    assert [type(answer) for answer in answers] == [Message, InvalidMessage]
    assert ready(url) == 2


def test_synchronous_code_has_errors_raised():
    with open_publisher_sync(fresh_url()) as publisher, pytest.raises(InvalidMessage, match="bad"):
        publisher.publish(Message(body={"bad": object()}))


def test_any_number_of_threads_may_publish_at_once():
    url, ids = fresh_url(), []
    with open_publisher_sync(url) as publisher:

        def work():
            for _ in range(20):
                ids.append(publisher.publish(Message()).id)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(set(ids)) == 160
    assert ready(url) == 160


def test_it_works_inside_somebody_else_s_event_loop_too():
    async def main():
        with open_publisher_sync(fresh_url()) as publisher:
            return publisher.publish(Message())

    assert asyncio.run(main()).id


@pytest.mark.parametrize("url", ["memory://x?colour=red", "nonsense://x", "nonsense"])
def test_a_wrong_url_is_told_and_leaves_no_thread(url):
    with pytest.raises(ConfigurationError), open_publisher_sync(url):
        raise AssertionError

    assert not [thread for thread in threading.enumerate() if thread.name == "pulpo-publisher" and thread.is_alive()]


def test_leaving_the_context_closes_the_queue_and_ends_the_thread():
    adapter = FaultyAdapter()
    with open_publisher_sync(fresh_url(), adapter=adapter):
        assert (adapter.opened, adapter.closed) == (1, 0)

    assert adapter.closed == 1
    assert "pulpo-publisher" not in {thread.name for thread in threading.enumerate()}


def test_leaving_it_by_an_error_closes_it_too():
    adapter = FaultyAdapter()
    with pytest.raises(KeyError), open_publisher_sync(fresh_url(), adapter=adapter):
        raise KeyError

    assert adapter.closed == 1


def test_a_queue_is_closed_in_the_task_that_opened_it():
    """Groups of tasks and timeouts of adapters must not be entered in one task and left in another."""
    tasks = []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            tasks.append(asyncio.current_task())
            async with asyncio.TaskGroup() as group, MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                helper = group.create_task(asyncio.sleep(1_000))
                yield queue
                helper.cancel()
            tasks.append(asyncio.current_task())

    with open_publisher_sync(fresh_url(), adapter=Adapter()) as publisher:
        publisher.publish(Message())

    assert tasks[0] is tasks[1]


def test_an_error_of_closing_is_raised():
    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                yield queue
            raise Unavailable("while closing")

    with pytest.raises(Unavailable, match="while closing"), open_publisher_sync(fresh_url(), adapter=Adapter()):
        pass


def test_publishing_after_the_end_is_an_error_and_no_wait_without_end():
    with open_publisher_sync(fresh_url()) as publisher:
        pass

    with pytest.raises(AdapterError, match="closed"):
        publisher.publish(Message())


def test_a_publish_on_its_way_when_the_publisher_is_closed_is_in_doubt():
    started, errors = threading.Event(), []

    async def hang(method, batch):
        started.set()
        await asyncio.sleep(1_000)

    def work(publisher):
        try:
            publisher.publish(Message())
        except PulpoError as error:
            errors.append(error)

    with open_publisher_sync(fresh_url(), adapter=FaultyAdapter(publish=hang)) as publisher:
        thread = threading.Thread(target=work, args=[publisher])
        thread.start()
        assert started.wait(10)
    thread.join(10)

    assert not thread.is_alive()
    assert [error.in_doubt for error in errors] == [True]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # which is why it must be harmless
def test_a_child_that_was_forked_inside_of_its_context_can_leave_it():
    """Else it would wait for ever for the thread of its parent."""
    context = open_publisher_sync(fresh_url())
    with context as publisher:
        child = os.fork()
        if child == 0:
            leave_at_once(context)
        assert ending_of(child) == 7
        assert publisher.publish(Message()).id, "the parent goes on"


def leave_at_once(context):
    try:
        context.__exit__(None, None, None)
        os._exit(7)
    finally:
        os._exit(1)


def ending_of(child):
    """The status of *child*, which is given a while."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_publisher_that_was_opened_before_a_fork_is_refused_in_the_child(monkeypatch):
    """Its thread does not exist there: every publish would wait for ever."""
    with open_publisher_sync(fresh_url()) as publisher:
        monkeypatch.setattr("os.getpid", lambda: -1)
        with pytest.raises(AdapterError, match="fork"):
            publisher.publish(Message())
        monkeypatch.undo()
