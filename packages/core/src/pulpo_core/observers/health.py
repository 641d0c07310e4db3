"""Whether a worker lives and is ready, over HTTP: for probes of Kubernetes, load balancers and people with curl.

It answers from the event loop in which handlers run, so a loop that is stuck does not answer. Whether a
broker can be reached changes nothing: restarting workers repairs no broker.

===========  ======================================  =========================================================
path         200 while                               503 otherwise
===========  ======================================  =========================================================
``/livez``   the event loop answers                  the run has ended
``/readyz``  every route is open and may receive     it starts, drains (from the first signal on), or has ended
``/metrics`` there are metrics; else 404
===========  ======================================  =========================================================
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import attrs

from pulpo_core.application.dispatcher import Dispatcher
from pulpo_core.application.phase import Phase
from pulpo_core.domain.errors import ConfigurationError

log = logging.getLogger("pulpo.health")

#: Bytes of a request's head; no probe needs a tenth of it.
MAX_HEAD: Final = 8192

#: Seconds for a client to say what it wants, and again to take the answer.
PATIENCE: Final = 5.0

#: Connections at once; further ones are closed.
MAX_CONNECTIONS: Final = 32

JSON: Final = "application/json"


@attrs.frozen
class Answer:
    """What is sent back."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = JSON


@attrs.frozen
class Metrics:
    """Where ``/metrics`` comes from.

    Attributes:
        content_type: what `text` returns.
        text: makes it; called for each request, in the event loop.
    """

    content_type: str
    text: Callable[[], bytes]


@attrs.define
class HealthServer:
    """Answers on *host* and *port* while a dispatcher runs.

    ::

        Manager(routes).run(around=[HealthServer(port=8080).around])

    Attributes:
        host: the loopback address unless given: what it tells is for the host's own eyes.
        port: 0 takes a free one; `address` says which.
        metrics: what ``/metrics`` answers, if anything.
        address: host and port once it is open, else `None`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    metrics: Metrics | None = None
    address: tuple[str, int] | None = attrs.field(init=False, default=None)
    _connections: set[asyncio.Task[Any]] = attrs.field(init=False, factory=set)

    @asynccontextmanager
    async def around(self, dispatcher: Dispatcher) -> AsyncGenerator[HealthServer]:
        """Open it for *dispatcher*; for `Manager.execute` and `Manager.serve`.

        Raises:
            ConfigurationError: the port is taken, or the address is not this host's.
        """
        server = await self._listen(dispatcher)
        host, port = self.address = server.sockets[0].getsockname()[:2]
        log.info("health: http://%s:%d", f"[{host}]" if ":" in host else host, port, extra={"pulpo_port": port})
        try:
            yield self
        finally:
            self.address = None
            server.close()
            await self._hang_up()

    async def _hang_up(self) -> None:
        for each in self._connections:
            each.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=PATIENCE)

    async def _listen(self, dispatcher: Dispatcher) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None:
                raise AssertionError("a connection is served by a task")
            self._connections.add(task)
            try:
                await self._serve(dispatcher, reader, writer)
            finally:
                self._connections.discard(task)

        try:
            return await asyncio.start_server(serve, self.host, self.port, limit=MAX_HEAD)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(f"health port {self.port} on {self.host}: {reason}") from error

    async def _serve(self, dispatcher: Dispatcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._connections) <= MAX_CONNECTIONS:
                await self._exchange(dispatcher, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            log.debug("a client of the health server went away, or was too slow")
        finally:
            writer.transport.abort()  # closing alone would wait for ever for a client that reads nothing

    async def _exchange(
        self, dispatcher: Dispatcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            method, answer = "GET", Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            method, answer = self._answer_to(head, dispatcher)
        async with asyncio.timeout(PATIENCE):
            writer.write(_response(answer, with_body=method != "HEAD"))
            writer.close()
            await writer.wait_closed()  # until it has gone out

    def _answer_to(self, head: bytes, dispatcher: Dispatcher) -> tuple[str, Answer]:
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", Answer(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if method not in ("GET", "HEAD"):
            return method, Answer(HTTPStatus.METHOD_NOT_ALLOWED)
        return method, self.answer(target.partition("?")[0], dispatcher)

    def answer(self, path: str, dispatcher: Dispatcher) -> Answer:
        """What is answered to a request for *path*."""
        match path:
            case "/livez":
                return _verdict(dispatcher, good=dispatcher.phase is not Phase.ENDED)
            case "/readyz":
                return _verdict(dispatcher, good=dispatcher.phase is Phase.RECEIVING)
            case "/metrics" if self.metrics is not None:
                return _measured(self.metrics)
            case "/metrics":
                return _told(HTTPStatus.NOT_FOUND, {"error": "no metrics; pip install 'pulpo-core[prometheus]'"})
            case _:
                return _told(HTTPStatus.NOT_FOUND, {"error": "there are /livez, /readyz and /metrics"})


def _measured(metrics: Metrics) -> Answer:
    try:
        return Answer(HTTPStatus.OK, metrics.text(), metrics.content_type)
    except Exception:  # whatever else is registered, an application's own collectors among them
        log.exception("metrics cannot be told")
        return _told(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "a collector failed; the log says how"})


def _verdict(dispatcher: Dispatcher, *, good: bool) -> Answer:
    return _told(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, condition(dispatcher))


def condition(dispatcher: Dispatcher) -> dict[str, Any]:
    """How *dispatcher* does, as JSON: its phase, and for each route when it last got anywhere."""
    paused = dispatcher.paused
    return {
        "phase": str(dispatcher.phase),
        "abandoned_handlers": dispatcher.abandoned,
        "routes": {
            name: {
                "last_receive_seconds": _seconds(progress.last_receive),
                "last_settled_seconds": _seconds(progress.last_settled),
                "in_hand": progress.in_hand,
                "running": progress.running,
                "paused": name in paused,
            }
            for name, progress in dispatcher.progress.items()
        },
    }


def _seconds(ago: timedelta | None) -> float | None:
    return None if ago is None else round(ago.total_seconds(), 3)


def _told(status: HTTPStatus, facts: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(facts).encode() + b"\n")


def _response(answer: Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("latin-1") + (answer.body if with_body else b"")
