"""An SQS server of our own, over HTTP: it answers as AWS documents, in time that tests move, and fails as told.

``python -m tests.sqs_server PORT [HOST]`` runs it by itself, for tests that kill the processes around it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import attrs
from aiohttp import web

from tests.clocks import SystemTime, TellsTime
from tests.sqs_state import OPERATIONS, SqsError, SqsState

#: Real seconds between two looks of a long poll at the time and at the queue.
_LOOK_AGAIN = 0.002


@attrs.frozen(kw_only=True)
class Fault:
    """One way to fail.

    Attributes:
        error: answer with this instead.
        done: carry the request out all the same.
        seconds: real time before anything else.
        cut: close the connection instead of answering; ``midway`` after half of the answer.
        entries: places in a batch that fail with *error*, while the others are carried out.
        answer: send this instead of what SQS would say.
    """

    error: SqsError | None = None
    done: bool = False
    seconds: float = 0.0
    cut: str = ""
    entries: frozenset[int] = frozenset()
    answer: bytes | None = None


@attrs.define
class SqsServer:
    """The server while it runs.

    Attributes:
        requests: how many came, by the name of the operation.
        seen: the operations and parameters of all of them, oldest first.
        busy: requests under way.
        waiting: long polls among them.
        stopped: connections are cut as soon as they ask for anything.
        on_request: awaited before each request, with the name of the operation.
        stubborn: a long poll goes on when its client is gone, and takes messages for nobody.
        sampling: every so many short polls asks servers that know of no message; 0 for never.
    """

    state: SqsState
    clock: TellsTime
    loop: asyncio.AbstractEventLoop
    requests: Counter[str] = attrs.field(factory=Counter)
    seen: list[tuple[str, Mapping[str, Any]]] = attrs.field(factory=list)
    busy: int = 0
    waiting: int = 0
    sampling: int = 0
    stopped: bool = False
    on_request: Callable[[str], Awaitable[None]] | None = None
    stubborn: bool = False
    site: web.TCPSite | None = None
    _denied: set[tuple[str, str]] = attrs.field(factory=set)
    _refused: dict[tuple[str, str], SqsError] = attrs.field(factory=dict)
    _faults: dict[str, deque[Fault]] = attrs.field(factory=dict)
    _short_polls: int = 0
    _connections: set[asyncio.Transport] = attrs.field(factory=set)

    @property
    def url(self) -> str:
        """Its endpoint."""
        return self.state.endpoint

    def now(self) -> float:
        """The time of its queues, in seconds since 1970."""
        return self.clock.now().timestamp()

    def fail(self, operation: str, *faults: Fault) -> None:
        """Let the next requests for *operation* meet *faults*, one each."""
        self._faults.setdefault(operation, deque()).extend(faults)

    def deny(self, operation: str, queue: str = "") -> None:
        """Refuse *operation*, on one queue or on all of them, as to somebody without permission."""
        self._denied.add((operation, queue))

    def deny_for(self, operation: str, queue: str, error: SqsError) -> None:
        """Answer *operation* on one queue with *error*, until further notice."""
        self._refused[operation, queue] = error

    def create(self, name: str, **attributes: str) -> str:
        """Create a queue; its ARN."""
        fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self.state.create_queue({"QueueName": name, "Attributes": {**fifo, **attributes}}, self.now())
        return self.state.queues[name].arn

    def bodies(self, name: str) -> list[str]:
        """The bodies in a queue, whatever their state."""
        return [message.body for message in self.state.queues[name].messages.values()]

    def cut_connections(self) -> None:
        """Cut every connection there is; from any thread."""
        self.loop.call_soon_threadsafe(self._cut_all)

    async def close_site(self) -> None:
        """Listen no more: who connects is refused."""
        if self.site is not None:
            await self.site.stop()

    def _cut_all(self) -> None:
        for transport in self._connections:
            transport.abort()
        self._connections.clear()

    async def idle(self) -> None:
        """Return when every request that has reached the server is answered, but for long polls; in its own loop."""
        for _ in range(4):  # whatever lies in a socket is read, handled and answered by then, unless it takes longer
            await asyncio.sleep(0)
        while self.busy > self.waiting:  # noqa: ASYNC110 - requests end in many ways
            await asyncio.sleep(0.001)

    # --- requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.busy += 1
        try:
            return await self._handle(request)
        finally:
            self.busy -= 1

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._connections.add(request.transport)
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        asked = json.loads(await request.read())
        self.requests[operation] += 1
        self.seen.append((operation, asked))
        if self.on_request is not None:
            await self.on_request(operation)
        faults = self._faults.get(operation)
        fault = faults.popleft() if faults else Fault()
        await asyncio.sleep(fault.seconds)
        if fault.cut == "before" or self.stopped:
            return self._cut(request)
        status, headers, body = await self._answer(operation, asked, fault, partial(_is_gone, request))
        if fault.cut:
            return await self._cut_after(request, body, fault)
        return web.Response(status=status, body=body, headers=headers, content_type="application/x-amz-json-1.0")

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _cut_after(self, request: web.Request, body: bytes, fault: Fault) -> web.StreamResponse:
        if fault.cut == "midway":
            response = web.StreamResponse(headers={"Content-Length": str(len(body) + 10)})
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
        return self._cut(request)

    async def _answer(
        self, operation: str, asked: Mapping[str, Any], fault: Fault, gone: Callable[[], bool]
    ) -> tuple[int, dict[str, str], bytes]:
        try:
            if fault.error is not None and not fault.entries and not fault.done:
                raise fault.error
            said = await self._carry_out(operation, asked, fault, gone)
            if fault.error is not None and fault.done:
                raise fault.error
        except SqsError as error:
            document = {"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message}
            return error.status, {"x-amzn-query-error": f"{error.query_code};Sender"}, json.dumps(document).encode()
        return 200, {}, json.dumps(said).encode() if fault.answer is None else fault.answer

    async def _carry_out(
        self, operation: str, asked: Mapping[str, Any], fault: Fault, gone: Callable[[], bool]
    ) -> dict[str, Any]:
        queue = str(asked.get("QueueUrl") or asked.get("QueueName") or "").rpartition("/")[2]
        if {(operation, ""), (operation, queue)} & self._denied:
            raise SqsError("AccessDenied", f"not authorized to perform: sqs:{operation} on {queue}", status=403)
        if (operation, queue) in self._refused:
            raise self._refused[operation, queue]
        if fault.entries and fault.error is not None:
            return self._partly(operation, asked, fault.entries, fault.error)
        if operation == "ReceiveMessage":
            return await self._receive(asked, gone)
        return OPERATIONS[operation](self.state, asked, self.now())

    def _partly(
        self, operation: str, asked: Mapping[str, Any], places: frozenset[int], error: SqsError
    ) -> dict[str, Any]:
        entries = asked["Entries"]
        left = [entry for place, entry in enumerate(entries) if place not in places]
        said = OPERATIONS[operation](self.state, {**asked, "Entries": left}, self.now()) if left else {}
        told = {"SenderFault": error.status < 500, "Code": error.query_code, "Message": error.message}
        failed = [{"Id": entries[place]["Id"], **told} for place in sorted(places) if place < len(entries)]
        return {"Successful": said.get("Successful", []), "Failed": said.get("Failed", []) + failed}

    async def _receive(self, asked: Mapping[str, Any], gone: Callable[[], bool]) -> dict[str, Any]:
        wait = asked.get("WaitTimeSeconds") or 0
        if not wait:
            self._short_polls += 1
            if self.sampling and self._short_polls % self.sampling == 0:
                return {}
        end = self.now() + wait
        self.waiting += bool(wait)
        try:
            while True:
                said = OPERATIONS["ReceiveMessage"](self.state, asked, self.now())
                if said or self.now() >= end:
                    return said
                if gone() and not self.stubborn:
                    return {}
                await asyncio.sleep(_LOOK_AGAIN)
        finally:
            self.waiting -= bool(wait)


@asynccontextmanager
async def sqs_server(
    clock: TellsTime | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[SqsServer]:
    """A server on the loopback interface, unless *host* is another, whose time is *clock*'s."""
    server = SqsServer(SqsState(), clock or SystemTime(), asyncio.get_running_loop())
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/{tail:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    server.site = site
    [address] = runner.addresses
    server.state.endpoint = f"http://127.0.0.1:{address[1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def sqs_server_in_thread() -> Iterator[SqsServer]:
    """A server in a thread and an event loop of its own, for tests that have one loop each."""
    started: list[SqsServer] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with sqs_server() as server:
            started.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="sqs", daemon=True)
    thread.start()
    ready.wait(timeout=10)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)
        loop.close()


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _serve(port: int, host: str = "127.0.0.1") -> None:
    async with sqs_server(host=host, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
