"""Middleware around handling, timeouts, context variables, and observers."""

import asyncio
import contextvars
import logging
from datetime import timedelta

import attrs
import pytest

from pulpo_core import Bury, Envelope, Handlers, Message, Policy, Route
from pulpo_core.events import Alarm, Settled, Started
from pulpo_core.testing import virtual_time

from .fakes import Recorder, buried, fresh_url, payload, publish, reasons, run

ONCE = Policy(max_attempts=1)


@virtual_time
async def test_middleware_wraps_the_handler_the_first_outermost():
    url, order = fresh_url(), []

    def named(name):
        async def middleware(message, delivery, call_next):
            order.append(f"{name} before")
            result = await call_next(message, delivery)
            order.append(f"{name} after")
            return result

        return middleware

    async def handler(message):
        order.append("handler")

    await publish(url, "job")
    await run(Route(url, handler, middleware=[named("outer"), named("inner")]))

    assert order == ["outer before", "inner before", "handler", "inner after", "outer after"]


@virtual_time
async def test_middleware_may_change_what_it_passes_on_and_what_it_gives_back():
    url, handler = fresh_url(), Recorder(result=None)

    async def middleware(message, delivery, call_next):
        await call_next(Message(request_type="changed"), delivery)
        return Bury("by the middleware")

    await publish(url, "job")
    await run(Route(url, handler, middleware=[middleware]))

    assert handler.types == ["changed"]
    assert await reasons(url) == ["by the middleware"]


@virtual_time
async def test_middleware_may_leave_the_handler_out():
    url, handler = fresh_url(), Recorder()

    async def middleware(message, delivery, call_next):
        return False

    await publish(url, "job")
    worker = await run(Route(url, handler, middleware=[middleware]))

    assert handler.messages == []
    assert worker.columns == {"received": 1, "retried": 1}


@virtual_time
async def test_what_middleware_raises_is_what_a_handler_raises():
    url, asked = fresh_url(), []

    async def middleware(message, delivery, call_next):
        raise ValueError("in between")

    def error_handler(exc_info, message):
        asked.append(str(exc_info[1]))

    await publish(url, "job")
    worker = await run(Route(url, Recorder(), middleware=[middleware], error_handler=error_handler, policy=ONCE))

    assert asked == ["in between"]
    assert worker.columns == {"received": 1, "buried": 1}


@virtual_time
async def test_middleware_may_catch_what_a_handler_raises():
    url = fresh_url()

    async def middleware(message, delivery, call_next):
        try:
            return await call_next(message, delivery)
        except ValueError:
            return None

    await publish(url, "job")
    worker = await run(Route(url, Recorder(error=ValueError()), middleware=[middleware]))

    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_middleware_may_be_any_callable_that_gives_something_to_await():
    url, seen = fresh_url(), []

    class Middleware:
        async def __call__(self, message, delivery, call_next):
            seen.append("object")
            return await call_next(message, delivery)

    def in_a_task(message, delivery, call_next):
        seen.append("task")
        return asyncio.get_running_loop().create_task(call_next(message, delivery))

    await publish(url, "job")
    worker = await run(Route(url, Recorder(), middleware=[in_a_task, Middleware()]))

    assert seen == ["task", "object"]
    assert worker.columns == {"received": 1, "acked": 1}


@virtual_time
async def test_middleware_wraps_handlers_in_threads_too():
    url, seen = fresh_url(), []

    async def middleware(message, delivery, call_next):
        seen.append(await call_next(message, delivery))

    await publish(url, "job")
    await run(Route(url, lambda message: 42, middleware=[middleware]))

    assert seen == [42]


@attrs.frozen
class Email:
    to: str
    subject: str = ""


@pytest.mark.parametrize("with_middleware", [True, False])
@virtual_time
async def test_a_body_that_does_not_fit_is_buried_with_the_name_of_its_field_and_never_handled(with_middleware):
    url, ran = fresh_url(), []

    async def handler(email: Email):
        ran.append(email)

    async def middleware(message, delivery, call_next):
        return await call_next(message, delivery)

    await publish(url, Message(request_type="job", body={"to": 5}), Message(request_type="job", body={"to": "a"}))
    await run(Route(url, handler, middleware=[middleware] if with_middleware else []))

    assert ran == [Email("a")]
    [record] = await buried(url)
    assert record.reason == "untranslatable"
    assert "to" in (record.error or "")


# Timeouts


@virtual_time
async def test_a_handler_that_takes_too_long_is_cancelled_and_its_message_retried():
    url, handler = fresh_url(), Recorder(seconds=100)
    await publish(url, "job")
    began = asyncio.get_running_loop().time()
    worker = await run(Route(url, handler, timeout=5))

    assert asyncio.get_running_loop().time() - began == 5
    assert handler.busy == 0
    assert [event.reason for event in worker.of_kind(Settled)] == ["timed-out"]
    assert worker.columns == {"received": 1, "retried": 1}


