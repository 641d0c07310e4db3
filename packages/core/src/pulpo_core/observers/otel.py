"""What happens as OpenTelemetry traces; needs the extra ``pulpo-core[otel]``, which is the API alone.

SDK and exporter are the application's. Without them spans cost little and go nowhere. ::

    tracing = Tracing()
    Manager(tracing.instrument(routes), observers=[tracing]).run()

    async with tracing.open_publisher(url) as publisher:
        ...

Publishing is a span ``send {queue}``, whose context travels in the message's header, ``traceparent`` and
``tracestate``. Handling is a span ``process {queue}`` that links to it, or with ``join=True`` is its child. What the
handler begins by itself is a child of ``process``, in whichever thread or process it runs, and so are the follow-up
messages that it returns.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final

import attrs
from opentelemetry import context as current
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pulpo_core.application.luggage import take_along
from pulpo_core.application.publishing import MessagePublisher, open_publisher
from pulpo_core.application.route import Route
from pulpo_core.application.synchronous import SyncPublisher, open_publisher_sync
from pulpo_core.domain.decision import Tally
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.message import Message
from pulpo_core.domain.settlement import Reason
from pulpo_core.domain.signals import Signal
from pulpo_core.domain.url import QueueURL, parse_url
from pulpo_core.domain.wording import error_text
from pulpo_core.ports.handler import Middleware, Next, PublishMiddleware
from pulpo_core.ports.observer import Event, Published, PublishFailed, RouteStarted, RouteStopped, Settled

#: What the semantic conventions call each kind of queue; others go by their scheme.
SYSTEMS: Final[Mapping[str, str]] = {"sqs": "aws_sqs", "file": "pulpo_file", "memory": "pulpo_memory"}

#: Sends that are waited for; a publisher that tells nothing must not fill the memory.
MAX_SENDING: Final = 10_000

_NOT_DONE: Final = frozenset({Tally.RETRIED, Tally.BURIED, Tally.LEASE_LOST})

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_CARRIED: Final = ("traceparent", "tracestate")


@attrs.define(eq=False)
class _Processing:
    """A span of handling that waits for its settlement.

    Attributes:
        ended_at: nanoseconds since the epoch, once the handler has ended.
    """

    route: str
    span: Span
    ended_at: int | None = None


class _Here(AbstractContextManager["_Here"]):
    """A context that is entered where it is brought: in the process of a handler."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> _Here:
        self._token = current.attach(self._context)
        return self

    def __exit__(self, *_: object) -> None:
        current.detach(self._token)

    def __reduce__(self) -> tuple[Callable[[dict[str, str]], _Here], tuple[dict[str, str]]]:
        return _brought, (_injected(self._context),)


def _brought(carrier: dict[str, str]) -> _Here:
    return _Here(_PROPAGATOR.extract(carrier, context=Context()))


