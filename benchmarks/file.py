"""The file queue beside the embedded queues that people would choose instead, on the same disk.

Two levels of durability, and a system is compared at the one it has, or can be set to:

- *flushed*: what was published is on the disk before the call returns (SQLite's FULL; pulpo's default);
- *written*: it survives the death of the process, not a power failure (SQLite's NORMAL; ``durability=normal``).

What a system does when it takes a message differs more: huey and diskcache remove it at once, so a
crash loses it; persist-queue and litequeue mark it, without a lease; pulpo leases it and removes it
when it is acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from benchmarks.case import Bench, Case, Goal, Group, peak_memory

HANDLERS = 64
BACKLOG = 100_000
DOCUMENT = json.dumps({
    "header": {"request_type": "send_email", "priority": 65_536},
    "body": {"to": "someone@example.org", "subject": "Hello", "text": "A few words. " * 12},
})  # fmt: skip
BODY = DOCUMENT.encode()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that holds this checkout; /tmp may be memory."""
    path = Path(tempfile.mkdtemp(prefix=".bench-", dir=Path(__file__).parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


# ---------------------------------------------------------------------------------------------------------------- pulpo


def opened(path: Path, parameters: str = "lease=600s") -> Any:
    from pulpo_adapter_file import FileAdapter
    from pulpo_core import SystemClock, SystemJitter

    return FileAdapter().open(f"file://{path}/shop.db?{parameters}", clock=SystemClock(), jitter=SystemJitter())


async def publish(queue: Any, count: int, *, tasks: int, batch: int = 1) -> None:
    """Publish *count* messages from several tasks at once."""
    from pulpo_core import Envelope

    async def one(share: int) -> None:
        for _ in range(share):
            await queue.publish([Envelope(body=BODY) for _ in range(batch)])

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(one(count // batch // tasks + (number < count // batch % tasks)))


async def drain(queue: Any, *, tasks: int, most: float = math.inf) -> int:
    """Receive everything, or *most*; a task handles and acknowledges each, *tasks* at once; how many were."""
    from datetime import timedelta

    from pulpo_core import Ack, Settling

    async def handle(delivery: Any) -> None:
        (answer,) = await queue.settle([Settling(delivery, Ack())])
        assert answer is None

    handled = 0
    while handled < most and (deliveries := await queue.receive(int(min(tasks, most - handled)), timedelta())):
        async with asyncio.TaskGroup() as group:
            for delivery in deliveries:
                group.create_task(handle(delivery))
        handled += len(deliveries)
    return handled


async def drain_in_batches(queue: Any, *, batch: int) -> int:
    """Receive and acknowledge everything, *batch* at a time."""
    from datetime import timedelta

    from pulpo_core import Ack, Settling

    handled = 0
    while deliveries := await queue.receive(batch, timedelta()):
        await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
        handled += len(deliveries)
    return handled


async def pulpo(bench: Bench, *, tasks: int, durability: str = "publish") -> None:
    """The queue alone: envelopes in, deliveries out, each acknowledged on its own."""
    with folder() as path:
        async with opened(path, f"lease=600s&durability={durability}") as queue:
            with bench.measure("publish"):
                await publish(queue, bench.messages, tasks=tasks)
            with bench.measure("drain"):
                bench.check(await drain(queue, tasks=tasks), bench.messages, "handled")


async def pulpo_blocking(bench: Bench) -> None:
    """The queue alone, called from a thread that does not await: it publishes right there, as the peers do."""
    from pulpo_core import Envelope

    with folder() as path:
        async with opened(path) as queue:
            loop = asyncio.get_running_loop()

            def publish_each() -> None:
                for _ in range(bench.messages):
                    batch = [Envelope(body=BODY)]
                    if queue.publish_blocking(batch) is None:  # the writer's thread is keeping house
                        asyncio.run_coroutine_threadsafe(queue.publish(batch), loop).result()

            with bench.measure("publish"):
                await asyncio.to_thread(publish_each)
            bench.check((await queue.stats()).ready, bench.messages, "waiting")


def pulpo_synchronous(bench: Bench) -> None:
    """Everything that an application without await has between itself and the disk: messages, JSON, the queue."""
    from pulpo_core import Message, open_publisher_sync

    body = json.loads(DOCUMENT)["body"]
    with (
        folder() as path,
        open_publisher_sync(f"file://{path}/shop.db?lease=600s") as publisher,
        bench.measure("publish"),
    ):
        for _ in range(bench.messages):
            publisher.publish(Message(request_type="send_email", body=body))


async def pulpo_batches(bench: Bench) -> None:
    """The same with a hundred messages in each call."""
    with folder() as path:
        async with opened(path) as queue:
            with bench.measure("publish"):
                await publish(queue, bench.messages, tasks=1, batch=100)
            with bench.measure("drain"):
                bench.check(await drain_in_batches(queue, batch=100), bench.messages, "handled")


async def pulpo_whole(bench: Bench) -> None:
    """Everything: messages, JSON, routing, handlers, policy, settlement, ledger."""
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher

    handlers = Handlers()

    @handlers("send_email")
    async def send_email(message: Message) -> None:
        pass

    with folder() as path:
        url = f"file://{path}/shop.db?lease=600s"
        async with open_publisher(url) as publisher:

            async def one(share: int) -> None:
                body = json.loads(DOCUMENT)["body"]
                for _ in range(share):
                    await publisher.publish(Message(request_type="send_email", body=body))

            with bench.measure("publish"):
                async with asyncio.TaskGroup() as group:
                    for number in range(HANDLERS):
                        group.create_task(one(bench.messages // HANDLERS + (number < bench.messages % HANDLERS)))
            dispatcher = Dispatcher(Route(url, handlers, name="bench", concurrency=HANDLERS), until=Until(burst=True))
            with bench.measure("drain"):
                await dispatcher.run()
        bench.check(dispatcher.ledgers["bench"].acked, bench.messages, "acked")


async def pulpo_memory(bench: Bench, *, waiting: int) -> None:
    """A worker handles some messages, of a queue that another process has filled, and in which so many are left."""
    from pulpo_core import Dispatcher, Route, Until

    async def send_email(message: Any) -> None:
        pass

    with folder() as path:
        filled = await asyncio.to_thread(actor("filler", path, str(waiting + bench.messages)).wait)
        bench.check(filled, 0, "exit status of what fills")
        route = Route(f"file://{path}/shop.db?lease=600s", send_email, name="bench", concurrency=HANDLERS)
        dispatcher = Dispatcher(route, until=Until(max_messages=bench.messages))
        with bench.measure("handle some of many"):
            await dispatcher.run()
        bench.record("memory of the worker", peak_memory(), "MiB")
        bench.check(dispatcher.ledgers["bench"].acked, bench.messages, "acked")
        async with opened(path) as queue:
            bench.check((await queue.stats()).ready, waiting, "still waiting")


async def pulpo_latency(bench: Bench, *, others: int) -> None:
    """How long one publish takes while *others* processes publish to the same file as fast as they can."""
    from pulpo_core import Envelope

    with folder() as path:
        rivals = [actor("rival", path) for _ in range(others)]
        try:
            async with opened(path) as queue:
                seconds = []
                for _ in range(bench.messages):
                    began = time.perf_counter()
                    await queue.publish([Envelope(body=BODY)])
                    seconds.append(time.perf_counter() - began)
        finally:
            for rival in rivals:
                rival.kill()
                rival.wait()
    bench.record_latencies("publish", seconds)


async def pulpo_wake_up(bench: Bench) -> None:
    """From the publish of one process to the message in the hands of another that waited, and what waiting costs."""
    from pulpo_core import Envelope

    with folder() as path:
        worker = actor("sleeper", path)
        try:
            assert worker.stdout is not None
            worker.stdout.readline()  # it waits
            idle = cpu_seconds(worker.pid)
            await asyncio.sleep(2)
            bench.record("idle", (cpu_seconds(worker.pid) - idle) / 2 * 1e3, "ms/s")
            seconds = []
            async with opened(path) as queue:
                for _ in range(bench.messages):
                    await asyncio.sleep(0.005)
                    began = time.monotonic()
                    await queue.publish([Envelope(body=BODY)])
                    seconds.append(float(worker.stdout.readline()) - began)
        finally:
            worker.kill()
            worker.wait()
    bench.record_latencies("wake-up", seconds)


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have used; 0 where the system does not say."""
    tasks = Path(f"/proc/{pid}/task")
    return (
        sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9 if tasks.exists() else 0
    )


def actor(name: str, path: Path, *more: str) -> subprocess.Popen[str]:
    """Another process: ``python -m benchmarks.file NAME FOLDER``."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.file", name, str(path), *more], stdout=subprocess.PIPE, text=True, bufsize=1
    )


async def filler(path: Path, messages: str) -> None:
    """Publishes so many."""
    async with opened(path) as queue:
        await publish(queue, int(messages), tasks=1, batch=500)


async def rival(path: Path) -> None:
    """Publishes for ever."""
    async with opened(path) as queue:
        while True:
            await publish(queue, 100, tasks=1)


async def sleeper(path: Path) -> None:
    """Waits for messages, and says for each at what moment it was there."""
    from datetime import timedelta

    from pulpo_core import Ack, Settling

    async with opened(path) as queue:
        await queue.receive(1, timedelta(milliseconds=300))
        print("waiting", flush=True)
        while True:
            for delivery in await queue.receive(1, timedelta(seconds=20)):
                print(time.monotonic(), flush=True)
                await queue.settle([Settling(delivery, Ack())])


# ---------------------------------------------------------------------------------------------------------------- peers


class Peer(Protocol):
    """What a peer's queue is made to look like: its own calls, and nothing around them."""

    def put(self) -> None: ...
    def take(self) -> bool: ...


class Huey:
    """huey's SqliteHuey, its storage alone."""

    def __init__(self, path: Path) -> None:
        from huey.storage import SqliteStorage

        self._storage = SqliteStorage(filename=str(path / "huey.db"), fsync=True)

    def put(self) -> None:
        self._storage.enqueue(BODY)

    def take(self) -> bool:
        return self._storage.dequeue() is not None


class HueyTasks:
    """huey as an application uses it: a task is called, and a worker executes it."""

    def __init__(self, path: Path) -> None:
        from huey import SqliteHuey

        self._huey = SqliteHuey(filename=str(path / "huey.db"), fsync=True, results=False)
        body = json.loads(DOCUMENT)["body"]

        @self._huey.task()
        def send_email(body: dict[str, Any]) -> None:
            pass

        self.put = partial(send_email, body)

    def take(self) -> bool:
        task = self._huey.dequeue()
        if task is None:
            return False
        self._huey.execute(task)
        return True


class PersistQueue:
    """persist-queue's SQLiteAckQueue."""

    def __init__(self, path: Path) -> None:
        import persistqueue

        self._empty = persistqueue.exceptions.Empty
        self._queue = persistqueue.SQLiteAckQueue(str(path), auto_commit=True, multithreading=True)

    def put(self) -> None:
        self._queue.put(DOCUMENT)

    def take(self) -> bool:
        try:
            item = self._queue.get(block=False, raw=True)
        except self._empty:
            return False
        self._queue.ack(id=item["pqid"])
        return True


class LiteQueue:
    """litequeue, at either level."""

    def __init__(self, path: Path, *, level: str) -> None:
        import litequeue

        self._queue = litequeue.LiteQueue(str(path / "lite.db"))
        self._queue.conn.execute(f"PRAGMA synchronous = {level}")

    def put(self) -> None:
        self._queue.put(DOCUMENT)

    def take(self) -> bool:
        message = self._queue.pop()
        if message is None:
            return False
        self._queue.done(message.message_id)
        return True


class DiskCache:
    """diskcache's Deque, at either level."""

    def __init__(self, path: Path, *, level: int) -> None:
        import diskcache

        cache = diskcache.Cache(str(path), sqlite_synchronous=level, eviction_policy="none")
        self._deque = diskcache.Deque.fromcache(cache)

    def put(self) -> None:
        self._deque.append(BODY)

    def take(self) -> bool:
        try:
            self._deque.popleft()
        except IndexError:
            return False
        return True


class LegacySteps:
    """A small loop that does what pulpo-messaging documents of its file queue; it flushes nothing.

    Publishing writes a file. Taking lists the directory, opens the oldest file, and moves it to ``lock``;
    committing moves it to ``archive/success``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        for name in ("lock", "archive/success"):
            (path / name).mkdir(parents=True)

    def put(self) -> None:
        name = f"{time.time()}-{uuid4()}"
        (self._path / f"{name}.message").write_text(json.dumps({"id": name, **json.loads(DOCUMENT)}))

    def take(self) -> bool:
        names = sorted(each.name for each in os.scandir(self._path) if each.name.endswith(".message"))
        if not names:
            return False
        waiting, locked = self._path / names[0], self._path / "lock" / f"{names[0]}.lock"
        message = json.loads(waiting.read_text())
        waiting.rename(locked)
        locked.rename(self._path / "archive" / "success" / f"{message['id']}.message")
        return True


def peer(bench: Bench, *, make: Callable[[Path], Peer]) -> None:
    """Its calls, one after the other."""
    with folder() as path:
        queue = make(path)
        with bench.measure("publish"):
            for _ in range(bench.messages):
                queue.put()
        handled = 0
        with bench.measure("drain"):
            while queue.take():
                handled += 1
        bench.check(handled, bench.messages, "handled")


async def peer_at_once(bench: Bench, *, make: Callable[[Path], Peer], tasks: int = HANDLERS) -> None:
    """Its calls, from as many tasks as pulpo has, in threads: what an asynchronous application would do."""
    with folder() as path:
        queue = make(path)

        async def put(share: int) -> None:
            for _ in range(share):
                await asyncio.to_thread(queue.put)

        async def take() -> int:
            handled = 0
            while await asyncio.to_thread(queue.take):
                handled += 1
            return handled

        with bench.measure("publish"):
            async with asyncio.TaskGroup() as group:
                for number in range(tasks):
                    group.create_task(put(bench.messages // tasks + (number < bench.messages % tasks)))
        with bench.measure("drain"):
            async with asyncio.TaskGroup() as group:
                takers = [group.create_task(take()) for _ in range(tasks)]
        bench.check(sum(taker.result() for taker in takers), bench.messages, "handled")


def _ahead(case: str, against: str, *, publish: float, drain: float) -> list[Goal]:
    """By these factors at least, in messages a second."""
    factors = {"publish": publish, "drain": drain}
    return [Goal(case=case, against=against, figure=name, of="rate", at_least=least) for name, least in factors.items()]


def _peers() -> Iterator[Case]:
    flushed: dict[str, Callable[[Path], Peer]] = {
        "huey": Huey,
        "huey, tasks": HueyTasks,
        "persist-queue": PersistQueue,
        "litequeue, flushed": partial(LiteQueue, level="FULL"),
        "diskcache, flushed": partial(DiskCache, level=2),
    }
    written: dict[str, Callable[[Path], Peer]] = {
        "litequeue": partial(LiteQueue, level="NORMAL"),
        "diskcache": partial(DiskCache, level=1),
        STEPS: LegacySteps,
    }
    for name, make in (flushed | written).items():
        yield Case(name=name, run=partial(peer, make=make), messages=1000 if name in flushed else 2000, peer=True)
    for name in ("huey", "persist-queue"):
        run = partial(peer_at_once, make=flushed[name])
        yield Case(name=f"{name}, {HANDLERS} at once", run=run, messages=1000, peer=True)
    yield Case(name=HUEY_AWAITED, run=partial(peer_at_once, make=Huey, tasks=1), messages=1000, peer=True)


STEPS = "pulpo-messaging's steps"
FLUSHED, WRITTEN = f"pulpo, {HANDLERS} at once", f"pulpo, {HANDLERS} at once, written"
EVERYTHING_FLUSHED = f"pulpo, {HANDLERS} at once, all flushed"
ONE_BY_ONE, HUEY_AWAITED = "pulpo, one by one", "huey, one by one in a thread"
BLOCKING, SYNCHRONOUS = "pulpo, one by one, called without await", "pulpo's synchronous publisher"
WHOLE = f"pulpo, dispatcher with {HANDLERS} handlers"
LEAN, LADEN = "pulpo's worker, nothing else waiting", f"pulpo's worker, {BACKLOG:,} waiting"
ALONE, BESIDE = "pulpo, publishing alone", "pulpo, publishing beside another process"

GROUP = Group(
    title="One queue in one file: publish, then take, handle and acknowledge; an empty queue to begin with",
    baseline="huey",
    cases=[
        Case(name=FLUSHED, run=partial(pulpo, tasks=HANDLERS), messages=10_000),
        Case(name=WRITTEN, run=partial(pulpo, tasks=HANDLERS, durability="normal"), messages=10_000),
        Case(name=EVERYTHING_FLUSHED, run=partial(pulpo, tasks=HANDLERS, durability="full"), messages=10_000),
        Case(name="pulpo, batches of 100", run=pulpo_batches, messages=20_000),
        Case(name=ONE_BY_ONE, run=partial(pulpo, tasks=1), messages=1000),
        Case(name=BLOCKING, run=pulpo_blocking, messages=1000),
        Case(name=SYNCHRONOUS, run=pulpo_synchronous, messages=1000),
        Case(name=WHOLE, run=pulpo_whole, messages=10_000),
        *_peers(),
        Case(name=LEAN, run=partial(pulpo_memory, waiting=0), messages=2000, warm_up=0),
        Case(name=LADEN, run=partial(pulpo_memory, waiting=BACKLOG), messages=2000, warm_up=0, baseline=LEAN),
        Case(name=ALONE, run=partial(pulpo_latency, others=0), messages=1000),
        Case(name=BESIDE, run=partial(pulpo_latency, others=1), messages=1000),
        Case(name="pulpo, woken by another process", run=pulpo_wake_up, messages=200, warm_up=0),
    ],
    goals=[
        *_ahead(FLUSHED, "huey", publish=12, drain=7),
        *_ahead(FLUSHED, f"huey, {HANDLERS} at once", publish=12, drain=7),
        *_ahead(FLUSHED, "persist-queue", publish=12, drain=13),
        *_ahead(FLUSHED, f"persist-queue, {HANDLERS} at once", publish=12, drain=13),
        *_ahead(FLUSHED, "litequeue, flushed", publish=7, drain=7),
        *_ahead(FLUSHED, "diskcache, flushed", publish=7, drain=3.5),
        *_ahead(WRITTEN, "litequeue", publish=1.5, drain=7),
        *_ahead(WRITTEN, "diskcache", publish=1.5, drain=1),
        *_ahead(WRITTEN, STEPS, publish=12, drain=12),
        *_ahead(WHOLE, "huey, tasks", publish=5, drain=5),
        *(
            Goal(case=case, against=against, figure="publish", of="rate", at_least=0.8)
            for case, against in ((BLOCKING, "huey"), (ONE_BY_ONE, HUEY_AWAITED), (ONE_BY_ONE, "huey"))
        ),
        Goal(case=LADEN, against=LEAN, figure="memory of the worker", of="value", at_most=1.15),
        Goal(case=LADEN, against=LEAN, figure="handle some of many", at_most=1.5),
        Goal(case=BESIDE, against=ALONE, figure="publish p99", of="value", at_most=3),
    ],
)


if __name__ == "__main__":
    _, role, where, *arguments = sys.argv
    asyncio.run({"rival": rival, "sleeper": sleeper, "filler": filler}[role](Path(where), *arguments))
