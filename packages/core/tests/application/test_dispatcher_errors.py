"""Whatever a handler does, its message gets an outcome, and no message takes another one with it."""

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import pytest

from pulpo_core import (
    Ack,
    Bury,
    BuryMessage,
    DeleteMessage,
    Envelope,
    Handlers,
    IgnoreMessage,
    KeepMessage,
    Message,
    Policy,
    RejectMessage,
    Release,
    Retry,
    RetryMessage,
    Route,
    TranslationError,
)
from pulpo_core.events import Alarm, Settled
from pulpo_core.testing import virtual_time

from .fakes import BURST, Recorder, Worker, buried, counts, fresh_url, opened, pass_time, payload, publish, run, running

ONCE = Policy(max_attempts=1)


async def settled(handler: Any, **options: Any) -> dict[str, int]:
    """What became of one message that *handler* took."""
    url = fresh_url()
    await publish(url, "job")
    worker = await run(Route(url, handler, **options))
    return worker.columns


@attrs.frozen
class Result:
    """A result as pulpo-messaging has them."""

    isSuccess: bool = False  # noqa: N815 - its names
    isFatal: bool = False  # noqa: N815
    isTransient: bool = False  # noqa: N815
    error: str | None = None


RETURNED = {
    "nothing is success, since a forgotten return must not loop for ever": (None, "acked"),
    "true": (True, "acked"),
    "zero is a value": (0, "acked"),
    "empty text is a value": ("", "acked"),
    "an empty list is a value": ([], "acked"),
    "False asks for a retry": (False, "retried"),
    "Ack": (Ack(), "acked"),
    "Retry": (Retry(5), "retried"),
    "Bury": (Bury("unwanted"), "buried"),
    "success in pulpo-messaging's words": (Result(isSuccess=True), "acked"),
    "a transient failure in pulpo-messaging's words": (Result(isTransient=True), "retried"),
    "a fatal failure in pulpo-messaging's words": (Result(isFatal=True), "buried"),
    "nothing clear in pulpo-messaging's words": (Result(), "retried"),
    "a class where an instance was meant": (Ack, "retried"),
}


@pytest.mark.parametrize(("result", "column"), RETURNED.values(), ids=RETURNED)
@virtual_time
async def test_what_a_handler_returns_settles_its_message(result, column):
    async def handler(message):
        return result

    assert await settled(handler) == {"received": 1, column: 1}


@pytest.mark.parametrize("result", [None, 0, "", [], False])
@virtual_time
async def test_a_route_may_retry_whatever_is_falsy(result):
    async def handler(message):
        return result

    assert await settled(handler, falsy_retries=True) == {"received": 1, "retried": 1}


@virtual_time
async def test_a_handler_may_release_its_message_and_sees_it_again_with_the_attempt_not_counted():
    attempts = []

    async def handler(delivery):
        attempts.append(delivery.attempt)
        return Release() if len(attempts) < 3 else None

    assert await settled(handler) == {"received": 3, "released": 2, "acked": 1}
    assert attempts == [1, 1, 1]


RAISED = {
    "RetryMessage": (RetryMessage(delay=5), "retried"),
    "BuryMessage": (BuryMessage("broken"), "buried"),
    "RejectMessage": (RejectMessage(), "acked"),
    "DeleteMessage": (DeleteMessage(), "acked"),
    "KeepMessage": (KeepMessage(), "retried"),
    "IgnoreMessage": (IgnoreMessage(), "retried"),
    "any exception": (ValueError("broken"), "retried"),
    "StopIteration": (StopIteration(), "retried"),
    "StopAsyncIteration": (StopAsyncIteration(), "retried"),
    "GeneratorExit": (GeneratorExit(), "retried"),
    "a group": (ExceptionGroup("several", [ValueError(), KeyError()]), "retried"),
}


