"""beanstalkd: pulpo's whole pipeline beside greenstalk's plain loop, pulpo-messaging's steps and the bare protocol.

Both ends are pinned where there are two cores: the broker to the last, the case to the first. A loop
that asks and waits is faster or slower by half, depending on whether it shares a core with its broker.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from benchmarks.case import Bench, Case, Goal, Group, peak_memory

#: 128 bytes, as small jobs are.
BODY = {"to": "someone@example.org", "subject": "Hello", "text": "A few words."}
PUBLISHERS = 50
DEEP = 100  # commands that are on their way at once in the bare protocol

#: What handlers do that do something: wait, or compute, for so many seconds.
WAITING = 0.01
COMPUTING = 0.0001

#: Round trip of a network with some way to go, in seconds.
AWAY = 0.0012

PLAIN = "greenstalk, reserve and delete in a loop"
PLAIN_STATS = "the same, asking for the attempts of each job"
MESSAGING = "pulpo-messaging's documented steps, in a loop"
BARE = f"the bare protocol, {DEEP} deep"
PLAIN_AWAY = "greenstalk's loop, 1.2 ms away"
ALONE = "pulpo's adapter alone, 50 at a time"

#: A worker, and how many messages are left waiting when it has done its share.
BACKLOG = 100_000
LEAN, LADEN = "pulpo's worker, nothing else waiting", f"pulpo's worker, {BACKLOG:,} waiting"

_numbers = count()


def _address() -> tuple[str, int]:
    return "127.0.0.1", int(os.environ["BENCH_BEANSTALKD"])


def _tube() -> str:
    return f"bench-{os.getpid()}-{next(_numbers)}"


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _message() -> bytes:
    header = {"request_type": "send_email", "priority": 65536, "attempts": 0}
    return json.dumps({"header": header, "body": BODY}).encode()


# ------------------------------------------------------------------------------------------------ what is compared with


def plain(bench: Bench, *, away: bool = False) -> None:
    """What anybody writes first: one connection, one command after the other."""
    import greenstalk

    _pin()
    tube, body = _tube(), _message()
    with _way(away) as address, greenstalk.Client(address, encoding=None, use=tube, watch=tube) as client:
        with bench.measure("publish"):
            for _ in range(bench.messages):
                client.put(body)
        with bench.measure("drain"):
            for _ in range(bench.messages):
                client.delete(client.reserve())
        _check_empty(bench, tube)


def plain_with_stats(bench: Bench) -> None:
    """The plain loop with what it takes to know how often a job was tried."""
    import greenstalk

    _pin()
    tube, body = _tube(), _message()
    with greenstalk.Client(_address(), encoding=None, use=tube, watch=tube) as client:
        for _ in range(bench.messages):
            client.put(body)
        with bench.measure("drain"):
            for _ in range(bench.messages):
                job = client.reserve()
                bench.check(client.stats_job(job)["reserves"], 1, "attempts")
                client.delete(job)
        _check_empty(bench, tube)


def messaging(bench: Bench) -> None:
    """pulpo-messaging has no release on the index: a loop that does what its documentation says it does.

    Watch, reserve with timeout 0, decode, read the releases of the job, find the handler, handle, delete.
    """
    import greenstalk

    _pin()
    tube, body, handled = _tube(), _message().decode(), 0
    handlers = {"send_email": lambda payload: payload is not None}
    with greenstalk.Client(_address(), encoding="utf-8", use=tube, watch=tube) as client:
        with bench.measure("publish"):
            for _ in range(bench.messages):
                client.put(body)
        with bench.measure("drain"):
            while handled < bench.messages:
                client.watch(tube)
                job = client.reserve(timeout=0)
                message = json.loads(job.body)
                message["header"]["attempts"] = client.stats_job(job)["releases"]
                if handlers[message["header"]["request_type"]](message["body"]):
                    client.delete(job)
                handled += 1
        _check_empty(bench, tube)


def bare(bench: Bench) -> None:
    """Bytes in and out of one socket: what Python could do at most."""
    _pin()
    tube, body = _tube(), _message()
    with socket.create_connection(_address()) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = connection.makefile("rb")
        _say(connection, reader, f"use {tube}", f"watch {tube}", "ignore default")
        with bench.measure("publish"):
            _put(connection, reader, body, bench.messages)
        with bench.measure("drain"):
            _take(connection, reader, bench.messages)
        _check_empty(bench, tube)


def _put(connection: socket.socket, reader: Any, body: bytes, messages: int) -> None:
    put = b"put 65536 0 60 %d\r\n%b\r\n" % (len(body), body)
    for start in range(0, messages, DEEP):
        number = min(DEEP, messages - start)
        connection.sendall(put * number)
        for _ in range(number):
            reader.readline()


def _take(connection: socket.socket, reader: Any, messages: int) -> None:
    for start in range(0, messages, DEEP):
        number = min(DEEP, messages - start)
        connection.sendall(b"reserve-with-timeout 0\r\n" * number)
        jobs = []
        for _ in range(number):
            _, job, size = reader.readline().split()
            reader.read(int(size) + 2)
            jobs.append(job)
        connection.sendall(b"".join([b"delete %b\r\n" % job for job in jobs]))
        for _ in range(number):
            reader.readline()


def _say(connection: socket.socket, reader: Any, *lines: str) -> None:
    for line in lines:
        connection.sendall(f"{line}\r\n".encode())
        reader.readline()


# ---------------------------------------------------------------------------------------------------------------- pulpo


async def pulpo(
    bench: Bench,
    *,
    concurrency: int,
    handler: Callable[[], Callable[..., Any]],
    parameters: str = "",
    away: bool = False,
) -> None:
    """Publishing by 50 tasks, each job confirmed; then the whole pipeline, from the tube to the ledger."""
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher

    _pin()
    tube = _tube()
    handlers = Handlers()
    handlers.add("send_email", handler())
    with _way(away) as (host, port):
        url = f"beanstalkd://{host}:{port}/{tube}?{parameters}"
        async with open_publisher(url) as publisher:

            async def publish(number: int) -> None:
                for _ in range(number):
                    await publisher.publish(Message(request_type="send_email", body=BODY))

            with bench.measure("publish"):
                async with asyncio.TaskGroup() as group:
                    for share in _shares(bench.messages, PUBLISHERS):
                        group.create_task(publish(share))
        route = Route(url, handlers, name="bench", concurrency=concurrency)
        dispatcher = Dispatcher(route, until=Until(max_messages=bench.messages))
        with bench.measure("drain"):
            await dispatcher.run()
    ledger = dispatcher.ledgers["bench"]
    bench.check((ledger.received, ledger.acked), (bench.messages, bench.messages), "received and acked")
    _check_empty(bench, tube)


def _shares(number: int, parts: int) -> list[int]:
    return [number // parts + (part < number % parts) for part in range(parts)]


async def adapter_alone(bench: Bench) -> None:
    """The adapter without a dispatcher: published by 50 tasks one by one, received and acknowledged 50 at a time."""
    from datetime import timedelta

    from pulpo_core import Ack, Envelope, Settling, open_queue

    _pin()
    tube, body, handled = _tube(), _message(), 0
    async with open_queue(f"beanstalkd://127.0.0.1:{_address()[1]}/{tube}") as queue:

        async def publish(number: int) -> None:
            for _ in range(number):
                await queue.publish([Envelope(body=body)])

        with bench.measure("publish"):
            async with asyncio.TaskGroup() as group:
                for share in _shares(bench.messages, PUBLISHERS):
                    group.create_task(publish(share))
        with bench.measure("drain"):
            while handled < bench.messages:
                deliveries = await queue.receive(50, timedelta(seconds=1))
                bench.check(any(await queue.settle([Settling(each, Ack()) for each in deliveries])), False, "errors")
                handled += len(deliveries)
    _check_empty(bench, tube)


def _asynchronous() -> Callable[..., Any]:
    async def send_email(message: Any) -> None:
        pass

    return send_email


def _in_a_thread() -> Callable[..., Any]:
    def send_email(message: Any) -> None:
        pass

    return send_email


def _ten_milliseconds() -> Callable[..., Any]:
    async def send_email(message: Any) -> None:  # noqa: ARG001 - handlers are called as people write them
        await asyncio.sleep(WAITING)

    return send_email


def _computing() -> Callable[..., Any]:
    async def send_email(message: Any) -> None:  # noqa: ARG001 - as above
        compute(COMPUTING)

    return send_email


def compute(seconds: float) -> None:
    """Keep the core busy for so long, by its own time and not by the clock on the wall."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def waiting_alone(bench: Bench, *, concurrency: int) -> None:
    """The waiting of the handlers and nothing else: what could be had at most."""

    async def wait(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(WAITING)

    with bench.measure("drain"):
        async with asyncio.TaskGroup() as group:
            for share in _shares(bench.messages, concurrency):
                group.create_task(wait(share))


def computing_alone(bench: Bench) -> None:
    """The computing of the handlers and nothing else, on one core: what could be had at most."""
    _pin()
    with bench.measure("drain"):
        for _ in range(bench.messages):
            compute(COMPUTING)


async def pulpo_idle(bench: Bench) -> None:
    """A worker without work: what it takes, and that it leaves the broker alone."""
    import greenstalk

    from pulpo_core import Dispatcher, Route

    _pin()
    tube, seconds = _tube(), 5.0
    url = f"beanstalkd://127.0.0.1:{_address()[1]}/{tube}"
    dispatcher = Dispatcher(Route(url, _asynchronous(), name="bench"))
    with greenstalk.Client(_address(), use=tube) as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(dispatcher.run())
            await asyncio.sleep(1)
            before, cpu = _commands(client), time.process_time()
            await asyncio.sleep(seconds)
            bench.record("idle", (time.process_time() - cpu) / seconds * 1e3, "ms/s")
            bench.check(_commands(client) - before, 0, "commands while idle")
            bench.check(threading.active_count(), 1, "threads")
            dispatcher.stop()


def _commands(client: Any) -> int:
    """What the broker was asked so far, but for this question."""
    return sum(count for name, count in client.stats().items() if name.startswith("cmd-") and name != "cmd-stats")


async def pulpo_memory(bench: Bench, *, waiting: int) -> None:
    """A worker handles some messages, of a tube in which so many are left; the check takes those out."""
    from pulpo_core import Dispatcher, Route, Until

    _pin()
    tube = _tube()
    with socket.create_connection(_address()) as connection:
        reader = connection.makefile("rb")
        _say(connection, reader, f"use {tube}", f"watch {tube}", "ignore default")
        _put(connection, reader, _message(), waiting + bench.messages)
        route = Route(f"beanstalkd://127.0.0.1:{_address()[1]}/{tube}", _asynchronous(), name="bench", concurrency=50)
        dispatcher = Dispatcher(route, until=Until(max_messages=bench.messages))
        with bench.measure("handle some of many"):
            await dispatcher.run()
        bench.record("memory of the worker", peak_memory(), "MiB")
        bench.check(dispatcher.ledgers["bench"].acked, bench.messages, "acked")
        _take(connection, reader, waiting)
    _check_empty(bench, tube)


# -------------------------------------------------------------------------------------------------------------- latency


async def pulpo_latency(bench: Bench, *, per_second: int) -> None:
    """From the put in another process to the handler, at a steady rate."""
    from pulpo_core import Dispatcher, Route, Until

    _pin()
    tube, latencies = _tube(), []

    async def note(body: Any) -> None:
        latencies.append(time.time() - body["payload"])

    url = f"beanstalkd://127.0.0.1:{_address()[1]}/{tube}"
    dispatcher = Dispatcher(Route(url, note, name="bench"), until=Until(max_messages=bench.messages))
    with _producing(tube, bench.messages, per_second):
        await dispatcher.run()
    bench.record_latencies("latency", latencies)
    bench.check(len(latencies), bench.messages, "handled")


def plain_latency(bench: Bench, *, per_second: int) -> None:
    """The same with a loop that blocks in reserve."""
    import greenstalk

    _pin()
    tube, latencies = _tube(), []
    with (
        greenstalk.Client(_address(), encoding=None, use=tube, watch=tube) as client,
        _producing(tube, bench.messages, per_second),
    ):
        for _ in range(bench.messages):
            job = client.reserve()
            latencies.append(time.time() - json.loads(job.body)["body"]["payload"])
            client.delete(job)
    bench.record_latencies("latency", latencies)


@contextmanager
def _producing(tube: str, number: int, per_second: int) -> Iterator[None]:
    """Another process that puts jobs at a steady rate, each with the moment of its put."""
    with _process(f"produce({tube!r}, {number}, {per_second})"):
        yield


def produce(tube: str, number: int, per_second: int) -> None:
    """What that process does."""
    import greenstalk

    with greenstalk.Client(_address(), encoding=None, use=tube) as client:
        time.sleep(0.2)  # the other side has its connection by then
        begun = time.perf_counter()
        for n in range(number):
            time.sleep(max(0.0, begun + n / per_second - time.perf_counter()))
            client.put(json.dumps({"header": {"request_type": "x"}, "body": {"payload": time.time()}}).encode())


@contextmanager
def _process(call: str) -> Iterator[subprocess.Popen[bytes]]:
    program = f"from benchmarks import beanstalkd; beanstalkd.{call}"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# -------------------------------------------------------------------------------------------------------------- the way


@contextmanager
def _way(away: bool) -> Iterator[tuple[str, int]]:
    """The address of the broker; through a process that delays whatever passes, if it is *away*."""
    if not away:
        yield _address()
        return
    with _process("delay()") as process:
        assert process.stdout is not None
        yield "127.0.0.1", int(process.stdout.readline())


def delay() -> None:
    """What that process does: pass on everything, half a round trip later."""
    asyncio.run(_delay())


async def _delay() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*_address())
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, far_writer))
            group.create_task(_pass_on(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(2**18):
        loop.call_later(AWAY / 2, writer.write, data)
    await asyncio.sleep(AWAY)
    writer.close()


# ---------------------------------------------------------------------------------------------------------------- group


def _check_empty(bench: Bench, tube: str) -> None:
    """The broker's own numbers: everything was deleted, nothing is left."""
    import greenstalk

    with greenstalk.Client(_address(), use=tube) as client:
        stats = client.stats_tube(tube)
    left = {state: stats[f"current-jobs-{state}"] for state in ("ready", "reserved", "delayed", "buried")}  # type: ignore[literal-required] # each is one
    bench.check(left, dict.fromkeys(left, 0), "left in the tube")


@contextmanager
def broker(*, pinned: bool = True) -> Iterator[Mapping[str, str]]:
    """A broker, on the last core if it is to be *pinned*."""
    from tests.servers import BeanstalkdServer

    with BeanstalkdServer() as server:
        if pinned and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(server.pid, {max(os.sched_getaffinity(0))})
        yield {"BENCH_BEANSTALKD": str(server.port)}


def _pulpo(concurrency: int, handler: Callable[[], Callable[..., Any]] = _asynchronous, **more: Any) -> Any:
    return partial(pulpo, concurrency=concurrency, handler=handler, **more)


WAITERS = (10, 50, 200)
COMPUTED = "the computing alone"
COMPUTERS = "pulpo, 50 handlers that compute for 0.1 ms"


def _waiting(number: int) -> str:
    return f"asyncio alone, {number} at once waiting 10 ms"


def _waiters(number: int) -> str:
    return f"pulpo, {number} handlers of 10 ms"


GROUP = Group(
    title="beanstalkd: publish, and drain with handlers that do nothing",
    cases=[
        Case(name=PLAIN, run=plain, messages=5_000),
        Case(name=PLAIN_STATS, run=plain_with_stats, messages=5_000),
        Case(name=MESSAGING, run=messaging, messages=3_000),
        Case(name=BARE, run=bare, messages=20_000),
        Case(name=ALONE, run=adapter_alone, messages=20_000),
        Case(name="pulpo, 1 handler", run=_pulpo(1), messages=5_000),
        Case(name="pulpo, 10 handlers", run=_pulpo(10), messages=10_000),
        Case(name="pulpo, 50 handlers", run=_pulpo(50), messages=20_000),
        Case(name="pulpo, 200 handlers", run=_pulpo(200), messages=20_000),
        Case(name="pulpo, 50 handlers, attempts=always", run=_pulpo(50, parameters="attempts=always"), messages=10_000),
        Case(name="pulpo, 50 handlers in threads", run=_pulpo(50, _in_a_thread), messages=10_000),
        *(
            case
            for number in WAITERS
            for case in (
                Case(
                    name=_waiting(number),
                    run=partial(waiting_alone, concurrency=number),
                    messages=100 * number,
                    warm_up=0,
                ),
                Case(
                    name=_waiters(number),
                    run=_pulpo(number, _ten_milliseconds),
                    messages=100 * number,
                    baseline=_waiting(number),
                ),
            )
        ),
        Case(name=COMPUTED, run=computing_alone, messages=5_000, warm_up=0),
        Case(name=COMPUTERS, run=_pulpo(50, _computing), messages=5_000, baseline=COMPUTED),
        Case(name=PLAIN_AWAY, run=partial(plain, away=True), messages=300, warm_up=10),
        Case(name="pulpo, 50 handlers, 1.2 ms away", run=_pulpo(50, away=True), messages=10_000, baseline=PLAIN_AWAY),
        Case(name="pulpo, 200 handlers, 1.2 ms away", run=_pulpo(200, away=True), messages=10_000, baseline=PLAIN_AWAY),
        Case(name="greenstalk's loop at 100/s", run=partial(plain_latency, per_second=100), messages=300, warm_up=0),
        Case(name="pulpo at 100/s", run=partial(pulpo_latency, per_second=100), messages=300, warm_up=0),
        Case(name="pulpo at 2,000/s", run=partial(pulpo_latency, per_second=2_000), messages=4_000, warm_up=0),
        Case(name="pulpo at 5,000/s", run=partial(pulpo_latency, per_second=5_000), messages=10_000, warm_up=0),
        Case(name=LEAN, run=partial(pulpo_memory, waiting=0), messages=5_000, warm_up=0),
        Case(name=LADEN, run=partial(pulpo_memory, waiting=BACKLOG), messages=5_000, warm_up=0, baseline=LEAN),
        Case(name="pulpo, idle", run=pulpo_idle, warm_up=0),
    ],
    baseline=PLAIN,
    goals=[
        Goal(case="pulpo, 50 handlers", against=PLAIN, figure="drain", of="rate", at_least=5),
        Goal(case="pulpo, 50 handlers", against=PLAIN, figure="drain", of="cpu_us", at_most=0.45),
        Goal(case="pulpo, 50 handlers", against=BARE, figure="drain", of="rate", at_least=0.5),
        Goal(case="pulpo, 10 handlers", against=PLAIN, figure="drain", of="rate", at_least=3.3),
        Goal(case="pulpo, 1 handler", against=PLAIN, figure="drain", of="rate", at_least=0.85),
        Goal(case="pulpo, 50 handlers in threads", against=PLAIN, figure="drain", of="rate", at_least=4),
        *(Goal(case=_waiters(n), against=_waiting(n), figure="drain", of="rate", at_least=0.8) for n in WAITERS),
        Goal(case=COMPUTERS, against=COMPUTED, figure="drain", of="rate", at_least=0.75),
        Goal(case="pulpo, 50 handlers, 1.2 ms away", against=PLAIN_AWAY, figure="drain", of="rate", at_least=35),
        Goal(case="pulpo, 200 handlers, 1.2 ms away", against=PLAIN_AWAY, figure="drain", of="rate", at_least=50),
        Goal(
            case="pulpo at 100/s", against="greenstalk's loop at 100/s", figure="latency p50", of="value", at_most=1.6
        ),
        Goal(case="pulpo at 100/s", against="greenstalk's loop at 100/s", figure="latency p99", of="value", at_most=2),
        Goal(case=LADEN, against=LEAN, figure="memory of the worker", of="value", at_most=1.1),
        Goal(case=LADEN, against=LEAN, figure="handle some of many", at_most=1.5),
        Goal(case="pulpo, 50 handlers", against=PLAIN_STATS, figure="drain", of="rate", at_least=7),
        Goal(case=ALONE, against=PLAIN, figure="publish", of="rate", at_least=5),
        Goal(case="pulpo, 50 handlers", against=MESSAGING, figure="drain", of="rate", at_least=10),
    ],
    server=broker,
)
