"""Messages that follow from handling one: in their queue before it is out of its own, and never lost between."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from pulpo_core import (
    Ack,
    AnyJson,
    Envelope,
    FollowUp,
    Message,
    MessageTooLarge,
    Policy,
    Route,
    Unavailable,
    Until,
    follow_up_uid,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    Worker,
    buried,
    counts,
    failing,
    fresh_url,
    opened,
    pass_time,
    payload,
    publish,
    refusing,
    run,
    running,
    stored,
    unavailable,
)

#: A queue that publishes follow-ups before the settlement, as most brokers do.
APART = {"atomic_follow_ups": False}


def returning(*answers):
    """A handler of type ``job`` that returns *answers*, one for each delivery; other types are just done."""
    left = list(answers)

    async def handler(message):
        return left.pop(0) if message.request_type == "job" else None

    return handler


FORMS = {
    "a message": lambda: Message(request_type="next"),
    "a list": lambda: [Message(request_type="next")],
    "a tuple": lambda: (Message(request_type="next"),),
    "an Ack with follow-ups": lambda: Ack([Message(request_type="next")]),
    "a FollowUp": lambda: FollowUp(Message(request_type="next"), queue=""),
}


@pytest.mark.parametrize("changes", [{}, APART], ids=["in one transaction", "before the settlement"])
@pytest.mark.parametrize("form", ["a message", "a list", "a tuple", "an Ack with follow-ups"])
@virtual_time
async def test_what_a_handler_returns_is_published_into_its_own_queue_and_the_message_acknowledged(form, changes):
    url = fresh_url()
    handled = Recorder()

    async def handler(message):
        await handled(message)
        return FORMS[form]() if message.request_type == "job" else None

    await publish(url, "job")
    worker = await run(Route(url, handler, adapter=FaultyAdapter(changes)))

    assert handled.types == ["job", "next"]
    assert worker.columns == {"received": 2, "acked": 2}


@pytest.mark.parametrize("changes", [{}, APART], ids=["in one transaction", "before the settlement"])
@virtual_time
async def test_several_follow_ups_keep_their_order_and_their_uids_follow_from_the_parent(changes):
    url, other, seen = fresh_url(), fresh_url(), []
    answer = [payload(1, "next"), FollowUp(payload(2, "next"), other), payload(3, "next")]

    async def handler(message):
        seen.append((message.payload, message.uid))
        return answer if message.request_type == "job" else None

    [parent] = await publish(url, "job")
    await run(Route(url, handler, concurrency=1, adapter=FaultyAdapter(changes)))

    assert seen[1:] == [(1, follow_up_uid(parent.uid, 0)), (3, follow_up_uid(parent.uid, 2))]
    elsewhere = [(message.payload, message.uid) for message in await stored(other)]
    assert elsewhere == [(2, follow_up_uid(parent.uid, 1))]


@virtual_time
async def test_a_delivery_that_is_handled_twice_makes_the_same_follow_ups():
    url, other = fresh_url(), fresh_url()
    await publish(url, "job")
    handler = returning(*[[FollowUp(Message(request_type="next"), other)]] * 2)
    adapter = FaultyAdapter(settle=refusing(unavailable(), times=1), extend=failing(unavailable()))
    async with running(Route(url + "?lease=1s", handler, adapter=adapter)) as worker:
        adapter.settle = failing(unavailable())
        await pass_time(1.2)
        adapter.settle = None
        await pass_time(5)

    assert worker.ledger.acked == 1
    uids = [message.uid for message in await stored(other)]
    assert len(uids) == 2
    assert len(set(uids)) == 1


@virtual_time
async def test_a_foreign_parent_has_a_uid_to_derive_from_too():
    url, other = fresh_url(), fresh_url()
    async with opened(url) as queue:
        [name] = await queue.publish([Envelope(body=b'{"a": 1}')])

    async def handler(message):
        return FollowUp(Message(body={"b": 2}), other)

    await run(Route(url, handler, translator=AnyJson()))

    async with opened(other) as queue:
        [delivery] = await queue.receive(1, timedelta())
    assert delivery.envelope.body == b'{"b":2}'
    assert delivery.envelope.uid == follow_up_uid(f"memory:{name}", 0)


FAULTS = {
    "the whole publish fails": lambda: failing(unavailable(), times=1),
    "one of them fails": lambda: refusing(unavailable(), times=1),
    "it fails for good": lambda: refusing(MessageTooLarge("too large"), times=1),
    "a defect of the adapter": lambda: failing(KeyError("surprise"), times=1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@virtual_time
async def test_a_follow_up_that_is_not_confirmed_makes_a_transient_failure_of_its_cause(fault):
    url = fresh_url()
    await publish(url, "job")
    handler = returning(*[Message(request_type="next")] * 2)
    async with running(Route(url, handler, adapter=FaultyAdapter(APART, publish=fault()))) as worker:
        await pass_time(60)

    assert worker.columns == {"received": 3, "retried": 1, "acked": 2}


UNENCODABLE = {
    "JSON cannot carry it": Message(request_type="next", body={"a": object()}),
    "too large for the queue": Message(request_type="next", body={"a": "x" * 2_000_000}),
}


@pytest.mark.parametrize("follow_up", UNENCODABLE.values(), ids=UNENCODABLE)
@pytest.mark.parametrize("changes", [{}, APART])
@virtual_time
async def test_a_follow_up_that_cannot_be_published_keeps_its_cause_from_being_acknowledged(follow_up, changes):
    url = fresh_url()
    await publish(url, "job")
    route = Route(url, returning(follow_up), adapter=FaultyAdapter(changes), policy=Policy(max_attempts=1))
    worker = await run(route)

    assert worker.columns == {"received": 1, "buried": 1}
    [record] = await buried(url)
    assert record.reason == "attempts-exhausted"
    assert record.error


@virtual_time
async def test_none_of_several_is_published_with_a_refused_acknowledgement():
    url = fresh_url()
    await publish(url, "job")
    bad = Message(request_type="next", body={"a": object()})
    async with running(Route(url, returning([Message(request_type="next"), bad]))) as worker:
        await pass_time(1)
        worker.stop()

    assert await counts(url) == {"delayed": 1}


@virtual_time
async def test_publish_middleware_sees_follow_ups_and_its_failure_is_that_of_the_message():
    url, marked = fresh_url(), []

    def mark(message):
        if message.payload == "bad":
            raise RuntimeError("no")
        return message.with_header(marked="yes")

    async def handler(message):
        marked.append((message.payload, message.header.get("marked")))
        return payload(message.payload[1:]) if message.payload in {"xgood", "xbad"} else None

    await publish(url, payload("xgood"), payload("xbad"))
    worker = await run(Route(url, handler, publish_middleware=[mark]))

    assert sorted(marked) == [("good", "yes"), ("xbad", None), ("xgood", None)]
    assert worker.columns == {"received": 3, "acked": 2, "retried": 1}


@virtual_time
async def test_a_queue_named_by_many_handlers_at_once_is_opened_once_and_closed_at_the_end(monkeypatch):
    url, other, opened_urls, closed_urls = fresh_url(), fresh_url(), [], []

    class Slow(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            opened_urls.append(url)
            await asyncio.sleep(1)
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                yield queue
            closed_urls.append(url)

    async def handler(message):
        return FollowUp(Message(request_type="next"), other)

    await publish(url, *["job"] * 10)
    monkeypatch.setattr("pulpo_core.application.registry.adapter_for", lambda url: Slow())
    worker = await run(Route(url, handler))

    assert worker.columns == {"received": 10, "acked": 10}
    assert opened_urls == [url, other]
    assert closed_urls == [other, url]
    monkeypatch.undo()
    assert await counts(other) == {"ready": 10}


@virtual_time
async def test_routes_with_different_formats_keep_them_when_they_name_the_same_queue():
    first, second, other = fresh_url(), fresh_url(), fresh_url()

    async def handler(message):
        return FollowUp(payload(message.payload), other)

    await publish(first, payload("from pulpo's own"))
    await publish(second, payload("from any"), translator=AnyJson())
    await run(Route(first, handler), Route(second, handler, name="any", translator=AnyJson()))

    async with opened(other) as queue:
        bodies = {each.envelope.body for each in await queue.receive(10, timedelta())}
    assert b'"from any"' in bodies
    assert any(b'"header"' in body and b"from pulpo's own" in body for body in bodies)


@virtual_time
async def test_a_follow_up_into_a_queue_that_cannot_be_opened_is_a_failure_of_its_cause():
    url = fresh_url()
    await publish(url, "job")
    route = Route(url, returning(FollowUp(Message(), "nonsense://nowhere")), policy=Policy(max_attempts=1))
    worker = await run(route)

    assert worker.columns == {"received": 1, "buried": 1}
    assert "nonsense" in ((await buried(url))[0].error or "")


@virtual_time
async def test_a_follow_up_may_be_delayed():
    url = fresh_url()
    await publish(url, "job")
    await run(Route(url, returning(Message(request_type="next", delay=600))))

    assert await counts(url) == {"delayed": 1}


@virtual_time
async def test_follow_ups_of_a_failure_are_not_published():
    url = fresh_url()

    async def handler(message):
        return [Message(request_type="next"), "and something else"]

    await publish(url, "job")
    worker = await run(Route(url, handler, policy=Policy(max_attempts=1)))

    assert worker.columns == {"received": 1, "buried": 1}, "a list of messages and other things says nothing clear"


@virtual_time
async def test_a_publish_middleware_that_ends_the_process_ends_it_in_order():
    url = fresh_url()

    def leave(message):
        raise SystemExit(7)

    await publish(url, "job")
    worker = Worker.of(Route(url, returning(Message(request_type="next")), publish_middleware=[leave]))
    with pytest.raises(SystemExit):
        await worker.run()

    assert worker.columns == {"received": 1, "released": 1}
    assert await counts(url) == {"ready": 1}


@virtual_time
async def test_a_queue_that_takes_its_time_to_open_delays_only_those_who_name_it(monkeypatch):
    url, fast, slow, done = fresh_url(), fresh_url(), fresh_url(), []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            await asyncio.sleep(30 if url == slow else 0)
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                yield queue

    async def handler(message):
        done.append(message.payload)
        return FollowUp(Message(request_type="next"), message.payload)

    monkeypatch.setattr("pulpo_core.application.registry.adapter_for", lambda url: Adapter())
    await publish(url, payload(slow), payload(fast))
    async with running(Route(url, handler)) as worker:
        await pass_time(1)
        after_a_second = worker.columns
        await pass_time(30)

    assert after_a_second == {"received": 2, "acked": 1, "in_hand": 1}
    assert worker.columns == {"received": 2, "acked": 2}


@virtual_time
async def test_a_queue_that_could_not_be_opened_is_tried_again_with_the_next_message(monkeypatch):
    url, other, attempts = fresh_url(), fresh_url(), []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            if url == other:
                attempts.append(url)
                if len(attempts) == 1:
                    raise unavailable()
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                yield queue

    async def handler(message):
        return FollowUp(Message(request_type="next"), other)

    monkeypatch.setattr("pulpo_core.application.registry.adapter_for", lambda url: Adapter())
    await publish(url, "job")
    async with running(Route(url, handler)) as worker:
        await pass_time(60)

    assert worker.columns == {"received": 2, "retried": 1, "acked": 1}
    assert len(attempts) == 2


@virtual_time
async def test_a_queue_is_closed_in_the_task_that_opened_it_and_its_error_is_that_of_the_run(monkeypatch):
    url, other, tasks = fresh_url(), fresh_url(), []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                tasks.append((url, asyncio.current_task()))
                yield queue
                tasks.append((url, asyncio.current_task()))
                if url == other:
                    raise Unavailable("while closing")

    async def handler(message):
        return FollowUp(Message(request_type="next"), other)

    monkeypatch.setattr("pulpo_core.application.registry.adapter_for", lambda url: Adapter())
    await publish(url, "job")
    with pytest.raises(Unavailable, match="while closing"):
        await run(Route(url, handler))

    opened_by, closed_by = (task for name, task in tasks if name == other)
    assert opened_by is closed_by


@virtual_time
async def test_follow_ups_on_their_way_at_the_end_of_the_grace_are_published_and_their_cause_is_acknowledged():
    """Cutting them off would leave it in doubt whether they are there."""
    url = fresh_url()

    async def slow(method, batch):
        await asyncio.sleep(8)
        return await method(batch)

    await publish(url, "job")
    route = Route(url, returning(Message(request_type="next")), adapter=FaultyAdapter(APART, publish=slow))
    async with running(route, grace=2) as worker:
        await pass_time(1)
        worker.stop()

    assert worker.columns == {"received": 1, "acked": 1}
    assert await counts(url) == {"ready": 1}


@virtual_time
async def test_publish_middleware_that_is_cancelled_from_inside_fails_its_message_and_its_slot_goes_on():
    url, left = fresh_url(), [asyncio.CancelledError()]

    def middleware(message):
        if left:
            raise left.pop()
        return message

    await publish(url, "job")
    async with asyncio.timeout(1000):
        route = Route(url, returning(Message(request_type="next"), None), publish_middleware=[middleware])
        worker = await run(route, until=Until(max_messages=2))

    assert worker.columns == {"received": 2, "retried": 1, "acked": 1}