@virtual_time
async def test_a_handler_s_own_timeout_counts_before_that_of_the_route():
    url, handlers, handler = fresh_url(), Handlers(), Recorder(seconds=10)
    handlers.add("patient", handler, timeout=20)
    handlers.add("hasty", Recorder(seconds=10), timeout=timedelta(seconds=1))
    handlers.add("as the route says", Recorder(seconds=10))
    await publish(url, "patient", "hasty", "as the route says")
    worker = await run(Route(url, handlers, timeout=5))

    ends = {event.request_type: (event.reason, event.elapsed) for event in worker.of_kind(Settled)}
    assert ends == {
        "patient": ("handled", timedelta(seconds=10)),
        "hasty": ("timed-out", timedelta(seconds=1)),
        "as the route says": ("timed-out", timedelta(seconds=5)),
    }


@virtual_time
async def test_a_timeout_inside_the_handler_is_a_failure_of_its_own():
    url = fresh_url()

    async def handler(message):
        async with asyncio.timeout(1):
            await asyncio.sleep(10)

    await publish(url, "job")
    worker = await run(Route(url, handler, timeout=5, policy=Policy(fatal=TimeoutError)))

    assert await reasons(url) == ["fatal"]
    assert worker.columns == {"received": 1, "buried": 1}


@virtual_time
async def test_a_timeout_inside_and_one_outside_at_the_same_moment_is_the_outer_one():
    url = fresh_url()

    async def handler(message):
        async with asyncio.timeout(5):
            await asyncio.sleep(10)

    await publish(url, "job", "job")
    worker = await run(Route(url, handler, timeout=5, concurrency=1, policy=ONCE))

    assert worker.columns == {"received": 2, "buried": 2}
    assert [event.error for event in worker.of_kind(Settled)] == ["the handler ran longer than 5 s"] * 2


@virtual_time
async def test_a_handler_may_use_groups_of_tasks():
    url, done = fresh_url(), []

    async def handler(message):
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(asyncio.sleep(number))
        done.append(message.payload)

    async def failing(message):
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(100))
            group.create_task(handler_that_fails())

    async def handler_that_fails():
        raise ValueError

    handlers = Handlers()
    handlers.add("job", handler)
    handlers.add("bad", failing)
    await publish(url, payload(1), payload(2, "bad"), payload(3))
    worker = await run(Route(url, handlers, concurrency=1, policy=ONCE))

    assert done == [1, 3]
    assert worker.columns == {"received": 3, "acked": 2, "buried": 1}


@virtual_time
async def test_a_group_of_tasks_in_a_handler_ends_with_its_timeout():
    url, left = fresh_url(), []

    async def child():
        try:
            await asyncio.sleep(1_000)
        finally:
            left.append("cancelled")

    async def handler(message):
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(child())

    await publish(url, "job")
    worker = await run(Route(url, handler, timeout=5))

    assert left == ["cancelled", "cancelled"]
    assert worker.columns == {"received": 1, "retried": 1}


# Context variables


@virtual_time
async def test_context_variables_of_one_message_are_gone_with_it():
    variable, url, seen = contextvars.ContextVar("variable", default="nothing"), fresh_url(), []
    variable.set("outside")

    async def handler(message):
        before = variable.get()
        variable.set(message.payload)
        await asyncio.sleep(1)
        seen.append((before, variable.get()))

    await publish(url, *[payload(number) for number in range(4)])
    await run(Route(url, handler, concurrency=2))

    assert seen == [("outside", number) for number in range(4)]
    assert variable.get() == "outside"


@virtual_time
async def test_context_variables_of_middleware_reach_the_handler():
    variable, url, seen = contextvars.ContextVar("variable"), fresh_url(), []

    async def middleware(message, delivery, call_next):
        variable.set(delivery.id)
        return await call_next(message, delivery)

    async def handler(delivery):
        seen.append(variable.get() == delivery.id)

    await publish(url, *["job"] * 3)
    await run(Route(url, handler, middleware=[middleware]))

    assert seen == [True] * 3


@pytest.mark.parametrize("is_async", [True, False])
@virtual_time
async def test_an_error_handler_sees_the_context_of_what_failed_and_leaves_nothing_in_it_for_the_next(is_async):
    variable, url, seen = contextvars.ContextVar("variable", default="nothing"), fresh_url(), []

    async def handler(message):
        variable.set(f"set for {message.payload}")
        raise ValueError

    def synchronous(exc_info, subject):
        seen.append(variable.get())
        variable.set("left behind")

    async def asynchronous(exc_info, subject):
        synchronous(exc_info, subject)

    await publish(url, payload(1), payload(2))
    await publish(url, payload(3), translator=PlainTextOf(3))
    error_handler = asynchronous if is_async else synchronous
    await run(Route(url, handler, error_handler=error_handler, concurrency=1, policy=ONCE))

    assert seen == ["set for 1", "set for 2", "nothing"]


