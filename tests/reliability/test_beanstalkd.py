"""beanstalkd under fire: workers and brokers are killed, connections cut, and every message is accounted for.

Short forms run with the other tests; the long ones are marked ``soak``. Each faulty world has a
control that must fail: a broker without a log, with a backlog, loses messages, and the accounts say so.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import greenstalk
import pytest

from pulpo_core import AdapterError, Message, PulpoJson, open_publisher, open_queue
from tests.proxy import Proxy
from tests.servers import HOST, BeanstalkdServer

WORKER = Path(__file__).with_name("beanstalkd_worker.py")

#: As in the worker: more deliveries than these of one message are a promise broken.
MAX_ATTEMPTS = 4
CONCURRENCY = 8

#: A message that was only handed back is not taken for a crash loop before this many more deliveries.
SLACK = 10


@attrs.frozen(kw_only=True)
class Plan:
    """How long, how much, and what is done to it.

    Attributes:
        messages: how many are published; every hundredth always fails, every five hundredth kills its worker.
        workers: worker processes at a time.
        worker_kills, broker_kills, broker_stops, cuts: how many of each.
        pause: seconds between two faults, at most.
    """

    messages: int
    workers: int = 3
    worker_kills: int = 0
    broker_kills: int = 0
    broker_stops: int = 0
    cuts: int = 0
    pause: float = 0.5
    seed: int = attrs.field(factory=lambda: random.randrange(2**32))


@attrs.define
class Accounts:
    """Who said what about each message, by its number."""

    confirmed: set[int] = attrs.field(factory=set)
    doubtful: set[int] = attrs.field(factory=set)
    refused: set[int] = attrs.field(factory=set)
    started: Counter[int] = attrs.field(factory=Counter)
    ended: Counter[int] = attrs.field(factory=Counter)
    buried: dict[int, str | None] = attrs.field(factory=dict)
    remaining: int = 0
    deaths: int = 0

    @property
    def lost(self) -> set[int]:
        """Confirmed, and neither handled nor buried nor there."""
        return self.confirmed - set(self.ended) - set(self.buried)

    @property
    def phantom(self) -> set[int]:
        """Handled, though the publisher was told for certain that they were not stored."""
        return set(self.started) & self.refused

    def text(self) -> str:
        """The table that a failed run prints."""
        deliveries = sum(self.started.values())
        return (
            f"confirmed {len(self.confirmed)}, doubtful {len(self.doubtful)}, refused {len(self.refused)};"
            f" handled {len(self.ended)}, buried {len(self.buried)}, remaining {self.remaining};"
            f" deliveries {deliveries}, more than once {sum(1 for n in self.started.values() if n > 1)},"
            f" doubtful ones that came {len(self.doubtful & set(self.started))};"
            f" lost {sorted(self.lost)[:20]}, phantom {sorted(self.phantom)[:20]}"
        )


class Workers:
    """Worker processes, each with a journal; a dead one is replaced."""

    def __init__(self, url: str, folder: Path, number: int) -> None:
        self._url = url
        self._folder = folder
        self.started = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._number = number

    def keep_up(self) -> None:
        """Replace those that have died."""
        self._processes = [process for process in self._processes if process.poll() is None]
        while len(self._processes) < self._number:
            self.started += 1
            command = [sys.executable, str(WORKER), self._url, str(self._folder / f"{self.started}.journal")]
            said = (self._folder / f"{self.started}.stderr").open("wb")
            self._processes.append(subprocess.Popen(command, stderr=said))
            said.close()

    def kill_one(self, chance: random.Random) -> None:
        """Kill any one of them, as the kernel would."""
        chance.choice(self._processes).kill()

    def stop(self) -> list[int]:
        """End all of them in order; their exit statuses."""
        for process in self._processes:
            process.terminate()
        return [process.wait(timeout=60) for process in self._processes]

    def journal(self) -> Iterator[tuple[str, int, int, int]]:
        """What every worker wrote."""
        for path in sorted(self._folder.glob("*.journal")):
            for line in path.read_text().splitlines():
                what, *numbers = line.split()
                number, attempt, lost = map(int, numbers)
                yield what, number, attempt, lost


@contextmanager
def working(url: str, folder: Path, number: int) -> Iterator[Workers]:
    """Workers that do not outlive the test."""
    workers = Workers(url, folder, number)
    try:
        yield workers
    finally:
        for process in workers._processes:
            process.kill()
            process.wait()


async def campaign(plan: Plan, server: BeanstalkdServer, folder: Path) -> Accounts:
    """Publish and work under faults, then heal, drain and count."""
    chance = random.Random(plan.seed)
    accounts = Accounts()
    with Proxy(server.address) as proxy:
        url = f"beanstalkd://{HOST}:{proxy.port if plan.cuts else server.port}/t?ttr=5s&timeout=2s"
        with working(url, folder, plan.workers) as workers:
            workers.keep_up()
            async with asyncio.TaskGroup() as group:
                opened = asyncio.Event()
                producing = group.create_task(produce(url, plan, accounts, opened))
                await opened.wait()  # a broker that is away just then is an error, and another test's business
                for fault in _faults(plan, chance, workers, server, proxy):
                    await asyncio.sleep(chance.uniform(plan.pause / 3, plan.pause))
                    await fault()
                    workers.keep_up()
                await producing
            await drain(server, workers)
            statuses = workers.stop()
        await count(server, workers, accounts)
        accounts.deaths = workers.started - plan.workers
    assert statuses == [0] * plan.workers, f"workers ended with {statuses}"
    print(f"seed {plan.seed}: {accounts.text()}")
    return accounts


def _faults(
    plan: Plan, chance: random.Random, workers: Workers, server: BeanstalkdServer, proxy: Proxy
) -> list[Callable[[], Awaitable[Any]]]:
    async def kill_worker() -> None:
        workers.kill_one(chance)

    async def kill_broker() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

    async def stop_broker() -> None:
        await asyncio.to_thread(server.restart)

    async def cut() -> None:
        proxy.cut()

    faults = [kill_worker] * plan.worker_kills + [kill_broker] * plan.broker_kills
    faults += [stop_broker] * plan.broker_stops + [cut] * plan.cuts
    chance.shuffle(faults)
    return list(faults)


async def produce(url: str, plan: Plan, accounts: Accounts, opened: asyncio.Event) -> None:
    """Publish every message once, whatever comes of it."""
    async with open_publisher(url) as publisher:
        opened.set()
        for start in range(0, plan.messages, 20):
            numbers = range(start, min(start + 20, plan.messages))
            messages = [Message(request_type=_kind(number), body={"number": number}) for number in numbers]
            for number, answer in zip(numbers, await publisher.publish_many(messages), strict=True):
                if not isinstance(answer, AdapterError):
                    accounts.confirmed.add(number)
                else:
                    (accounts.doubtful if answer.in_doubt else accounts.refused).add(number)
            await asyncio.sleep(0.01)


def _kind(number: int) -> str:
    return "die" if number % 500 == 499 else "fail" if number % 100 == 99 else "work"


async def drain(server: BeanstalkdServer, workers: Workers, *, seconds: float = 120) -> None:
    """Wait until the workers have nothing left to do; a drain that does not end is no pass."""
    deadline = time.monotonic() + seconds
    with greenstalk.Client(server.address) as client:
        while time.monotonic() < deadline:
            workers.keep_up()
            stats = client.stats_tube("t")
            if not any(stats[f"current-jobs-{state}"] for state in ("ready", "reserved", "delayed")):  # type: ignore[literal-required] # each is one
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"not drained within {seconds:g} s: {stats}")


async def count(server: BeanstalkdServer, workers: Workers, accounts: Accounts) -> None:
    """Read the journals, and what is left in the tube."""
    for what, number, _, _ in workers.journal():
        (accounts.started if what == "start" else accounts.ended)[number] += 1
    async with open_queue(server.url("t")) as queue:
        stats = await queue.stats()
        accounts.remaining = (stats.ready or 0) + (stats.delayed or 0) + (stats.reserved or 0)
        page = await queue.buried(limit=1_000_000)
        assert not page.partial, page.note
        for record in page.records:
            message = PulpoJson().translate(record.envelope)
            accounts.buried[int(message.body["number"])] = record.reason


def check(plan: Plan, accounts: Accounts) -> None:
    """Nothing is lost, nothing came from nowhere, and nothing was tried more often than was promised."""
    assert not accounts.lost, accounts.text()
    assert not accounts.phantom, accounts.text()
    assert not accounts.remaining, accounts.text()
    assert len(accounts.confirmed) + len(accounts.doubtful) + len(accounts.refused) == plan.messages
    hopeless = {number for number in accounts.confirmed if _kind(number) != "work"}
    assert hopeless <= set(accounts.buried), accounts.text()
    assert set(accounts.buried.values()) <= {"attempts-exhausted"}, "every burial has its reason"


def check_bounds(plan: Plan, accounts: Accounts) -> None:
    """beanstalkd counts attempts in memory: bounds hold while it runs."""
    most = max(accounts.started.values())
    twice = sum(number - 1 for number in accounts.ended.values())
    assert most <= MAX_ATTEMPTS + SLACK, f"one was started {most} times; {accounts.text()}"
    assert accounts.deaths >= plan.worker_kills
    assert twice <= accounts.deaths * CONCURRENCY, f"{twice} handled again, {accounts.deaths} workers died"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BeanstalkdServer]:
    """A beanstalkd with a log."""
    with BeanstalkdServer(binlog=tmp_path / "log") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where workers write."""
    folder = tmp_path / "workers"
    folder.mkdir()
    return folder