class Tracing:
    """Traces publishing and handling; one for a process will do.

    Args:
        tracer_provider: the global one unless given.
        join: let handling be part of the trace of whoever has published, instead of one that links to it.
    """

    def __init__(self, *, tracer_provider: trace.TracerProvider | None = None, join: bool = False) -> None:
        self._tracer = trace.get_tracer("pulpo", tracer_provider=tracer_provider)
        self._join = join
        self._observed: set[str] = set()
        self._processing: dict[Delivery, _Processing] = {}
        self._sending: OrderedDict[str, Span] = OrderedDict()

    # ------------------------------------------------------------------------------------------------- for users

    def instrument(self, routes: Iterable[Route]) -> list[Route]:
        """The same routes, traced. Let this object observe their dispatcher too: settlements are told there."""
        return [self._instrumented(route) for route in routes]

    def open_publisher(self, url: str, **options: Any) -> AbstractAsyncContextManager[MessagePublisher]:
        """`pulpo_core.open_publisher`, traced."""
        return open_publisher(url, **self._with_tracing(url, options))

    def open_publisher_sync(self, url: str, **options: Any) -> AbstractContextManager[SyncPublisher]:
        """`pulpo_core.open_publisher_sync`, traced; the span that is current in the calling thread is the parent."""
        return open_publisher_sync(url, **self._with_tracing(url, options))

    def send(self, message: Message) -> Message:
        """Publish middleware for a publisher to any queue which this object observes, such as `Publishers`."""
        return self._begun("send", {}, message, is_told=True)

    def __call__(self, event: Event) -> None:
        """Complete the spans that *event* is about."""
        match event:
            case Settled():
                self._settled(event)
            case Published(queue=queue, message=message):
                self._sent(queue, message, None)
            case PublishFailed(queue=queue, message=message, error=error):
                self._sent(queue, message, error)
            case RouteStarted(route=route):
                self._observed.add(route)
            case RouteStopped(route=route):
                self._stopped(route)
            case _:
                pass

    # --------------------------------------------------------------------------------------------------- process

    def _instrumented(self, route: Route) -> Route:
        return attrs.evolve(
            route,
            middleware=(self._process(route), *route.middleware),
            publish_middleware=(
                *route.publish_middleware,
                self._send(route.queue, is_told=lambda: route.name in self._observed),
            ),
        )

    def _process(self, route: Route) -> Middleware:
        url = parse_url(route.queue)
        name, fixed = f"process {destination(url)}", _attributes(url, "process")

        async def process(message: Message, delivery: Delivery, call_next: Next) -> Any:
            span = self._consumer(name, _carrier(message), {**fixed, **_facts(message, delivery)})
            # Never detached: the context is this message's own. Its error handler and its follow-ups see the span too.
            here = trace.set_span_in_context(span)
            current.attach(here)
            take_along(_Here(here))
            processing = _Processing(route.name, span)
            if route.name in self._observed:
                self._processing[delivery] = processing
            try:
                return await call_next(message, delivery)
            except Signal:
                raise  # what a handler wants is no error
            except BaseException as error:
                _fail(span, error)
                raise
            finally:
                processing.ended_at = time.time_ns()  # the clock by which spans begin, whatever that of the dispatcher
                if delivery not in self._processing:
                    span.end(processing.ended_at)

        return process

    def _consumer(self, name: str, carrier: Mapping[str, str], attributes: Mapping[str, Any]) -> Span:
        """A span that has begun, beside or within the trace of whoever has published."""
        producer = _PROPAGATOR.extract(carrier, context=Context())
        return self._tracer.start_span(
            name,
            kind=SpanKind.CONSUMER,
            context=producer if self._join else Context(),
            links=() if self._join else _links(producer),
            attributes=attributes,
        )

    def _settled(self, event: Settled) -> None:
        processing = self._processing.pop(event.delivery, None)
        if processing is None:
            return
        span = processing.span
        span.set_attribute("pulpo.settlement", str(event.tally))
        span.set_attribute("pulpo.reason", str(event.reason))
        if event.tally in _NOT_DONE and event.reason is not Reason.ASKED:
            span.set_status(StatusCode.ERROR, event.error or str(event.reason))
        span.end(processing.ended_at)

    def _stopped(self, route: str) -> None:
        """Nothing more will be told about what the route leaves behind."""
        self._observed.discard(route)
        for delivery in [delivery for delivery, each in self._processing.items() if each.route == route]:
            processing = self._processing.pop(delivery)
            processing.span.end(processing.ended_at)

    # ------------------------------------------------------------------------------------------------------ send

    def _with_tracing(self, url: str, options: dict[str, Any]) -> dict[str, Any]:
        middleware = (*options.pop("middleware", ()), self._send(url))
        return {**options, "middleware": middleware, "observers": (*options.pop("observers", ()), self)}

    def _send(self, url: str, *, is_told: Callable[[], bool] = lambda: True) -> PublishMiddleware:
        parsed = parse_url(url)
        name, fixed = f"send {destination(parsed)}", _attributes(parsed, "send")

        return lambda message: self._begun(name, fixed, message, is_told=is_told())

    def _begun(self, name: str, fixed: Mapping[str, Any], message: Message, *, is_told: bool) -> Message:
        """*message* with the context of a span that has begun, and that ends when it *is_told* what became of it."""
        parent = None if trace.get_current_span().get_span_context().is_valid else _carrier(message)
        span = self._tracer.start_span(
            name,
            kind=SpanKind.PRODUCER,
            context=_PROPAGATOR.extract(parent, context=Context()) if parent else None,
            attributes={**fixed, **_facts(message, None)},
        )
        if is_told:
            self._wait_for(message.uid or "", span)
        else:
            span.end()
        return message.with_header(**_injected(trace.set_span_in_context(span)))

    def _wait_for(self, uid: str, span: Span) -> None:
        self._sending[uid] = span
        if len(self._sending) > MAX_SENDING:
            self._sending.popitem(last=False)[1].end()

    def _sent(self, queue: str, message: Message, error: BaseException | None) -> None:
        span = self._sending.pop(message.uid or "", None)
        if span is None:
            return
        url = parse_url(queue)
        span.update_name(f"send {destination(url)}")  # a follow-up may have gone to another queue than the route's
        span.set_attributes(_attributes(url, "send"))
        if message.id is not None:
            span.set_attribute("messaging.message.id", message.id)
        if error is not None:
            _fail(span, error)
        span.end()


def destination(url: QueueURL) -> str:
    """The queue's own name in *url*: ``mail`` in ``file:///shop.db?queue=mail`` and in ``beanstalkd://host/mail``."""
    return url.parameters.get("queue") or url.path.rpartition("/")[2] or url.netloc


def _attributes(url: QueueURL, operation: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "messaging.system": SYSTEMS.get(url.scheme, url.scheme),
        "messaging.destination.name": destination(url),
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    if url.host and url.port:  # elsewhere what stands there is the name of the queue
        facts |= {"server.address": url.host, "server.port": url.port}
    return facts


def _facts(message: Message, delivery: Delivery | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"pulpo.uid": message.uid or ""}
    if message.request_type is not None:
        facts["pulpo.request_type"] = message.request_type
    if delivery is not None:
        facts |= {"messaging.message.id": delivery.id, "pulpo.attempt": delivery.attempt}
    return facts


def _carrier(message: Message) -> dict[str, str]:
    header = message.header
    return {name: header[name] for name in _CARRIED if isinstance(header.get(name), str)}


def _injected(context: Context) -> dict[str, str]:
    """*context* as headers."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, context=context)
    return carrier


def _links(producer: Context) -> list[Link]:
    context = trace.get_current_span(producer).get_span_context()
    return [Link(context)] if context.is_valid else []


def _fail(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(StatusCode.ERROR, error_text(error))
