"""One campaign: real processes publish and work, faults are done to them, and then every message is accounted for.

The same for every queue; an `Arena` says what is particular to one.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

import attrs

from pulpo_core import PulpoJson, Unavailable, open_queue
from pulpo_core.application.signals import SAME
from tests.proxy import Proxy
from tests.reliability.accounts import Accounts, Fault
from tests.reliability.journal import read

HERE = Path(__file__).parent

#: As in the worker.
MAX_ATTEMPTS = 4

#: A message that was only handed back is not taken for a crash loop before this many more deliveries.
SLACK = 10

#: Why messages are buried here: by pulpo, or by SQS itself when workers die of them too often.
REASONS = {"attempts-exhausted", "redriven"}

#: Messages that one publish call carries in a backlog.
BACKLOG_BATCH = 500


class Arena(Protocol):
    """A queue to fight over.

    Attributes:
        url: for workers and producers; through the proxy, where there is one.
        direct_url: for whoever counts.
        lease: of a delivery, in seconds.
        environment: for the processes.
        broker_faults: what can be done to the broker, by name.
        proxy: what lies between, if anything does.
    """

    url: str
    direct_url: str
    lease: float
    environment: Mapping[str, str]
    broker_faults: Mapping[str, Callable[[], None]]
    proxy: Proxy | None


@attrs.frozen(kw_only=True)
class Plan:
    """How much, and what is done to it.

    Attributes:
        messages: how many are published under faults; every hundredth always fails, every five
            hundredth kills its worker, every two hundredth takes longer than a lease.
        backlog: how many are published before anything else, to be handled in no time.
        faults: how many of each kind.
        pause: seconds between two faults, at most.
        minutes: if it is to go on for so long; faults and messages are repeated then.
        steps: the workers' wall clocks step to and fro.
        full: the disk is full for a while, over and over again.
    """

    messages: int
    backlog: int = 0
    workers: int = 3
    faults: Mapping[str, int] = attrs.field(factory=dict)
    pause: float = 0.5
    minutes: float = 0.0
    steps: bool = False
    full: bool = False
    seed: int = attrs.field(factory=lambda: random.randrange(2**32))


class Processes:
    """Workers and producers; a dead one is replaced, and its death noted."""

    def __init__(self, arena: Arena, plan: Plan, folder: Path) -> None:
        self.arena = arena
        self.plan = plan
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.producer: subprocess.Popen[bytes] | None = None
        self.died: dict[int, float] = {}
        self.exits: Counter[int] = Counter()
        self._started = 0
        self._next = plan.backlog
        self._end = plan.backlog
        self._journal: Path | None = None
        self._open: list[IO[bytes]] = []

    # --- workers

    def keep_up(self) -> None:
        """Replace what has died, and let the producer go on where its predecessor has ended."""
        for process in [process for process in self.workers if process.poll() is not None]:
            self.workers.remove(process)
            self._note_end(process)
        while len(self.workers) < self.plan.workers:
            self.workers.append(self._start("worker.py", self.arena.url))
        if self.producer is not None and self.producer.poll() is not None:
            self._next = self._last_tried() + 1
            self.producer = None
        if self.producer is None and self._next < self._end:
            self._publish(self._next, self._end, batch=10, pause=0.01)

    def _note_end(self, process: subprocess.Popen[bytes]) -> None:
        self.exits[process.returncode] += 1
        if process.returncode != 0:
            self.died[process.pid] = time.monotonic()

    def stop(self) -> list[int]:
        """End all workers in order; their exit statuses."""
        for process in self.workers:
            process.send_signal(signal.SIGCONT)  # it may be frozen
            process.terminate()
        return [process.wait(timeout=60) for process in self.workers]

    def kill(self) -> None:
        """Let nothing outlive the test."""
        for process in [*self.workers, *([self.producer] if self.producer else [])]:
            process.kill()
            process.wait()
        for file in self._open:
            file.close()

    # --- producers

    def publish_more(self, number: int) -> None:
        """Have so many more messages published."""
        self._end += number
        self.keep_up()

    @property
    def publishing(self) -> bool:
        """Whether there is anything still to be published."""
        self.keep_up()
        return self.producer is not None

    def publish_backlog(self) -> None:
        """Publish the backlog, and wait until all of it is there."""
        if self.plan.backlog:
            self._publish(0, self.plan.backlog, batch=BACKLOG_BATCH, pause=0.0, quick=True)
            assert self.producer is not None
            assert self.producer.wait(timeout=600) == 0, "the backlog could not be published"
            self.producer = None

    def _publish(self, first: int, end: int, *, batch: int, pause: float, quick: bool = False) -> None:
        slow = self.arena.lease * 1.5
        words = [first, end, batch, pause, slow, "quick" if quick else "mixed"]
        self.producer = self._start("producer.py", self.arena.url, *map(str, words))
        self._journal = self._journals()[-1]

    def _last_tried(self) -> int:
        assert self._journal is not None
        text = self._journal.read_text() if self._journal.exists() else ""
        tried = [int(line.split()[3]) for line in text.splitlines() if line.split()[2] == "try"]
        return max(tried, default=self._next - 1)

    def _journals(self) -> Sequence[Path]:
        return [self.folder / f"{number:05}.journal" for number in range(1, self._started + 1)]

    def _start(self, program: str, url: str, *words: str) -> subprocess.Popen[bytes]:
        self._started += 1
        command = [sys.executable, str(HERE / program), url, str(self._journals()[-1]), *words]
        environment = {**os.environ, **self.arena.environment}
        environment |= {"PULPO_CAMPAIGN_STEPS": "1"} if self.plan.steps else {}
        environment |= {"PULPO_CAMPAIGN_FULL": "1"} if self.plan.full else {}
        said = (self.folder / f"{self._started:05}.stderr").open("wb")
        self._open.append(said)
        return subprocess.Popen(command, stderr=said, stdout=said, env=environment)


@contextmanager
def processes(arena: Arena, plan: Plan, folder: Path) -> Iterator[Processes]:
    """Processes that do not outlive the test."""
    folder.mkdir(parents=True, exist_ok=True)
    them = Processes(arena, plan, folder)
    try:
        yield them
    finally:
        them.kill()


class Strikes:
    """What is done to the processes, to the broker and to what lies between."""

    def __init__(self, arena: Arena, them: Processes, chance: random.Random) -> None:
        self.arena = arena
        self.them = them
        self.chance = chance
        self.done: list[Fault] = []

    async def strike(self, kind: str) -> None:
        """Do it, and write it down."""
        self.them.keep_up()
        self.done.append(Fault(time.monotonic(), kind))
        self._aim(kind)
        if kind in self.arena.broker_faults:
            await asyncio.to_thread(self.arena.broker_faults[kind])
        elif kind == "connections cut":
            assert self.arena.proxy is not None
            self.arena.proxy.cut()
        elif kind == "connections slow":
            assert self.arena.proxy is not None
            self.arena.proxy.hold()
            await asyncio.sleep(self.chance.uniform(0.2, 1.0))
            self.arena.proxy.go_on()

    def _aim(self, kind: str) -> None:
        """What is done to processes."""
        victim = self.chance.choice(self.them.workers)
        match kind:
            case "producer killed" if self.them.producer is not None:
                _kill(self.them.producer)
            case "worker killed":
                _kill(victim)
            case "worker frozen":
                victim.send_signal(signal.SIGSTOP)
                asyncio.get_running_loop().call_later(self.arena.lease * 1.2, _thaw, victim)
            case "workers stopped":
                for worker in self.them.workers:
                    worker.send_signal(signal.SIGTERM)
                    if self.chance.random() < 0.3:
                        asyncio.get_running_loop().call_later(2 * SAME, _insist, worker)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()  # or it might be taken for alive, and for one that is to end in order


def _insist(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def _thaw(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)


async def campaign(arena: Arena, plan: Plan, folder: Path) -> Accounts:
    """Publish and work under faults, then heal, drain, count and check."""
    chance, began = random.Random(plan.seed), time.monotonic()
    with processes(arena, plan, folder) as them:
        them.publish_backlog()
        strikes = Strikes(arena, them, chance)
        while True:
            await _round(plan, them, strikes, chance)
            if time.monotonic() - began > plan.minutes * 60:
                break
        await _drain(arena, them)
        statuses = them.stop()
        buried, remaining = await _left(arena)
        lines = list(read(folder))
        seconds = time.monotonic() - began
        excuse = "the disk was full" if plan.full else ""
        accounts = Accounts(lines, strikes.done, them.died, buried, remaining, them.exits, seconds, excuse)
    print(f"\nseed {plan.seed}\n{accounts.text()}")
    check(accounts, statuses)
    return accounts


async def published_and_ruined(
    arena: Arena, number: int, folder: Path, ruin: Callable[[], Awaitable[None]]
) -> Accounts:
    """The control of a campaign: *number* messages are published, and *ruin* is done to the queue behind its back."""
    with processes(arena, Plan(messages=0, backlog=number), folder) as them:
        them.publish_backlog()
    await ruin()
    return Accounts(list(read(folder)), [], {}, *await _left(arena))


async def _round(plan: Plan, them: Processes, strikes: Strikes, chance: random.Random) -> None:
    them.publish_more(plan.messages)
    kinds = [kind for kind, number in plan.faults.items() for _ in range(number)]
    chance.shuffle(kinds)
    for kind in kinds:
        await asyncio.sleep(chance.uniform(plan.pause / 3, plan.pause))
        await strikes.strike(kind)
    while them.publishing:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)


async def _drain(arena: Arena, them: Processes, *, patience: float = 240) -> None:
    """Wait until the workers have nothing left to do; one that gets nowhere for *patience* seconds is no pass.

    A message that kills whoever takes it costs a lease each time, and as many as are allowed: a long
    campaign leaves enough of them for many minutes.
    """
    deadline, least = time.monotonic() + patience, math.inf
    async with open_queue(arena.direct_url) as queue:
        while time.monotonic() < deadline:
            them.keep_up()
            with suppress(Unavailable):
                stats = await queue.stats()
                left = sum(count or 0 for count in (stats.ready, stats.delayed, stats.reserved))
                if not left:
                    return
                if left < least:
                    deadline, least = time.monotonic() + patience, left
            await asyncio.sleep(0.2)
    raise AssertionError(f"{least:g} messages were left, and for {patience:g} s no fewer")


async def _left(arena: Arena) -> tuple[dict[int, str | None], int]:
    async with open_queue(arena.direct_url) as queue:
        stats = await queue.stats()
        page = await queue.buried(limit=1_000_000)
        translated = [(PulpoJson().translate(record.envelope), record.reason) for record in page.records]
    remaining = sum(number or 0 for number in (stats.ready, stats.delayed, stats.reserved))
    return {int(message.body["number"]): reason for message, reason in translated}, remaining


def check(accounts: Accounts, statuses: Sequence[int]) -> None:
    """Nothing is lost, nothing came from nowhere, nothing came again without a cause or too often."""
    text = accounts.text()
    assert not accounts.lost, text
    assert not accounts.phantom, text
    assert not accounts.remaining, text
    assert not accounts.again()["UNEXPLAINED"], text
    assert set(accounts.buried.values()) <= REASONS, f"every burial has its reason: {set(accounts.buried.values())}"
    # 3: it began while the broker was away. SIGTERM kills who has not begun yet.
    ends = {0, 3, 130, -signal.SIGKILL, -signal.SIGABRT, -signal.SIGTERM}
    assert set(accounts.exits) <= ends, f"workers ended with {accounts.exits}"
    assert set(statuses) <= {0, -signal.SIGTERM}, f"workers ended with {statuses}"


def check_bounds(accounts: Accounts) -> None:
    """No message is tried more often than the policy says; not promised where a broker forgets attempts."""
    number, most = accounts.starts.most_common(1)[0]
    assert most <= MAX_ATTEMPTS + SLACK, f"message {number} was started {most} times\n{accounts.text()}"
