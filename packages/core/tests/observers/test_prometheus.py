"""Metrics: what is counted under which labels, and that nothing a producer writes becomes a label."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pulpo_core import Bury, Dispatcher, Handlers, Message, Route, Until, open_publisher
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.events import (
    Alarm,
    LeaseExtended,
    LeaseGone,
    PublishFailed,
    ReceiveFailed,
    RouteHeld,
    RouteResumed,
    SettleFailed,
)
from pulpo_core.observers.prometheus import PrometheusObserver
from pulpo_core.testing import LoopClock, SeededJitter, virtual_time

URL = "memory://metrics"


@pytest.fixture
def url(request):
    return f"memory://metrics-{abs(hash(request.node.name))}?lease=60s"


def label(url):
    return url.partition("?")[0]


def handlers():
    made = Handlers()

    @made("email")
    async def email(message):
        await LoopClock().sleep(2)

    @made("fail")
    async def fail(message):
        return Bury("no such customer")

    made.default(lambda: None)
    return made


async def publish(url, *types, **options):
    async with open_publisher(url, clock=LoopClock(), jitter=SeededJitter(1), **options) as publisher:
        for request_type in types:
            await publisher.publish(Message(request_type=request_type))


async def run(route, observer, **options):
    dispatcher = Dispatcher(
        [route], observers=[observer], clock=LoopClock(), jitter=SeededJitter(2), until=Until(burst=True), **options
    )
    await dispatcher.run()


def value(observer, name, **labels):
    return observer.registry.get_sample_value(f"pulpo_{name}", labels)


@virtual_time
async def test_deliveries_are_counted_by_queue_type_and_outcome(url):
    route = Route(url, handlers())
    observer = PrometheusObserver([route])
    await publish(url, "email", "email", "fail")

    await run(route, observer)

    queue = label(url)
    assert value(observer, "messages_total", queue=queue, type="email", outcome="acked") == 2
    assert value(observer, "messages_total", queue=queue, type="fail", outcome="buried") == 1
    assert value(observer, "buried_total", queue=queue, reason="asked") == 1
    assert value(observer, "received_total", queue=queue) == 3
    assert value(observer, "in_flight", queue=queue) == 0
    assert value(observer, "process_seconds_sum", queue=queue, type="email") == 4


@virtual_time
async def test_what_a_producer_writes_never_becomes_a_label(url):
    route = Route(url, handlers())
    observer = PrometheusObserver([route])
    await publish(url, *(f"invented-{number}" for number in range(50)))

    await run(route, observer)

    assert value(observer, "messages_total", queue=label(url), type="other", outcome="acked") == 50
    assert b"invented" not in generate_latest(observer.registry)


@virtual_time
async def test_every_series_of_a_route_begins_at_0(url):
    route = Route(url, handlers())
    observer = PrometheusObserver([route])

    await run(route, observer)

    queue = label(url)
    assert value(observer, "messages_total", queue=queue, type="fail", outcome="buried") == 0
    assert value(observer, "lease_lost_total", queue=queue) == 0
    assert value(observer, "receive_failures_total", queue=queue) == 0


@virtual_time
async def test_a_producer_counts_what_it_publishes_and_what_it_could_not(url):
    observer = PrometheusObserver(types=["email"])

    await publish(url, "email", "strange", observers=[observer])
    observer(PublishFailed(queue=url, message=Message(), error=OSError()))

    queue = label(url)
    assert value(observer, "published_total", queue=queue, type="email") == 1
    assert value(observer, "published_total", queue=queue, type="other") == 1
    assert value(observer, "publish_failures_total", queue=queue) == 1


COUNTED = {
    "lease_lost_total": LeaseGone(route="mail", delivery=None),
    "receive_failures_total": ReceiveFailed(route="mail", error=OSError(), delay=timedelta()),
    "settle_failures_total": SettleFailed(route="mail", delivery=None, error=OSError(), final=True),
    "alarms_total": Alarm(route="mail", text="look"),
    "lease_extensions_total": LeaseExtended(route="mail", count=1),
    "route_held": RouteHeld(route="mail", cause="paused", duration=None),
}


@pytest.mark.parametrize(("name", "event"), COUNTED.items(), ids=COUNTED)
def test_what_goes_wrong_is_counted_by_queue(name, event):
    observer = PrometheusObserver([Route("memory://shop?lease=5s", handlers(), name="mail")])

    observer(event)

    assert value(observer, name, queue="memory://shop") == 1


def test_a_route_that_receives_again_is_held_no_more():
    observer = PrometheusObserver()
    observer(RouteHeld(route="mail", cause="paused", duration=None))
    observer(RouteResumed(route="mail"))

    assert value(observer, "route_held", queue="mail") == 0


@asynccontextmanager
async def at_work(route, observer):
    dispatcher = Dispatcher([route], observers=[observer], clock=LoopClock(), jitter=SeededJitter(2))
    async with (
        observer.around(dispatcher, every=timedelta(seconds=10), clock=LoopClock()),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(dispatcher.run())
        await LoopClock().advance(2)
        yield dispatcher
        dispatcher.stop()


@virtual_time
async def test_queues_are_counted_at_an_interval(url):
    route = Route(url, handlers(), concurrency=1)
    observer = PrometheusObserver([route])
    await publish(url, *["email"] * 20)

    async with at_work(route, observer):
        soon = value(observer, "queue_depth", queue=label(url), state="ready")
        await LoopClock().advance(10)
        later = value(observer, "queue_depth", queue=label(url), state="ready")
        oldest = value(observer, "oldest_message_age_seconds", queue=label(url))

    assert (soon, later) == (20, 15)
    assert oldest == 10


@virtual_time
async def test_a_queue_that_cannot_be_counted_has_no_samples_and_ends_nothing(url, caplog):
    class Uncountable(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, **options):
            async with MemoryAdapter().open(url, **options) as queue:
                queue.stats = broken
                yield queue

    async def broken():
        raise RuntimeError("no numbers today")

    route = Route(url, handlers(), adapter=Uncountable())
    observer = PrometheusObserver([route])
    async with at_work(route, observer) as dispatcher:
        await LoopClock().advance(30)
        assert dispatcher.phase == "receiving"

    assert value(observer, "queue_depth", queue=label(url), state="ready") is None
    assert "counting queues failed" in caplog.text


@virtual_time
async def test_requests_are_counted_where_the_queue_counts_them(url):
    class Billing(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, **options):
            async with MemoryAdapter().open(url, **options) as queue:
                queue.requests, queue.deferred = {"ReceiveMessage": 7}, 0
                yield queue

    route = Route(url, handlers(), adapter=Billing())
    observer = PrometheusObserver([route])
    async with at_work(route, observer):
        await LoopClock().advance(30)

        assert value(observer, "requests_total", queue=label(url), operation="ReceiveMessage") == 7
        assert value(observer, "abandoned_handlers") == 0


def test_core_does_not_load_what_is_an_extra():
    import subprocess
    import sys

    code = "import sys, pulpo_core, pulpo_core.observers; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_scraped_can_be_parsed_and_has_each_family_once():
    observer = PrometheusObserver([Route("memory://shop", handlers())])
    observer(Alarm(route="memory://shop", text="look"))

    metrics = observer.metrics()
    names = [family.name for family in text_string_to_metric_families(metrics.text().decode())]

    assert metrics.content_type.startswith("text/plain")
    assert {"pulpo_alarms", "pulpo_messages", "process_cpu_seconds"} <= set(names)
    assert len(names) == len(set(names))


def test_two_observers_have_a_registry_each_unless_told_otherwise():
    registry = CollectorRegistry()
    first, second = PrometheusObserver(), PrometheusObserver(registry=registry)

    assert first.registry is not second.registry
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusObserver(registry=registry)
