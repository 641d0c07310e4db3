"""Workers in several processes on one queue: what a second core gives, and what more processes than cores take away.

The processes are started before, and told when to begin; what is measured ends when the queue is empty and the last
of them has said how many it handled. What `pulpo run --processes` adds, starting and watching, is left out.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Protocol
from uuid import uuid4

from benchmarks.beanstalkd import broker, compute
from benchmarks.case import Bench, Case, Goal, Group, points
from benchmarks.file import BODY, folder

#: What handlers do: for how long they compute, in seconds, and for one message in how many that is done.
HANDLERS = {"handlers that do nothing": (0.0, 1), "handlers that compute for 1 ms": (0.001, 10)}
NOTHING, COMPUTING = HANDLERS
WORKERS = (1, 2, 4)


class System(Protocol):
    """One queue, as each of the processes has it."""

    def fill(self, messages: int, work: str) -> None: ...
    def drain(self, work: str) -> int:
        """Take and handle until nothing is left; how many those were."""


class Pulpo:
    """A dispatcher with ten handlers at once, as a route has by default."""

    def __init__(self, url: str) -> None:
        self._url = url

    def fill(self, messages: int, work: str) -> None:  # noqa: ARG002 - what is done is up to the handler
        asyncio.run(self._fill(messages))

    async def _fill(self, messages: int) -> None:
        from pulpo_core import Envelope, open_queue

        async with open_queue(self._url) as queue:
            for start in range(0, messages, 100):
                answers = await queue.publish([Envelope(body=BODY)] * min(100, messages - start))
                assert not any(isinstance(answer, Exception) for answer in answers)

    def drain(self, work: str) -> int:
        from pulpo_core import Dispatcher, Handlers, Route, Until

        seconds, _ = HANDLERS[work]
        handlers = Handlers()

        @handlers("send_email")
        async def send_email(message: object) -> None:  # noqa: ARG001 - handlers are called as people write them
            compute(seconds)

        dispatcher = Dispatcher(Route(self._url, handlers, name="bench"), until=Until(burst=True))
        asyncio.run(dispatcher.run())
        return dispatcher.ledgers["bench"].acked


class Greenstalk(Pulpo):
    """greenstalk's plain loop: one connection, one command after the other."""

    def drain(self, work: str) -> int:
        import greenstalk

        seconds, _ = HANDLERS[work]
        host, port, tube = self._url.removeprefix("beanstalkd://").replace("/", ":").split(":")
        handled = 0
        with greenstalk.Client((host, int(port)), encoding=None, watch=tube) as client:
            while True:
                try:
                    job = client.reserve(timeout=0)
                except greenstalk.TimedOutError:
                    return handled
                compute(seconds)
                client.delete(job)
                handled += 1


class HueyTasks:
    """huey: a task is called, and workers execute it; what it takes off the queue is gone when it crashes."""

    def __init__(self, url: str) -> None:
        from huey import SqliteHuey

        self._huey = SqliteHuey(filename=url.removeprefix("file://"), fsync=True, results=False)
        self._send_email = self._huey.task()(send_email)

    def fill(self, messages: int, work: str) -> None:
        for _ in range(messages):
            self._send_email(BODY, HANDLERS[work][0])

    def drain(self, work: str) -> int:  # noqa: ARG002 - the task brings it
        handled = 0
        while task := self._huey.dequeue():
            self._huey.execute(task)
            handled += 1
        return handled


def send_email(body: bytes, seconds: float) -> None:  # noqa: ARG001 - as a task of huey is written
    """What huey executes."""
    compute(seconds)


SYSTEMS: dict[str, Callable[[str], System]] = {"pulpo": Pulpo, "greenstalk": Greenstalk, "huey": HueyTasks}


def scaling(bench: Bench, *, system: str, broker: bool, workers: int) -> None:
    """So many processes empty one queue, twice: with handlers that do nothing, and that compute."""
    with ExitStack() as stack:
        url = _beanstalkd() if broker else f"file://{stack.enter_context(folder())}/shop.db"
        processes = stack.enter_context(_started(workers, system, url))
        queue = SYSTEMS[system](url)
        for work, (_, one_in) in HANDLERS.items():
            messages = bench.messages // one_in
            queue.fill(messages, work)
            _measure(bench, processes, work, messages)


