"""Handlers that run in a process: killed when their time is over, and never more than one message fails with one."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from pulpo_core import (
    Ack,
    Bury,
    ConfigurationError,
    Delivery,
    Dispatcher,
    HandlerCrashed,
    HandlerError,
    Handlers,
    Message,
    Policy,
    RetryMessage,
    Route,
    Until,
    open_publisher,
    open_queue,
)
from pulpo_core.application.processes import _raised
from pulpo_core.events import Settled, Started

from .fakes import fresh_url

ONCE = Policy(max_attempts=1)

pytestmark = pytest.mark.timeout(90)  # each starts interpreters, on a machine that may be busy


@attrs.frozen
class Picture:
    path: str
    width: int = 100


class OddError(Exception):
    """One that cannot be copied, as many with arguments of their own."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")


def note(payload):
    """Write down which process it was that ran it."""
    with Path(payload).open("a") as journal:
        journal.write(f"{os.getpid()}\n")


def resize(picture: Picture, message: Message, delivery: Delivery, metadata: dict):
    return Message(
        request_type="done",
        body={"path": picture.path, "attempt": delivery.attempt, "uid": message.uid, "id": metadata["id"]},
    )


def act(payload):
    """Do as the message says."""
    match payload:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(4)
        case "key error":
            raise KeyError("no such thing")
        case "odd error":
            raise OddError(code=7)
        case "retry":
            raise RetryMessage(delay=60)
        case "bury":
            return Bury("unwanted")
        case "false":
            return False
        case "file":
            return Path(__file__).open()
        case "coroutine":
            return asyncio.sleep(0)
    return Ack()


def dawdle(payload):
    """Keep the processor busy, and listen to nobody."""
    Path(payload).write_text(str(os.getpid()))
    end = time.monotonic() + 50
    while time.monotonic() < end:
        pass


def wait_for_leave(payload):
    Path(payload).touch()
    while not Path(f"{payload} may go").exists():
        time.sleep(0.01)


def allow(payload):
    Path(f"{payload} may go").touch()


def handlers(function, request_type="job", **options):
    found = Handlers()
    found.add(request_type, function, runs_in="process", **options)
    return found


async def publish(url, *payloads):
    async with open_publisher(url) as publisher:
        await publisher.publish_many([Message(request_type="job", body={"payload": each}) for each in payloads])


async def run(route, **options):
    """Run until the queue is empty; what was settled."""
    settled = []

    def watch(event):
        if isinstance(event, Settled):
            settled.append(event)

    dispatcher = Dispatcher(route, observers=[watch], **{"until": Until(burst=True), **options})
    await dispatcher.run()
    [ledger] = dispatcher.ledgers.values()
    assert ledger.balanced
    return settled


async def test_it_runs_in_another_process_which_handles_one_message_after_the_other(tmp_path):
    url, journal = fresh_url(), tmp_path / "journal"
    await publish(url, *[str(journal)] * 4)
    await run(Route(url, handlers(note)), process_pool=1)

    pids = journal.read_text().splitlines()
    assert len(pids) == 4
    assert len(set(pids)) == 1
    assert str(os.getpid()) not in pids


async def test_parameters_are_bound_in_there_as_anywhere_and_follow_ups_come_back():
    url = fresh_url()
    async with open_publisher(url) as publisher:
        sent = await publisher.publish(Message(request_type="job", body={"path": "a.png"}))
    await run(Route(url, handlers(resize)), until=Until(once=True))

    async with open_queue(url) as queue:
        [delivery] = await queue.receive(1, timedelta())
    body = Route(url, handlers(resize)).translator.translate(delivery.envelope).body
    assert body == {"path": "a.png", "attempt": 1, "uid": sent.uid, "id": sent.id}


async def test_a_body_that_does_not_fit_is_buried_as_untranslatable():
    url = fresh_url()
    async with open_publisher(url) as publisher:
        await publisher.publish(Message(request_type="job", body={"width": "wide"}))
    [settled] = await run(Route(url, handlers(resize)))

    assert settled.reason == "untranslatable"
    assert "width" in settled.error


