"""Traces: which spans there are, what they say, and how they hang together."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path

import attrs
import pytest
from dependency_injector import containers, providers
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pulpo_core import (
    BuryMessage,
    Dispatcher,
    FollowUp,
    Handlers,
    Message,
    Policy,
    PulpoJson,
    RetryMessage,
    Route,
    Unavailable,
    Until,
    open_publisher,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.config import RouteSettings, Settings
from pulpo_core.container import PulpoContainer, manager_of
from pulpo_core.domain.url import parse_url
from pulpo_core.observers import otel
from pulpo_core.observers.otel import Tracing, destination

_NUMBERS = count(1)


@attrs.define
class Traces:
    """A tracer with everything it has exported."""

    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    provider: TracerProvider = attrs.field(factory=TracerProvider)

    def __attrs_post_init__(self):
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def tracing(self, **options):
        return Tracing(tracer_provider=self.provider, **options)

    def span(self, name):
        return self.provider.get_tracer("test").start_as_current_span(name)

    def named(self, beginning):
        return [span for span in self.exporter.get_finished_spans() if span.name.startswith(beginning)]

    def one(self, beginning):
        [span] = self.named(beginning)
        return span


@pytest.fixture
def traces():
    return Traces()


@pytest.fixture
def url():
    return f"memory://traced-{next(_NUMBERS)}"


async def publish(tracing, url, *messages, **options):
    async with tracing.open_publisher(url, **options) as publisher:
        return [await publisher.publish(message) for message in messages]


async def handle(tracing, url, handler, **options):
    routes = tracing.instrument([Route(url, handler, **options)])
    await Dispatcher(routes, observers=[tracing], until=Until(burst=True)).run()


async def nothing(message):
    """A handler."""


def tell_where(payload):
    """A handler that writes down in which span it runs."""
    context = trace.get_current_span().get_span_context()
    Path(payload).write_text(f"{context.trace_id:x} {context.span_id:x}")


# ------------------------------------------------------------------------------------------------------------ send


async def test_publishing_is_a_span_whose_context_travels_in_the_header(traces, url):
    [stored] = await publish(traces.tracing(), url, Message(request_type="email"))

    span = traces.one("send ")
    assert (span.name, span.kind) == (f"send {url.removeprefix('memory://')}", SpanKind.PRODUCER)
    assert dict(span.attributes) == {
        "messaging.system": "pulpo_memory",
        "messaging.destination.name": url.removeprefix("memory://"),
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.id": stored.id,
        "pulpo.uid": stored.uid,
        "pulpo.request_type": "email",
    }
    trace_id, span_id = f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"
    assert stored.header["traceparent"].startswith(f"00-{trace_id}-{span_id}-0")


async def test_publishing_is_a_child_of_what_is_going_on(traces, url):
    with traces.span("request") as request:
        await publish(traces.tracing(), url, Message())

    assert traces.one("send ").parent.span_id == request.context.span_id


def test_publishing_from_synchronous_code_is_a_child_of_what_is_going_on_there(traces, url):
    with traces.tracing().open_publisher_sync(url) as publisher, traces.span("request") as request:
        publisher.publish(Message())

    assert traces.one("send ").parent.span_id == request.context.span_id


async def test_a_message_that_is_passed_on_stays_in_its_trace(traces, url):
    """A bridge that publishes what it has received from elsewhere, without a span of its own."""
    header = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}

    await publish(traces.tracing(), url, Message(header=header))

    assert f"{traces.one('send ').context.trace_id:032x}" == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_what_could_not_be_published_is_an_error(traces, url):
    class Away(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, **options):
            async with MemoryAdapter().open(url, **options) as queue:
                queue.publish = fail
                yield queue

    async def fail(batch):
        raise Unavailable("the broker is away")

    with pytest.raises(Unavailable):
        await publish(traces.tracing(), url, Message(), adapter=Away())

    span = traces.one("send ")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "Unavailable")


async def test_a_publisher_that_tells_nothing_does_not_fill_the_memory(traces, url, monkeypatch):
    monkeypatch.setattr(otel, "MAX_SENDING", 3)
    tracing = traces.tracing()
    send = tracing._send(url)

    for number in range(10):
        send(Message(header={"uid": f"u{number}"}))

    assert len(tracing._sending) == 3
    assert len(traces.named("send ")) == 7


# --------------------------------------------------------------------------------------------------------- process


@pytest.mark.timeout(90)
async def test_a_handler_in_a_process_runs_within_the_span_too(traces, url, tmp_path):
    tracing, note, handlers = traces.tracing(), tmp_path / "note", Handlers()
    handlers.add("tell", tell_where, runs_in="process")
    await publish(tracing, url, Message(request_type="tell", body={"payload": str(note)}))

    await handle(tracing, url, handlers)

    context = traces.one("process ").context
    assert note.read_text() == f"{context.trace_id:x} {context.span_id:x}"


async def test_handling_is_a_span_that_links_to_the_producer(traces, url):
    tracing = traces.tracing()
    [stored] = await publish(tracing, url, Message(request_type="email"))

    await handle(tracing, url, nothing)

    sent, span = traces.one("send "), traces.one("process ")
    assert (span.kind, span.parent) == (SpanKind.CONSUMER, None)
    assert [link.context.span_id for link in span.links] == [sent.context.span_id]
    assert span.context.trace_id != sent.context.trace_id
    facts = {name: span.attributes[name] for name in span.attributes if not name.startswith("messaging.dest")}
    assert facts == {
        "messaging.system": "pulpo_memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": stored.id,
        "pulpo.uid": stored.uid,
        "pulpo.request_type": "email",
        "pulpo.attempt": 1,
        "pulpo.settlement": "acked",
        "pulpo.reason": "handled",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_handling_can_join_the_trace_of_the_producer(traces, url):
    tracing = traces.tracing(join=True)
    await publish(tracing, url, Message())

    await handle(tracing, url, nothing)

    sent, span = traces.one("send "), traces.one("process ")
    assert (span.context.trace_id, span.parent.span_id) == (sent.context.trace_id, sent.context.span_id)
    assert span.links == ()


def in_loop(traces):
    async def handler(message):
        with traces.span("work"):
            await asyncio.sleep(0)

    return handler


def in_thread(traces):
    def handler(message):
        with traces.span("work"):
            pass

    return handler


@pytest.mark.parametrize("kind", [in_loop, in_thread])
async def test_what_a_handler_begins_is_a_child_of_its_own_message(traces, url, kind):
    tracing = traces.tracing()
    await publish(tracing, url, Message(), Message())

    await handle(tracing, url, kind(traces))

    parents = {span.parent.span_id for span in traces.named("work")}
    assert parents == {span.context.span_id for span in traces.named("process ")}
    assert len(parents) == 2


async def test_what_an_error_handler_begins_is_a_child_too(traces, url):
    tracing = traces.tracing()
    await publish(tracing, url, Message())

    async def fail(message):
        raise LookupError

    async def forgive(exc_info, message):
        with traces.span("clean up"):
            return True

    await handle(tracing, url, fail, error_handler=forgive)

    assert traces.one("clean up").parent.span_id == traces.one("process ").context.span_id


@pytest.mark.parametrize("elsewhere", [False, True], ids=["into the same queue", "into another queue"])
async def test_follow_ups_are_sent_by_the_handling_of_their_cause(traces, url, elsewhere):
    tracing, other = traces.tracing(), f"{url}-other"
    await publish(tracing, url, Message(request_type="first"))

    async def handler(message):
        if message.request_type == "first":
            follow_up = Message(request_type="next")
            return FollowUp(follow_up, other) if elsewhere else follow_up
        return None

    await handle(tracing, url, handler)

    cause = next(span for span in traces.named("process ") if span.attributes["pulpo.request_type"] == "first")
    sent = next(span for span in traces.named("send ") if span.attributes["pulpo.request_type"] == "next")
    assert sent.parent.span_id == cause.context.span_id
    assert sent.name == f"send {(other if elsewhere else url).removeprefix('memory://')}"
    if not elsewhere:
        second = next(span for span in traces.named("process ") if span.attributes["pulpo.request_type"] == "next")
        assert second.links[0].context.span_id == sent.context.span_id


def raising(error):
    async def handler(message):
        raise error

    return handler


async def falsy(message):
    return False


ENDS = {
    "an exception": (raising(LookupError("no such customer")), "retried", "failed", "LookupError"),
    "a fatal one": (raising(ValueError("never")), "buried", "fatal", "ValueError"),
    "a wish to retry": (raising(RetryMessage("later", delay=60)), "retried", "asked", None),
    "a wish to bury": (raising(BuryMessage("no such customer")), "buried", "asked", None),
    "False": (falsy, "retried", "asked", None),
}


@pytest.mark.parametrize(("handler", "settlement", "reason", "error_type"), ENDS.values(), ids=ENDS)
async def test_the_span_says_how_the_message_was_settled(traces, url, handler, settlement, reason, error_type):
    tracing = traces.tracing()
    await publish(tracing, url, Message())

    await handle(tracing, url, handler, policy=Policy(fatal=(ValueError,)))

    span = traces.one("process ")
    assert (span.attributes["pulpo.settlement"], span.attributes["pulpo.reason"]) == (settlement, reason)
    assert span.attributes.get("error.type") == error_type
    assert (span.status.status_code is StatusCode.ERROR) is (error_type is not None)


async def test_a_span_ends_with_its_handler_and_not_with_its_settlement(traces, url):
    class Slow(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, **options):
            async with MemoryAdapter().open(url, **options) as queue:
                settle = queue.settle

                async def slowly(batch):
                    await asyncio.sleep(0.2)
                    return await settle(batch)

                queue.settle = slowly
                yield queue

    tracing = traces.tracing()
    await publish(tracing, url, Message())
    await handle(tracing, url, nothing, adapter=Slow())

    span = traces.one("process ")
    assert span.end_time - span.start_time < 0.2 * 1e9
    assert span.attributes["pulpo.settlement"] == "acked"


async def test_where_nobody_observes_the_run_spans_end_all_the_same(traces, url):
    tracing = traces.tracing()
    await publish(tracing, url, Message(request_type="first"))

    async def handler(message):
        return Message(request_type="next") if message.request_type == "first" else None

    await Dispatcher(tracing.instrument([Route(url, handler)]), until=Until(burst=True)).run()

    assert len(traces.named("process ")) == 2
    assert len(traces.named("send ")) == 2
    assert not tracing._processing
    assert not tracing._sending


async def test_a_message_without_context_or_with_nonsense_is_handled_all_the_same(traces, url):
    async with open_publisher(url) as publisher:
        await publisher.publish(Message())
        await publisher.publish(Message(header={"traceparent": "nonsense"}))
        await publisher.publish(Message(header={"traceparent": 7}))

    await handle(traces.tracing(), url, nothing)

    spans = traces.named("process ")
    assert [span.links for span in spans] == [(), (), ()]
    assert {span.attributes["pulpo.settlement"] for span in spans} == {"acked"}


async def test_bodies_are_in_no_span(traces, url):
    tracing = traces.tracing()
    await publish(tracing, url, Message(request_type="email", body={"payload": "secret-word"}))

    await handle(tracing, url, nothing)

    assert "secret-word" not in "".join(span.to_json() for span in traces.exporter.get_finished_spans())


async def test_without_an_sdk_nothing_is_put_into_headers(url):
    await publish(Tracing(tracer_provider=trace.NoOpTracerProvider()), url, Message())

    async with open_queue(url) as queue:
        [delivery] = await queue.receive(1, timedelta())
    assert "traceparent" not in PulpoJson().translate(delivery.envelope).header


NAMES = {
    "memory://orders?lease=5s": "orders",
    "file:///var/spool/shop.db?queue=mail": "mail",
    "file:///var/spool/shop.db": "shop.db",
    "beanstalkd://host:11300/tube": "tube",
    "sqs://orders?region=eu-west-1": "orders",
    "sqs://sqs.eu-west-1.amazonaws.com/123456789012/orders": "orders",
}


@pytest.mark.parametrize(("text", "name"), NAMES.items(), ids=NAMES)
def test_a_destination_is_the_queues_own_name(text, name):
    assert destination(parse_url(text)) == name


class Shop(containers.DeclarativeContainer):
    """An application whose handler publishes by the container's publisher."""

    pulpo = providers.Container(PulpoContainer)


async def test_an_application_in_a_container_is_traced_and_so_is_what_it_publishes(traces, url, monkeypatch):
    monkeypatch.setattr(trace, "get_tracer", lambda name, tracer_provider=None: traces.provider.get_tracer(name))
    shop = Shop()
    publisher = shop.pulpo.publisher

    async def first(message):
        await publisher().publish(Message(request_type="mail"), queue=f"{url}-mail")

    settings = Settings(traces=True, burst=True, routes={"first": RouteSettings(queue=url)})
    shop.pulpo.handlers.override(providers.Object(first))
    async with open_publisher(url) as outside:
        await outside.publish(Message(request_type="first"))

    report = await manager_of(shop, settings=settings).serve()

    assert report.error is None
    processed, sent = traces.one("process "), traces.one("send ")
    assert sent.name == f"send {url.removeprefix('memory://')}-mail"
    assert sent.parent.span_id == processed.context.span_id


def test_without_the_wish_to_nothing_is_traced():
    assert Shop().pulpo.tracing() is None
