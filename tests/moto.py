"""moto's SQS and SNS over HTTP, made fit for contracts: one request at a time, and time that tests can move.

moto deviates from AWS in ways that matter here:

* it does not lock its queues, so under load a message is handed out twice or comes back after its
  deletion: here its application handles one request at a time, and long polls are a loop of short
  ones around it, so that they do not hold the others up;
* its clock is the system's: here it is whatever `MotoServer.clock` says.

What it does otherwise than AWS, and nobody can mend from outside, is named where a test meets it.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

import moto.sqs.models
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.clocks import SystemTime, TellsTime

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

_EPOCH = datetime.fromtimestamp(0, UTC)

#: Real seconds between two looks of a long poll, and after which one gives up whatever its clock says.
_LOOK_AGAIN = 0.005
_GIVE_UP = 25.0

#: The path of a request that asks whether the server is there.
_PING = "/ping"

#: Seconds by which time moves whenever moto looks at it, so that it never stands still; a float tells no less apart.
_TICK = 1e-6


class _KeepsAlive(MotoRequestHandler):
    """Serves many requests over one connection, as AWS does."""

    protocol_version = "HTTP/1.1"


class MotoServer:
    """moto on a port of the loopback interface.

    Attributes:
        clock: the time of its queues; the system's until a test sets another.
    """

    def __init__(self) -> None:
        self.clock: TellsTime = SystemTime()
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._ticks = 0
        self._busy = 0
        self._count = threading.Lock()

    @property
    def url(self) -> str:
        """Its endpoint."""
        assert self._server is not None, "the server is started by entering its context"
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._before = moto.sqs.models.unix_time, moto.sqs.models.unix_time_millis
        moto.sqs.models.unix_time = self._seconds
        moto.sqs.models.unix_time_millis = lambda: self._seconds() * 1000.0
        self._server = make_server("127.0.0.1", 0, self._handle, threaded=True, request_handler=_KeepsAlive)
        self._thread = threading.Thread(target=self._server.serve_forever, name="moto", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._closing = True
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        moto.sqs.models.unix_time, moto.sqs.models.unix_time_millis = self._before

    def _seconds(self, moment: datetime | None = None) -> float:
        self._ticks += 1  # for moto, what becomes visible now is visible only after now
        return ((moment or self.clock.now()) - _EPOCH).total_seconds() + self._ticks * _TICK

    # --- requests, one at a time

    def wait_until_idle(self) -> None:
        """Return when every request that has reached the server is answered, but for long polls."""
        with urllib.request.urlopen(f"{self.url}{_PING}", timeout=10) as answer:
            answer.read()
        while self._busy:
            time.sleep(0.001)

    def _handle(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == _PING:
            start_response("200 OK", [("Content-Length", "0")])
            return [b""]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        wait = self._take_wait(environ, body)
        if wait is None:
            with self._counted():
                return self._answer(environ, body, start_response)
        return self._poll(environ, wait[0], wait[1], start_response)

    @staticmethod
    def _take_wait(environ: Environ, body: bytes) -> tuple[bytes, float] | None:
        """The body of a long poll without its wait, and the wait; `None` for any other request."""
        if not environ.get("HTTP_X_AMZ_TARGET", "").endswith(".ReceiveMessage"):
            return None
        document = json.loads(body)
        wait = float(document.get("WaitTimeSeconds") or 0)
        return (json.dumps({**document, "WaitTimeSeconds": 0}).encode(), wait) if wait else None

    def _poll(self, environ: Environ, body: bytes, wait: float, start_response: StartResponse) -> Iterable[bytes]:
        end, give_up = self._seconds() + wait, time.monotonic() + _GIVE_UP
        while True:
            if _is_gone(environ):
                start_response("200 OK", [("Content-Length", "2")])
                return [b"{}"]
            head: list[tuple[str, list[tuple[str, str]]]] = []
            with self._counted():
                answer = self._answer(environ, body, partial(_keep, head))
            over = self._seconds() >= end or time.monotonic() > give_up or self._closing
            if over or b'"Messages"' in answer[0] or not head[0][0].startswith("200"):
                start_response(*head[0])
                return answer
            time.sleep(_LOOK_AGAIN)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._count:
            self._busy += 1
        try:
            yield
        finally:
            with self._count:
                self._busy -= 1

    def _answer(self, environ: Environ, body: bytes, start_response: StartResponse) -> list[bytes]:
        fresh = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        with self._lock:
            return [b"".join(self._app(fresh, start_response))]


def _is_gone(environ: Environ) -> bool:
    """Whether the client has closed its connection: who polls for nobody must not take anything."""
    try:
        return environ["werkzeug.socket"].recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _keep(head: list[tuple[str, list[tuple[str, str]]]], status: str, headers: list[tuple[str, str]], *_: Any) -> None:
    head.append((status, headers))