def computing_alone(bench: Bench, *, workers: int) -> None:
    """The computing and nothing else, in as many processes: what could be had at most."""
    _, one_in = HANDLERS[COMPUTING]
    messages = bench.messages // one_in // workers * workers
    with _started(workers, "alone", str(messages // workers)) as processes:
        _measure(bench, processes, COMPUTING, messages)


def _beanstalkd() -> str:
    return f"beanstalkd://127.0.0.1:{os.environ['BENCH_BEANSTALKD']}/bench-{uuid4().hex}"


def _measure(bench: Bench, processes: Sequence[subprocess.Popen[str]], work: str, messages: int) -> None:
    began = time.perf_counter()
    for process in processes:
        _say(process, work)
    answers = [_hear(process).split() for process in processes]
    elapsed = time.perf_counter() - began
    bench.check(sum(int(handled) for handled, _ in answers), messages, "handled")
    bench.keep(work, messages=messages, elapsed=elapsed, cpu=sum(float(cpu) for _, cpu in answers))


@contextmanager
def _started(number: int, *arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that wait to be told what to do."""
    program = "from benchmarks.processes import main; main()"  # and not __main__, of which huey's tasks would be
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) for _ in range(number)]
    try:
        for process in processes:
            _hear(process)  # it is there
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a worker has ended"
    return line


def work_as_told(drain: Callable[[str], int]) -> None:
    """What each process does: say that it is there, and answer each kind of work with the number and the CPU time."""
    print("there", flush=True)
    for line in sys.stdin:
        before = _cpu_seconds()
        handled = drain(line.strip())
        print(handled, _cpu_seconds() - before, flush=True)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _alone(messages: int, work: str) -> int:
    for _ in range(messages):
        compute(HANDLERS[work][0])
    return messages


def main() -> None:
    """Be one of the processes; the command line says whose, and at which queue."""
    system, where = sys.argv[1:]
    if system == "pulpo":
        import pulpo_core  # noqa: F401 - it is there before it is measured
    work_as_told(partial(_alone, int(where)) if system == "alone" else SYSTEMS[system](where).drain)


# ---------------------------------------------------------------------------------------------------------------- group


FILE, BEANSTALKD = "pulpo on a file", "pulpo on beanstalkd"
GREENSTALK, HUEY, ALONE = "greenstalk's loop", "huey", "the computing alone"


def _name(curve: str, workers: int) -> str:
    return f"{curve}, {workers} {'process' if workers == 1 else 'processes'}"


def _curve(curve: str, run: Callable[..., None], messages: int, *, peer: bool = False) -> Iterator[Case]:
    yield from points(
        curve, _name, {workers: (partial(run, workers=workers), messages) for workers in WORKERS}, peer=peer
    )


def _bound(curve: str, workers: int, against: str, others: int, figure: str, at_least: float) -> Goal:
    names = _name(curve, workers), _name(against, others)
    return Goal(case=names[0], against=names[1], figure=figure, of="rate", at_least=at_least)


def _goals(curve: str) -> Iterator[Goal]:
    for workers in WORKERS:
        yield _bound(curve, workers, ALONE, workers, COMPUTING, 0.6)
    yield _bound(curve, 2, curve, 1, COMPUTING, 1.4)
    yield _bound(curve, 4, curve, 2, COMPUTING, 0.75)
    yield _bound(curve, 2, curve, 1, NOTHING, 0.6)


GROUP = Group(
    title="One queue emptied by several processes",
    cases=[
        *_curve(FILE, partial(scaling, system="pulpo", broker=False), 5_000),
        *_curve(BEANSTALKD, partial(scaling, system="pulpo", broker=True), 5_000),
        *_curve(GREENSTALK, partial(scaling, system="greenstalk", broker=True), 5_000),
        *_curve(HUEY, partial(scaling, system="huey", broker=False), 2_000, peer=True),
        *_curve(ALONE, computing_alone, 5_000),
    ],
    baseline=_name(ALONE, 1),
    goals=[*_goals(FILE), *_goals(BEANSTALKD), _bound(FILE, 2, HUEY, 2, NOTHING, 2)],
    server=partial(broker, pinned=False),
    along="processes",
)