@pytest.mark.parametrize(("error", "column"), RAISED.values(), ids=RAISED)
@virtual_time
async def test_what_a_handler_raises_settles_its_message(error, column):
    async def handler(message):
        raise error

    assert await settled(handler) == {"received": 1, column: 1}


@pytest.mark.parametrize(("error", "column"), RAISED.values(), ids=RAISED)
@virtual_time
async def test_what_a_handler_in_a_thread_raises_settles_its_message_just_so(error, column):
    def handler(message):
        raise error

    assert await settled(handler) == {"received": 1, column: 1}


@virtual_time
async def test_the_last_attempt_is_buried_with_its_error_but_without_its_body():
    url = fresh_url()
    await publish(url, payload("secret"))

    async def handler(message):
        raise ValueError("no luck")

    await run(Route(url, handler, policy=ONCE))

    [record] = await buried(url)
    assert record.reason == "attempts-exhausted"
    assert "no luck" in (record.error or "")
    assert "secret" not in (record.error or "")


@virtual_time
async def test_a_message_without_handler_is_buried_for_that_reason():
    url, handlers = fresh_url(), Handlers()
    handlers.add("known", Recorder())
    await publish(url, "unknown")
    await run(Route(url, handlers))

    assert [record.reason for record in await buried(url)] == ["no-handler"]


@virtual_time
async def test_an_expired_message_never_reaches_its_handler():
    url, handler = fresh_url(), Recorder()
    await publish(url, payload(1, expiration=10))
    await pass_time(11)
    worker = await run(Route(url, handler))

    assert handler.messages == []
    assert worker.columns == {"received": 1, "buried": 1}
    assert [record.reason for record in await buried(url)] == ["expired"]


@virtual_time
async def test_a_message_that_expires_while_it_waits_for_a_slot_is_not_started():
    url, handler = fresh_url(), Recorder(seconds=20)
    await publish(url, payload(1), payload(2, expiration=10))
    worker = await run(Route(url, handler, concurrency=1, prefetch=1))

    assert handler.payloads == [1]
    assert worker.columns == {"received": 2, "acked": 1, "buried": 1}


@virtual_time
async def test_a_message_that_expires_while_it_is_translated_is_not_started():
    class Slow:
        async def translate(self, envelope: Envelope) -> Message:
            await asyncio.sleep(20)
            return Message(expiration="2026-01-01T12:00:10+00:00")

        def encode(self, message: Message) -> Envelope:
            return Envelope(body=b"x")

    url, handler = fresh_url(), Recorder()
    await publish(url, "job", translator=Slow())
    worker = await run(Route(url, handler, translator=Slow()))

    assert handler.messages == []
    assert worker.columns == {"received": 1, "buried": 1}


@virtual_time
async def test_a_retry_that_could_only_expire_is_buried_by_the_broker_s_word_too():
    """A foreign body says nothing of its expiration; the queue may know it all the same."""

    class Foreign:
        def translate(self, envelope: Envelope) -> Message:
            return Message(body={"payload": 1})

        def encode(self, message: Message) -> Envelope:
            return Envelope(body=b"1", expiration=message.expiration)

    url = fresh_url()
    await publish(url, payload(1, expiration=10), translator=Foreign())

    async def handler(message):
        return Retry(60)

    await run(Route(url, handler, translator=Foreign()))

    assert [record.reason for record in await buried(url)] == ["would-expire"]


@virtual_time
async def test_a_crash_loop_is_buried_without_running_the_handler():
    url, handler = fresh_url("?lease=1s"), Recorder(seconds=0)
    await publish(url, "job")
    async with opened(url) as queue:
        await queue.receive(1, timedelta())
        await pass_time(2)
        await queue.receive(1, timedelta())
        await pass_time(2)
    worker = await run(Route(url, handler, policy=Policy(max_attempts=2)))

    assert handler.messages == []
    assert worker.columns == {"received": 1, "buried": 1}


