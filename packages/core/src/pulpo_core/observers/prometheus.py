"""What happens as Prometheus metrics; needs the extra ``pulpo-core[prometheus]``.

::

    metrics = PrometheusObserver(routes)
    dispatcher = Dispatcher(routes, observers=[metrics])

Labels are bounded: the queues are those of the routes, outcomes and reasons are closed lists, and a
request type that no route names a handler for is counted as ``other``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from pulpo_core.application.clock import SystemClock
from pulpo_core.application.dispatcher import Dispatcher
from pulpo_core.application.handlers import as_table
from pulpo_core.application.route import Route, display_name
from pulpo_core.domain.decision import Tally
from pulpo_core.ports.adapter import QueueStats
from pulpo_core.ports.clock import Clock
from pulpo_core.ports.observer import (
    Alarm,
    Event,
    LeaseExtended,
    LeaseGone,
    Published,
    PublishFailed,
    Received,
    ReceiveFailed,
    RouteHeld,
    RouteResumed,
    RouteStarted,
    Settled,
    SettleFailed,
)

from .health import Metrics

log = logging.getLogger("pulpo.observers")

#: The label of request types that no route names.
OTHER: Final = "other"

#: Bounds in seconds: from a handler that does next to nothing to one that takes half an hour.
BUCKETS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

#: How often the queues are counted.
SAMPLE_EVERY: Final = timedelta(seconds=15)

_STATES: Final = ("ready", "delayed", "reserved", "buried")


class PrometheusObserver:
    """Counts events in *registry*.

    Args:
        routes: those that will be observed; their queues and request types become labels.
        types: further request types that get a label of their own, such as those that are only published here.
        registry: where the metrics are; one of its own unless given.
    """

    def __init__(
        self,
        routes: Iterable[Route] = (),
        *,
        types: Iterable[str] = (),
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.registry = registry or CollectorRegistry()
        routes = list(routes)
        self._queues = {route.name: display_name(route.queue) for route in routes}
        handled = (name for route in routes for name in as_table(route.handlers).by_type)
        self._types = frozenset((*types, *handled))
        self._metrics = _Metrics(self.registry)

    def __call__(self, event: Event) -> None:
        """Count *event*."""
        count = _COUNTED_BY.get(type(event))
        if count is not None:
            count(self, event)

    def metrics(self) -> Metrics:
        """For `HealthServer`: these metrics, and those of the default registry, where an application has its own."""
        registries = [self.registry, *({REGISTRY} - {self.registry})]
        return Metrics(CONTENT_TYPE_LATEST, lambda: b"".join(generate_latest(registry) for registry in registries))

    def queue_of(self, route: str) -> str:
        """The label for the queue of *route*."""
        return self._queues.get(route, route)

    def _type(self, request_type: str | None) -> str:
        return request_type if request_type in self._types else OTHER

    def _started(self, event: RouteStarted) -> None:
        """Let every series of the queue begin at 0: a rate needs two samples, and an alert something to look at."""
        queue = self.queue_of(event.route)
        metrics = self._metrics
        for metric in (metrics.received, metrics.in_flight, metrics.lease_lost, metrics.receive_failures, metrics.held):
            metric(queue)
        for request_type in (*self._types, OTHER):
            for tally in (Tally.ACKED, Tally.RETRIED, Tally.BURIED):
                metrics.messages(queue, request_type, str(tally))

    def _received(self, event: Received) -> None:
        queue = self.queue_of(event.route)
        self._metrics.received(queue).inc()
        self._metrics.in_flight(queue).inc()

    def _settled(self, event: Settled) -> None:
        queue, request_type = self.queue_of(event.route), self._type(event.request_type)
        self._metrics.in_flight(queue).dec()
        self._metrics.messages(queue, request_type, event.tally).inc()
        if event.tally is Tally.BURIED:
            self._metrics.buried(queue, str(event.reason)).inc()
        if event.handling is not None:
            self._metrics.process(queue, request_type).observe(event.handling.total_seconds())

    def _published(self, event: Published) -> None:
        self._metrics.published(display_name(event.queue), self._type(event.message.request_type)).inc()

    def _publish_failed(self, event: PublishFailed) -> None:
        self._metrics.publish_failures(display_name(event.queue)).inc()

    def _extended(self, event: LeaseExtended) -> None:
        self._metrics.extended(self.queue_of(event.route)).inc(event.count)

    def _held(self, event: RouteHeld) -> None:
        self._metrics.held(self.queue_of(event.route)).set(1)

    def _resumed(self, event: RouteResumed) -> None:
        self._metrics.held(self.queue_of(event.route)).set(0)

    @asynccontextmanager
    async def around(
        self, dispatcher: Dispatcher, *, every: timedelta = SAMPLE_EVERY, clock: Clock | None = None
    ) -> AsyncGenerator[None]:
        """While open, count the queues of *dispatcher* too, and what it asks of brokers that bill.

        For `Manager.execute` and its ``around``. A queue that cannot be counted has no samples.

        Args:
            every: the pause between two counts; on SQS each of them is a request or two.
        """
        depths = _Depths(self, dispatcher)
        self.registry.register(depths)
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(depths.sample(every, clock or SystemClock()))
                yield
                task.cancel()
        finally:
            self.registry.unregister(depths)


class _Metrics:
    """Every metric by the name that the observer knows it by: called with labels it is the series of these.

    Series are kept once they were looked up, which is dear; there are few, since labels are bounded.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, help_text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(f"pulpo_{name}", help_text, ("queue", *labels), registry=registry).labels)

        def gauge(name: str, help_text: str) -> Callable[..., Gauge]:
            return cache(Gauge(f"pulpo_{name}", help_text, ("queue",), registry=registry).labels)

        self.messages = counter("messages", "Deliveries by what became of them.", "type", "outcome")
        self.buried = counter("buried", "Burials by reason.", "reason")
        self.received = counter("received", "Deliveries received.")
        self.published = counter("published", "Messages published and confirmed.", "type")
        self.publish_failures = counter("publish_failures", "Messages that were not published, or may not be.")
        self.lease_lost = counter("lease_lost", "Deliveries that stopped being ours while they were in hand.")
        self.extended = counter("lease_extensions", "Leases extended.")
        self.receive_failures = counter("receive_failures", "Receives that failed.")
        self.settle_failures = counter("settle_failures", "Settlements that were not confirmed, repeated or not.")
        self.alarms = counter("alarms", "Warnings about what a person should look at.")
        self.in_flight = gauge("in_flight", "Deliveries in hand.")
        self.held = gauge("route_held", "Whether nothing is received, because of a pause or a breaker.")
        process = Histogram(
            "pulpo_process_seconds", "What handlers took.", ("queue", "type"), buckets=BUCKETS, registry=registry
        )
        self.process: Callable[..., Histogram] = cache(process.labels)