class PlainTextOf:
    """Writes what pulpo's own format cannot read."""

    def __init__(self, value):
        self.value = value

    def translate(self, envelope):
        raise AssertionError

    def encode(self, message):
        return Envelope(body=str(self.value).encode())


@virtual_time
async def test_tasks_of_a_handler_inherit_its_context():
    variable, url, seen = contextvars.ContextVar("variable"), fresh_url(), []

    async def child():
        seen.append(variable.get())

    async def handler(message):
        variable.set(message.payload)
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    await publish(url, payload(1), payload(2))
    await run(Route(url, handler, concurrency=1))

    assert seen == [1, 2]


# What a handler gives back


@virtual_time
async def test_anything_awaitable_that_a_handler_returns_is_awaited():
    """A coroutine that was forgotten would be acknowledged without ever having run."""
    url, ran = fresh_url(), []

    async def work(message):
        await asyncio.sleep(1)
        ran.append(message.payload)
        return False

    async def forgot_to_await(message):
        return work(message)

    await publish(url, payload(1))
    worker = await run(Route(url, forgot_to_await))

    assert ran == [1]
    assert worker.columns == {"received": 1, "retried": 1}


async def _forgets_to_await(message, delivery, call_next):
    call_next(message, delivery)


def _forgets_to_return(message, delivery, call_next):
    call_next(message, delivery)


@pytest.mark.parametrize("middleware", [_forgets_to_await, _forgets_to_return])
@virtual_time
async def test_middleware_that_calls_the_handler_and_does_not_wait_for_it_acknowledges_nothing(middleware):
    url, handler = fresh_url(), Recorder()

    await publish(url, payload(1))
    await run(Route(url, handler, middleware=[middleware], policy=ONCE))

    [record] = await buried(url)
    assert handler.messages == []
    assert "middleware" in record.error
    assert "await call_next" in record.error


@virtual_time
async def test_whatever_middleware_gives_back_instead_of_awaiting_it_is_awaited_to_its_end():
    url, handler = fresh_url(), Recorder()

    async def forgot_to_await(message, delivery, call_next):
        return call_next(message, delivery)

    await publish(url, payload(1))
    await run(Route(url, handler, middleware=[forgot_to_await] * 3))

    assert len(handler.done) == 1


# Observers


@virtual_time
async def test_an_observer_that_raises_is_logged_and_harms_nobody(caplog):
    url, seen = fresh_url(), []

    def broken(event):
        raise RuntimeError("an observer broke")

    await publish(url, "job")
    with caplog.at_level(logging.ERROR, logger="pulpo"):
        worker = await run(Route(url, Recorder()), observers=(broken, seen.append))

    assert worker.columns == {"received": 1, "acked": 1}
    names = [type(event).__name__ for event in seen]
    assert names == ["RouteStarted", "Received", "Started", "Settled", "RouteStopped"]
    assert "an observer broke" in caplog.text


@virtual_time
async def test_the_start_is_told_with_the_message_and_its_attempt():
    url = fresh_url()
    await publish(url, payload(1))
    worker = await run(Route(url, Recorder(), name="mail"))

    [event] = worker.of_kind(Started)
    assert (event.route, event.message.payload, event.delivery.attempt) == ("mail", 1, 1)


@virtual_time
async def test_a_broken_classifier_raises_an_alarm_and_the_message_is_retried():
    url = fresh_url()

    def classify(error):
        raise RuntimeError("a classifier broke")

    await publish(url, "job")
    worker = await run(Route(url, Recorder(error=ValueError()), policy=Policy(classify=classify)))

    assert worker.columns == {"received": 1, "retried": 1}
    assert "a classifier broke" in worker.of_kind(Alarm)[0].text


@virtual_time
async def test_bodies_and_secrets_are_never_logged(caplog):
    url = fresh_url()

    async def handler(email: Email):
        raise ValueError("failed")

    await publish(url, Message(request_type="job", body={"to": "secret-value", "subject": "secret-value"}))
    await publish(url, Message(request_type="job", body={"to": ["secret-value"]}))
    await publish(url, Message(request_type="none", body={"to": "secret-value"}))
    with caplog.at_level(logging.DEBUG):
        handlers = Handlers()
        handlers.add("job", handler)
        await run(Route(url, handlers, policy=ONCE))

    assert caplog.records
    assert "secret-value" not in caplog.text
    assert "secret-value" not in "".join(record.error or "" for record in await buried(url))