UNTRANSLATABLE = {
    "it raises what it should": TranslationError("not mine"),
    "it raises anything": ValueError("surprise"),
    "it returns nothing": None,
    "it returns something else": 42,
    "content is missing": {"metadata": {}},
    "content is nothing": {"content": None},
    "metadata is no mapping": {"content": 1, "metadata": 7},
}


class Translates:
    """A translator that answers as it is told."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def translate(self, envelope: Envelope) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def encode(self, message: Message) -> Envelope:
        return Envelope(body=b"bytes of a kind")


@pytest.mark.parametrize("answer", UNTRANSLATABLE.values(), ids=UNTRANSLATABLE)
@virtual_time
async def test_what_cannot_be_translated_is_buried_with_its_bytes(answer):
    url, handler = fresh_url(), Recorder()
    await publish(url, "job", translator=Translates(None))
    await run(Route(url, handler, translator=Translates(answer)))

    [record] = await buried(url)
    assert (record.reason, record.envelope.body) == ("untranslatable", b"bytes of a kind")
    assert handler.messages == []


@pytest.mark.parametrize("content", [0, "", False, [], {}, 0.0])
@virtual_time
async def test_falsy_content_is_a_value(content):
    url, seen = fresh_url(), []

    async def handler(content, metadata):
        seen.append((content, metadata["source"]))

    await publish(url, "job", translator=Translates(None))
    answer = {"content": content, "metadata": {"source": "loafer", "priority": 3}}
    worker = await run(Route(url, handler, translator=Translates(answer)))

    assert seen == [(content, "loafer")]
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_a_translator_may_be_asynchronous_and_may_set_the_type():
    class Asynchronous(Translates):
        async def translate(self, envelope: Envelope) -> Any:
            await asyncio.sleep(1)
            return self.answer

    url, handlers, handler = fresh_url(), Handlers(), Recorder()
    handlers.add("chosen", handler)
    await publish(url, "job", translator=Translates(None))
    answer = {"content": {"a": 1}, "metadata": {"request_type": "chosen"}}
    await run(Route(url, handlers, translator=Asynchronous(answer)))

    assert [message.body for message in handler.messages] == [{"a": 1}]


# The error handler


@pytest.mark.parametrize(
    ("answer", "column"),
    [
        (True, "acked"),
        ("done", "acked"),
        (False, "retried"),
        (None, "retried"),
        (Bury("seen"), "buried"),
        (Ack(), "acked"),
    ],
)
@pytest.mark.parametrize("is_async", [True, False])
@virtual_time
async def test_the_error_handler_decides_about_a_failure(answer, column, is_async):
    async def asynchronous(exc_info, message):
        return answer

    def synchronous(exc_info, message):
        return answer

    handler = Recorder(error=ValueError("broken"))
    columns = await settled(handler, error_handler=asynchronous if is_async else synchronous)

    assert columns == {"received": 1, column: 1}


@virtual_time
async def test_the_error_handler_sees_the_failure_and_the_message_as_it_came():
    url, seen = fresh_url(), []

    async def handler(message, body):
        body["items"].append("changed by the handler")
        body.pop("secret")
        raise ValueError("broken")

    async def error_handler(exc_info, message):
        seen.append((exc_info[0], str(exc_info[1]), exc_info[2] is not None, message.body))

    await publish(url, Message(request_type="job", body={"items": ["a"], "secret": 1}))
    await run(Route(url, handler, error_handler=error_handler))

    assert seen == [(ValueError, "broken", True, {"items": ["a"], "secret": 1})]


@virtual_time
async def test_the_error_handler_sees_the_envelope_of_what_could_not_be_translated():
    url, seen = fresh_url(), []

    def error_handler(exc_info, envelope):
        seen.append((exc_info[0], envelope.body))
        return True

    await publish(url, "job", translator=Translates(None))
    worker = await run(
        Route(url, Recorder(), translator=Translates(ValueError()), error_handler=error_handler),
    )

    assert seen == [(ValueError, b"bytes of a kind")]
    assert worker.columns == {"received": 1, "acked": 1}


@pytest.mark.parametrize("signal", [KeepMessage(), RetryMessage(), BuryMessage(), RejectMessage()])
@virtual_time
async def test_the_error_handler_is_not_asked_about_what_the_handler_said_outright(signal):
    asked = []
    await settled(Recorder(error=signal), error_handler=lambda *args: asked.append(args))

    assert asked == []


@pytest.mark.parametrize(
    ("error", "column"), [(ValueError("worse"), "retried"), (DeleteMessage(), "acked"), (BuryMessage("so"), "buried")]
)
@pytest.mark.parametrize("is_async", [True, False])
@virtual_time
async def test_an_error_handler_that_raises_leaves_it_to_the_policy_unless_it_says_outright(error, column, is_async):
    async def asynchronous(exc_info, message):
        raise error

    def synchronous(exc_info, message):
        raise error

    url = fresh_url()
    await publish(url, "job")
    error_handler = asynchronous if is_async else synchronous
    worker = await run(Route(url, Recorder(error=KeyError()), error_handler=error_handler))

    assert worker.columns == {"received": 1, column: 1}
    alarms = [alarm.text for alarm in worker.of_kind(Alarm)]
    assert alarms == (["error handler failed: ValueError"] if column == "retried" else [])


@virtual_time
async def test_an_error_handler_that_hangs_ends_with_the_time_of_its_message():
    async def error_handler(exc_info, message):
        await asyncio.sleep(1_000_000)

    columns = await settled(Recorder(error=ValueError()), error_handler=error_handler, timeout=5)

    assert columns == {"received": 1, "retried": 1}


# What is no ordinary failure


class Unboolable:
    def __bool__(self) -> bool:
        raise ValueError("neither true nor false")


class Unreadable:
    @property
    def isSuccess(self) -> bool:  # noqa: N802 - pulpo-messaging's name
        raise ValueError("cannot say")


@pytest.mark.parametrize("result", [Unboolable(), Unreadable()])
@virtual_time
async def test_a_result_that_cannot_be_read_is_a_failure_of_its_message_alone(result):
    url = fresh_url()

    async def handler(message):
        return result if message.request_type == "odd" else None

    await publish(url, "job", "odd", "job")
    worker = await run(Route(url, handler, falsy_retries=not isinstance(result, Unreadable)))

    assert worker.ledger.received == 3
    assert worker.ledger.retried >= 1


@virtual_time
async def test_an_error_handler_s_answer_that_cannot_be_read_leaves_it_to_the_policy():
    async def error_handler(exc_info, message):
        return Unboolable()

    assert await settled(Recorder(error=ValueError()), error_handler=error_handler) == {"received": 1, "retried": 1}


@virtual_time
async def test_an_exception_whose_hint_cannot_be_read_is_a_failure_without_hint():
    class Hostile(Exception):
        @property
        def retry_after(self) -> float:
            raise RuntimeError("no")

    assert await settled(Recorder(error=Hostile())) == {"received": 1, "retried": 1}


@virtual_time
async def test_the_delay_that_an_exception_carries_is_kept():
    class Throttled(Exception):
        retry_after = 600

    url = fresh_url()
    await publish(url, "job")
    await run(Route(url, Recorder(error=Throttled())))
    await pass_time(599)

    assert await counts(url) == {"delayed": 1}


@virtual_time
async def test_a_handler_whose_own_task_was_cancelled_has_failed_and_its_slot_goes_on():
    url, seen = fresh_url(), []

    async def handler(message):
        seen.append(message.request_type)
        if message.request_type == "odd":
            task = asyncio.get_running_loop().create_task(asyncio.sleep(10))
            task.cancel()
            await task

    await publish(url, "odd", "job")
    worker = await run(Route(url, handler, concurrency=1, policy=ONCE))

    assert seen == ["odd", "job"]
    assert worker.columns == {"received": 2, "acked": 1, "buried": 1}


@virtual_time
async def test_a_handler_that_cancels_its_own_task_has_failed_and_its_slot_goes_on():
    """Old releases of timeout libraries do so and never take it back."""
    url, seen = fresh_url(), []

    async def handler(message):
        seen.append(message.request_type)
        if message.request_type == "odd":
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

    await publish(url, "odd", "job", "job")
    async with running(Route(url, handler, concurrency=1, policy=ONCE)) as worker:
        await pass_time(60)

    assert seen == ["odd", "job", "job"]
    assert worker.columns == {"received": 3, "acked": 2, "buried": 1}


@virtual_time
async def test_a_cancellation_left_behind_by_one_handler_does_not_reach_the_next():
    url, seen = fresh_url(), []

    async def handler(message):
        seen.append(message.request_type)
        if message.request_type == "odd":
            asyncio.current_task().cancel()  # and returns before it is noticed
            return
        await asyncio.sleep(1)

    await publish(url, "odd", "job", "job")
    async with running(Route(url, handler, concurrency=1)) as worker:
        await pass_time(60)

    assert seen == ["odd", "job", "job"]
    assert worker.columns == {"received": 3, "acked": 3}


@virtual_time
async def test_a_handler_that_swallowed_a_foreign_cancellation_can_still_time_out_later():
    url, seen = fresh_url(), []

    async def handler(message):
        seen.append(message.request_type)
        if message.request_type == "odd":
            asyncio.current_task().cancel()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                return
        await asyncio.sleep(100)

    await publish(url, "odd", "slow", "slow")
    async with running(Route(url, handler, concurrency=1, timeout=5, policy=ONCE)) as worker:
        await pass_time(60)

    assert seen == ["odd", "slow", "slow"]
    assert worker.columns == {"received": 3, "acked": 1, "buried": 2}


class Meteor(BaseException):
    """Neither an exception nor a way to exit."""


ENDS = {"SystemExit": SystemExit(7), "KeyboardInterrupt": KeyboardInterrupt(), "its own kind": Meteor("down")}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("place", ["handler", "thread", "translator", "error handler", "middleware"])
@virtual_time
async def test_who_ends_the_process_ends_it_in_order_and_the_message_goes_back(end, place):
    """The others are drained, and nothing is left to its lease."""
    url, other = fresh_url(), fresh_url()
    slow = Recorder(seconds=10)

    def fail(*args):
        raise end

    async def fail_async(*args):
        raise end

    async def handler(message):
        if place == "handler":
            raise end
        if place == "error handler":
            raise ValueError("asks the error handler")

    async def middleware(message, delivery, call_next):
        raise end

    await publish(url, "job")
    await publish(other, "job")
    options = {
        "translator": {"translator": Translates(end)},
        "error handler": {"error_handler": fail_async},
        "middleware": {"middleware": [middleware]},
    }.get(place, {})
    worker = Worker.of(
        Route(url, (lambda message: fail()) if place == "thread" else handler, name="ends", **options),
        Route(other, slow, name="other"),
        until=BURST,
    )

    with pytest.raises(type(end)):
        await worker.run()

    assert worker.dispatcher.ledgers["ends"].released == 1
    assert worker.dispatcher.ledgers["other"].acked == 1
    assert len(slow.done) == 1
    assert await counts(url) == {"ready": 1}


@virtual_time
async def test_each_settlement_is_told_with_its_reason_and_error():
    url = fresh_url()
    await publish(url, "job")
    worker = await run(Route(url, Recorder(seconds=2, error=ValueError("no luck"))))

    [event] = worker.of_kind(Settled)
    assert (event.reason, event.tally, event.request_type) == ("failed", "retried", "job")
    assert event.elapsed == timedelta(seconds=2)
    assert event.error == "ValueError: no luck"