@pytest.mark.timeout(240)
async def test_killed_workers_lose_nothing(broker: BeanstalkdServer, folder: Path) -> None:
    plan = Plan(messages=1_500, worker_kills=10)
    accounts = await campaign(plan, broker, folder)

    check(plan, accounts)
    check_bounds(plan, accounts)
    assert not accounts.doubtful | accounts.refused, "the broker was there all the time"


@pytest.mark.timeout(240)
async def test_a_broker_that_dies_and_restarts_loses_nothing(broker: BeanstalkdServer, folder: Path) -> None:
    plan = Plan(messages=1_500, broker_kills=3, broker_stops=2)

    check(plan, await campaign(plan, broker, folder))


@pytest.mark.timeout(240)
async def test_cut_connections_lose_nothing(broker: BeanstalkdServer, folder: Path) -> None:
    plan = Plan(messages=600, cuts=10, workers=2)

    check(plan, await campaign(plan, broker, folder))


async def test_the_accounts_tell_when_messages_are_lost() -> None:
    """The control: a broker without a log is killed with a backlog."""
    accounts, plan = Accounts(), Plan(messages=500)
    with BeanstalkdServer() as server:
        await produce(server.url("t"), plan, accounts, asyncio.Event())
        server.kill()
        server.start()

    assert len(accounts.confirmed) == len(accounts.lost) == 500
    with pytest.raises(AssertionError, match="lost"):
        check(plan, accounts)


@pytest.mark.soak
async def test_everything_at_once_for_long(broker: BeanstalkdServer, folder: Path) -> None:
    plan = Plan(messages=200_000, workers=4, worker_kills=500, broker_kills=20, broker_stops=10, cuts=100, pause=0.6)

    check(plan, await campaign(plan, broker, folder))


@pytest.mark.soak
async def test_workers_are_killed_five_hundred_times(broker: BeanstalkdServer, folder: Path) -> None:
    plan = Plan(messages=100_000, workers=4, worker_kills=500, pause=0.6)
    accounts = await campaign(plan, broker, folder)

    check(plan, accounts)
    check_bounds(plan, accounts)