def _counts(name: str) -> Callable[[PrometheusObserver, Any], None]:
    def count(observer: PrometheusObserver, event: Any) -> None:
        getattr(observer._metrics, name)(observer.queue_of(event.route)).inc()

    return count


#: What counts which event; whatever is not here is not counted.
_COUNTED_BY: Final[Mapping[type, Callable[[PrometheusObserver, Any], None]]] = {
    RouteStarted: PrometheusObserver._started,
    Received: PrometheusObserver._received,
    Settled: PrometheusObserver._settled,
    Published: PrometheusObserver._published,
    PublishFailed: PrometheusObserver._publish_failed,
    LeaseExtended: PrometheusObserver._extended,
    LeaseGone: _counts("lease_lost"),
    ReceiveFailed: _counts("receive_failures"),
    SettleFailed: _counts("settle_failures"),
    Alarm: _counts("alarms"),
    RouteHeld: PrometheusObserver._held,
    RouteResumed: PrometheusObserver._resumed,
}


class _Depths:
    """A collector of what was last counted in the queues, and of what the dispatcher knows at each scrape."""

    def __init__(self, observer: PrometheusObserver, dispatcher: Dispatcher) -> None:
        self._observer = observer
        self._dispatcher = dispatcher
        self._stats: Mapping[str, Any] = {}

    async def sample(self, every: timedelta, clock: Clock) -> None:
        """Count on and on, once the queues are open."""
        await self._dispatcher.until_open()
        while True:
            try:
                self._stats = await self._dispatcher.stats()
            except Exception:  # the boundary around observers: counting must not end what is counted
                log.exception("counting queues failed")
            await clock.sleep(every.total_seconds())

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        depth = GaugeMetricFamily(
            "pulpo_queue_depth", "Messages in the queue when it was last counted.", labels=("queue", "state")
        )
        oldest = GaugeMetricFamily(
            "pulpo_oldest_message_age_seconds", "How long the oldest ready message has waited.", labels=("queue",)
        )
        paused = GaugeMetricFamily(
            "pulpo_queue_paused", "Whether the queue is paused for everybody.", labels=("queue",)
        )
        for queue, stats in self._counted():
            for state in _STATES:
                if (number := getattr(stats, state)) is not None:
                    depth.add_metric((queue, state), number)
            if stats.oldest_age is not None:
                oldest.add_metric((queue,), stats.oldest_age.total_seconds())
            paused.add_metric((queue,), int(stats.paused))
        yield from (depth, oldest, paused, self._requests(), self._abandoned())

    def _counted(self) -> Iterator[tuple[str, QueueStats]]:
        """Each queue once, though several routes may share it."""
        found = {self._observer.queue_of(route): stats for route, stats in self._stats.items()}
        return ((queue, stats) for queue, stats in found.items() if isinstance(stats, QueueStats))

    def _requests(self) -> Metric:
        family = CounterMetricFamily("pulpo_requests", "Requests to brokers that bill.", labels=("queue", "operation"))
        totals: dict[tuple[str, str], int] = {}
        for route, requests in self._dispatcher.requests.items():
            for operation, number in requests.items():
                key = (self._observer.queue_of(route), operation)
                totals[key] = totals.get(key, 0) + number
        for key, number in totals.items():
            family.add_metric(key, number)
        return family

    def _abandoned(self) -> Metric:
        return GaugeMetricFamily(
            "pulpo_abandoned_handlers", "Handlers that were given up.", value=self._dispatcher.abandoned
        )
