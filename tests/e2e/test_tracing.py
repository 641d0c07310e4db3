"""A trace goes on where a message is handled, whatever queue lies between and whichever process has published it."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pulpo_core import Dispatcher, Handlers, Message, Route, Until
from pulpo_core.observers.otel import Tracing
from tests.moto import MotoServer
from tests.servers import BeanstalkdServer

_NUMBERS = itertools.count()

#: Publishes to the queue that its argument names, inside a span of its own, and says which.
PRODUCER = """
import sys
from opentelemetry.sdk.trace import TracerProvider
from pulpo_core import Message
from pulpo_core.observers.otel import Tracing

provider = TracerProvider()
tracing = Tracing(tracer_provider=provider)
with tracing.open_publisher_sync(sys.argv[1]) as publisher:
    with provider.get_tracer("shop").start_as_current_span("order"):
        stored = publisher.publish(Message(request_type="email", body={"payload": 1}))
print(stored.header["traceparent"])
"""


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/shop.db?queue=mail"


@pytest.fixture
def beanstalkd_url(beanstalkd: BeanstalkdServer) -> str:
    return beanstalkd.url(f"traced-{next(_NUMBERS)}")


@pytest.fixture
def sqs_url(moto_server: MotoServer, aws_credentials: None) -> str:
    name = f"traced-{next(_NUMBERS)}"
    for each in (name, f"{name}-buried"):
        boto3.client("sqs", endpoint_url=moto_server.url).create_queue(QueueName=each)
    return f"sqs://{name}?endpoint_url={moto_server.url}"


def publish_elsewhere(url: str) -> str:
    """Publish from a process of its own; the context that its message carries."""
    produced = subprocess.run(
        [sys.executable, "-c", PRODUCER, url], capture_output=True, text=True, timeout=50, check=True, env=os.environ
    )
    return produced.stdout.strip()


def publish_here(url: str) -> str:
    tracing = Tracing(tracer_provider=TracerProvider())
    with tracing.open_publisher_sync(url) as publisher:
        return str(publisher.publish(Message(request_type="email")).header["traceparent"])


def handled(url: str) -> dict[str, ReadableSpan]:
    """Handle what is in the queue; the spans by their names."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(tracer_provider=provider)
    handlers = Handlers()

    @handlers("email")
    async def email(message: Message) -> None:
        with provider.get_tracer("shop").start_as_current_span("send e-mail"):
            await asyncio.sleep(0)

    routes = tracing.instrument([Route(url, handlers)])
    asyncio.run(Dispatcher(routes, observers=[tracing], until=Until(max_messages=1)).run())
    return {span.name.partition(" ")[0]: span for span in exporter.get_finished_spans()}


@pytest.mark.parametrize(
    ("queue", "publish"),
    [
        pytest.param("file_url", publish_elsewhere, id="file"),
        pytest.param("beanstalkd_url", publish_elsewhere, id="beanstalkd"),
        pytest.param("sqs_url", publish_elsewhere, id="SQS"),
        pytest.param("memory_url", publish_here, id="memory"),
    ],
)
def test_handling_links_to_whoever_has_published(
    request: pytest.FixtureRequest, queue: str, publish: Callable[[str], str]
) -> None:
    url = f"memory://traced-{uuid4().hex}" if queue == "memory_url" else request.getfixturevalue(queue)
    _, trace_id, span_id, _ = publish(url).split("-")

    spans = handled(url)

    [link] = spans["process"].links
    assert (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}") == (trace_id, span_id)
    assert link.context.is_remote
    assert spans["send"].parent.span_id == spans["process"].context.span_id
    assert spans["process"].attributes["pulpo.settlement"] == "acked"