ENDS = {
    "segfault": ("attempts-exhausted", "the handler's process was killed by SIGSEGV"),
    "exit": ("attempts-exhausted", "the handler's process ended with status 3 before the handler did"),
    "sys.exit": ("attempts-exhausted", "the handler's process ended with status 4 before the handler did"),
    "key error": ("fatal", "KeyError"),
    "odd error": ("attempts-exhausted", "OddError: code 7"),
    "bury": ("unwanted", ""),
    "file": ("attempts-exhausted", "the result, a TextIOWrapper, cannot be brought out of the handler's process"),
    "coroutine": ("attempts-exhausted", "returned something to be awaited"),
}


async def test_a_process_that_ends_fails_one_attempt_of_one_message_and_says_why():
    url = fresh_url()
    await publish(url, "fine", *ENDS, "fine")
    settled = await run(
        Route(url, handlers(act), policy=Policy(max_attempts=1, fatal=(KeyError,)), concurrency=1), process_pool=1
    )

    assert [each.settlement for each in (settled[0], settled[-1])] == [Ack(), Ack()]
    for each, (reason, error) in zip(settled[1:-1], ENDS.values(), strict=True):
        assert each.settlement.reason == reason
        assert error in each.error


async def test_retries_are_asked_for_as_anywhere():
    url = fresh_url()
    await publish(url, "retry", "false")
    await run(Route(url, handlers(act)), until=Until(once=True))

    async with open_queue(url) as queue:
        assert (await queue.stats()).delayed == 2


async def test_a_crash_can_be_fatal_by_its_class():
    url = fresh_url()
    await publish(url, "exit")
    [settled] = await run(Route(url, handlers(act), policy=Policy(fatal=(HandlerCrashed,))))

    assert settled.reason == "fatal"


async def test_what_waits_for_a_process_has_not_begun(tmp_path):
    """Its time begins with its process: two that wait for one have the whole of it, one after the other."""
    url, begun = fresh_url(), []
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    await publish(url, first, second)

    def watch(event):
        if isinstance(event, Started):
            begun.append(event.message.payload)

    route = Route(url, handlers(wait_for_leave), concurrency=2)
    dispatcher = Dispatcher(route, observers=[watch], process_pool=1, until=Until(burst=True))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        await until(Path(first).exists)
        [progress] = dispatcher.progress.values()
        assert (begun, progress.in_hand, progress.running) == ([first], 2, 1)
        allow(first)
        allow(second)

    assert begun == [first, second]
    [ledger] = dispatcher.ledgers.values()
    assert ledger.acked == 2


async def test_a_process_that_a_middleware_made_no_use_of_is_there_for_the_next(tmp_path):
    url, journal = fresh_url(), tmp_path / "journal"
    await publish(url, "never", str(journal))

    async def middleware(message, delivery, call_next):
        if message.payload == "never":
            raise ConnectionError("no database")
        return await call_next(message, delivery)

    route = Route(url, handlers(note), middleware=[middleware], error_handler=lambda exc_info, message: True)
    async with asyncio.timeout(30):
        await run(route, process_pool=1)

    assert len(journal.read_text().splitlines()) == 1


async def test_a_timeout_kills_the_process_and_its_lease_is_kept_until_then(tmp_path):
    url, pid = fresh_url("?lease=500ms"), tmp_path / "pid"
    await publish(url, str(pid))
    [settled] = await run(Route(url, handlers(dawdle, timeout=4), policy=ONCE))

    assert settled.settlement == Bury("attempts-exhausted", "the handler ran longer than 4 s")
    await gone(int(pid.read_text()))


