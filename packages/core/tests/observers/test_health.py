"""The health server: what it answers in each phase, from which loop, and what it does with clients that misbehave."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from pulpo_core import ConfigurationError, Dispatcher, Manager, Message, Route, Unavailable, open_publisher
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.observers import health
from pulpo_core.observers.health import HealthServer, Metrics

URL = "memory://health"


async def nothing(message):
    """A handler."""


async def get(server, path, *, method="GET"):
    status, _, body = await ask(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return status, json.loads(body) if body else None


async def ask(server, request):
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request)
        try:
            answer = await reader.read()
        except ConnectionResetError:  # it hung up with some of the request unread
            answer = b""
        await closed(writer)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]) if head else 0, dict(line.split(": ") for line in lines[1:]), body


async def closed(writer):
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


@asynccontextmanager
async def serving(handler=nothing, *, route=None, **options):
    dispatcher = Dispatcher(route or Route(URL, handler, wait=timedelta(milliseconds=50)))
    async with HealthServer(**options).around(dispatcher) as server, asyncio.TaskGroup() as group:
        yield server, dispatcher, group
        dispatcher.stop(now=True)


async def receiving(dispatcher, group):
    group.create_task(dispatcher.run())
    async with asyncio.timeout(20):
        while not any(progress.last_receive for progress in dispatcher.progress.values()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_ready_is_what_receives_and_may_go_on():
    async with serving() as (server, dispatcher, group):
        before = await get(server, "/readyz")
        await receiving(dispatcher, group)
        status, facts = await get(server, "/readyz")

    assert before == (503, {"phase": "starting", "abandoned_handlers": 0, "routes": {}})
    assert (status, facts["phase"]) == (200, "receiving")
    assert facts["routes"][URL]["last_receive_seconds"] >= 0
    assert facts["routes"][URL]["paused"] is False


async def test_from_the_first_signal_on_it_is_not_ready_and_lives_until_the_last_handler_has_ended():
    begun, enough = asyncio.Event(), asyncio.Event()

    async def slow(message):
        begun.set()
        await enough.wait()

    async with serving(slow) as (server, dispatcher, group):
        await receiving(dispatcher, group)
        async with open_publisher(URL) as publisher:
            await publisher.publish(Message())
        await begun.wait()
        dispatcher.stop()
        ready, facts = await get(server, "/readyz")
        alive, _ = await get(server, "/livez")
        enough.set()

    assert (ready, facts["phase"], facts["routes"][URL]["in_hand"]) == (503, "draining", 1)
    assert alive == 200


async def test_a_broker_that_is_away_makes_nothing_dead_nor_unready():
    class Away(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, **options):
            async with MemoryAdapter().open(url, **options) as queue:
                queue.receive = fail
                yield queue

    failed = asyncio.Event()

    async def fail(limit, wait):
        failed.set()
        raise Unavailable("away")

    async with serving(route=Route(URL, nothing, adapter=Away())) as (server, dispatcher, group):
        group.create_task(dispatcher.run())
        await failed.wait()
        alive, _ = await get(server, "/livez")
        ready, facts = await get(server, "/readyz")

    assert (alive, ready) == (200, 200)
    assert facts["routes"][URL]["last_receive_seconds"] is None


async def test_it_answers_from_the_loop_that_runs_the_handlers_and_so_not_while_that_is_stuck():
    async with serving() as (server, dispatcher, group):
        await receiving(dispatcher, group)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        stuck_until = time.monotonic() + 0.2
        while time.monotonic() < stuck_until:
            pass
        answer = await reader.read()
        answered = time.monotonic()
        await closed(writer)

    assert answer.startswith(b"HTTP/1.1 200")
    assert answered >= stuck_until


async def test_what_has_ended_is_neither_alive_nor_ready():
    dispatcher = Dispatcher(Route(URL, nothing))
    dispatcher.stop()
    await dispatcher.run()

    assert HealthServer().answer("/livez", dispatcher).status == 503
    assert HealthServer().answer("/readyz", dispatcher).status == 503


async def test_a_paused_route_is_said_to_be_paused():
    async with serving() as (server, dispatcher, group):
        await receiving(dispatcher, group)
        dispatcher.pause(URL)
        status, facts = await get(server, "/readyz")

    assert (status, facts["routes"][URL]["paused"]) == (200, True)


async def test_metrics_are_there_if_there_are_any():
    async with serving(metrics=Metrics("text/plain; version=0.0.4", lambda: b"pulpo_up 1\n")) as (server, *_):
        status, headers, body = await ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert (status, headers["Content-Type"], body) == (200, "text/plain; version=0.0.4", b"pulpo_up 1\n")

    async with serving() as (server, *_):
        assert (await get(server, "/metrics"))[0] == 404


BAD = {
    "another path": (b"GET /admin HTTP/1.1\r\n\r\n", 404),
    "another method": (b"POST /livez HTTP/1.1\r\n\r\n", 405),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "a head without end": (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 10_000, 431),
    "half a request": (b"", 0),
}


@pytest.mark.parametrize(("request_", "expected"), BAD.values(), ids=BAD)
async def test_what_is_no_question_gets_a_short_answer(request_, expected, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    async with serving() as (server, *_):
        assert (await ask(server, request_))[0] == expected


async def test_a_query_is_left_out_and_head_has_no_body():
    async with serving() as (server, *_):
        status, headers, body = await ask(server, b"HEAD /livez?verbose HTTP/1.0\r\n\r\n")

    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


async def test_clients_that_only_hold_connections_are_bounded(monkeypatch):
    monkeypatch.setattr(health, "MAX_CONNECTIONS", 3)
    async with serving() as (server, *_):
        idle = [await asyncio.open_connection(*server.address) for _ in range(3)]
        await asyncio.sleep(0.05)
        refused = (await ask(server, b"GET /livez HTTP/1.1\r\n\r\n"))[0]
        for _, writer in idle:
            await closed(writer)

    assert refused == 0


async def test_clients_that_do_not_take_their_answer_are_hung_up_on(monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    long = Metrics(content_type="text/plain", text=lambda: bytes(50_000_000))
    async with serving(metrics=long) as (server, *_):
        with socket.create_connection(server.address) as client:
            client.settimeout(20)
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            await asyncio.sleep(1)
            taken = await asyncio.to_thread(everything, client)

    assert taken < 50_000_000


def everything(client):
    """How many bytes there are until the other side has hung up."""
    count = 0
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 20):
            count += len(part)
    return count


async def test_a_collector_that_fails_is_an_answer():
    async with serving(metrics=Metrics(content_type="text/plain", text=lambda: bytes(-1))) as (server, *_):
        assert await get(server, "/metrics") == (500, {"error": "a collector failed; the log says how"})


async def test_a_port_that_is_taken_is_a_wrong_configuration():
    async with serving() as (server, dispatcher, _):
        _, port = server.address
        with pytest.raises(ConfigurationError, match=f"health port {port} on 127.0.0.1: "):
            async with HealthServer(port=port).around(dispatcher):
                pass


def test_a_manager_reports_a_taken_port_without_receiving_anything():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = HealthServer(port=taken.getsockname()[1])
        report = Manager(Route(URL, nothing)).execute(around=[server.around])

        with pytest.raises(SystemExit) as ended:
            Manager(Route(URL, nothing)).run(around=[server.around])

    assert (report.status, ended.value.code) == (2, 2)
    assert "health port" in str(report.error)