async def test_at_the_end_of_the_grace_it_is_killed_and_its_message_given_back(tmp_path):
    url, pid = fresh_url(), tmp_path / "pid"
    await publish(url, str(pid))
    dispatcher = Dispatcher(Route(url, handlers(dawdle)), grace=0.5)
    async with asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        await until(pid.exists)
        began = time.monotonic()
        dispatcher.stop()

    [ledger] = dispatcher.ledgers.values()
    assert ledger.released == 1
    assert time.monotonic() - began < 10
    await gone(int(pid.read_text()))


async def gone(pid):
    """Return once there is no such process."""
    await until(lambda: not Path(f"/proc/{pid}").exists())


async def until(happened):
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - another process makes it happen
            await asyncio.sleep(0.02)


ORPHAN = """
import time
from pulpo_core import *

handlers = Handlers()

@handlers("job", runs_in="process")
def job(payload):
    print(__import__("os").getpid(), flush=True)
    while True: pass

if __name__ == "__main__":
    with open_publisher_sync("memory://jobs") as publisher:
        publisher.publish(Message(request_type="job", body={"payload": 1}))
    Manager(Route("memory://jobs", handlers)).run()
"""


def test_when_its_worker_is_killed_it_ends_in_the_middle_of_its_work(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(ORPHAN)
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        worker.kill()

    asyncio.run(gone(pid))


PROGRAM = """
from pulpo_core import *

handlers = Handlers()

@handlers("job", runs_in="process")
def job(payload):
    print("ran", payload, __name__, flush=True)

GUARD
    with open_publisher_sync("memory://jobs") as publisher:
        publisher.publish(Message(request_type="job", body={"payload": 1}))
    route = Route("memory://jobs", handlers, policy=Policy(max_attempts=1))
    report = Manager(route, until=Until(burst=True)).run()
    print("buried", report.ledger.buried, flush=True)
"""


@pytest.mark.parametrize(
    ("guard", "out", "said"),
    [
        ('if __name__ == "__main__":', "ran 1 __mp_main__\nburied 0\n", ""),
        ("if True:", "buried 1\n", "a process for handlers imports this file, too: run under if __name__"),
    ],
    ids=["guarded", "not guarded"],
)
def test_a_program_is_imported_in_there_and_must_not_run_again(tmp_path, guard, out, said):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("GUARD", guard))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == out
    assert said in done.stderr


# What cannot run there


async def coroutine(message): ...


def generator(message):
    yield


class Object:
    def handle(self, message): ...


REFUSED = {
    "a lambda": (lambda message: None, "it is a lambda; define it at the top of its module"),
    "a coroutine function": (coroutine, "it is a coroutine function, which needs the event loop"),
    "an object": (Object(), "only a function can, not an Object"),
    "a bound method": (Object().handle, "only a function can, not a method"),
}


@pytest.mark.parametrize(("handler", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_process_could_not_find_or_call_is_refused_at_registration(handler, said):
    with pytest.raises(HandlerError, match=said):
        handlers(handler)


def test_a_closure_is_refused_at_registration():
    found = Handlers()

    with pytest.raises(HandlerError, match="it is defined inside another function"):

        @found("job", runs_in="process")
        def inner(message): ...


def wrapped(message): ...


hidden = handlers(wrapped)
wrapped = print


async def test_a_name_that_stands_for_something_else_is_refused_at_the_start():
    with pytest.raises(HandlerError, match="that name stands for something else"):
        await Dispatcher(Route(fresh_url(), hidden)).run()


def test_no_other_place_can_be_chosen():
    with pytest.raises(ConfigurationError, match="runs_in: expected 'process', not 'thread'"):
        Handlers().add("job", print, runs_in="thread")


class MuteError(OddError):
    """One that cannot even be told."""

    def __str__(self):
        raise ValueError("nothing to say")


def test_an_error_that_can_be_neither_copied_nor_told_does_not_end_its_process():
    told = _raised(MuteError(code=7)).error

    assert (type(told), str(told)) == (HandlerError, "MuteError: (no text: its __str__ raises)")
