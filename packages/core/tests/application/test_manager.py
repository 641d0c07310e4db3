"""The process around a dispatcher: signals, threads, somebody else's loop, and the status at the end."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from pulpo_core import (
    AdapterError,
    ApplicationError,
    ConfigurationError,
    Dispatcher,
    HandlerError,
    InvalidURL,
    Manager,
    Message,
    MessageNotFound,
    PermissionDenied,
    PulpoError,
    QueueNotFound,
    Route,
    SystemClock,
    Unavailable,
    UnknownScheme,
    Unsupported,
    Until,
    open_publisher_sync,
    status_of,
)
from pulpo_core.application.signals import SAME
from pulpo_core.events import Started

from .fakes import FaultyAdapter, Recorder, failing, fresh_url

BURST = Until(burst=True)

STATUSES = {
    ConfigurationError: 2,
    UnknownScheme: 2,
    InvalidURL: 2,
    QueueNotFound: 2,
    PermissionDenied: 2,
    Unavailable: 3,
    ApplicationError: 4,
    HandlerError: 4,
    Unsupported: 6,
    PulpoError: 1,
    AdapterError: 1,
    MessageNotFound: 1,
    KeyError: 1,
    KeyboardInterrupt: 1,
}


@pytest.mark.parametrize("error", STATUSES)
def test_every_kind_of_error_has_its_status(error):
    assert status_of(error("so")) == STATUSES[error]


# In this process


def publish(url: str, *messages: Message) -> None:
    with open_publisher_sync(url) as publisher:
        for message in messages:
            publisher.publish(message)


def test_a_run_to_its_end_gives_back_a_report():
    url = fresh_url()
    publish(url, Message(), Message())
    report = Manager(Route(url, Recorder(), name="mail"), until=BURST).run()

    assert (report.status, report.error, report.unsettled, report.abandoned) == (0, None, (), 0)
    assert report.ledgers["mail"].acked == report.ledger.acked == 2
    assert report.ledger.balanced


def test_a_manager_takes_routes_or_a_dispatcher_made_of_them():
    dispatcher = Dispatcher(Route(fresh_url(), Recorder()), until=BURST)

    assert Manager(dispatcher).dispatcher is dispatcher
    assert Manager(dispatcher).run().status == 0


def test_making_a_manager_touches_no_signals():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    Manager(Route(fresh_url(), Recorder()))

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_after_a_run_signals_are_as_they_were():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    Manager(Route(fresh_url(), Recorder()), until=BURST).run()

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


ERRORS = {
    "not reachable": (Unavailable("the broker is away"), 3),
    "the queue is gone": (QueueNotFound("no such queue"), 2),
    "a defect": (KeyError("surprise"), 1),
}


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=ERRORS)
def test_what_ends_a_run_is_in_its_report_and_logged_in_one_line(error, status, caplog):
    async def refuse():
        raise error

    def manager():
        return Manager(Route(fresh_url(), Recorder(), adapter=FaultyAdapter(on_open=refuse)), until=BURST)

    report = manager().execute()
    assert (report.status, report.error) == (status, error)
    with pytest.raises(SystemExit) as caught, caplog.at_level(logging.INFO, logger="pulpo.manager"):
        manager().run()
    assert caught.value.code == status
    assert [record.getMessage() for record in caplog.records if record.name == "pulpo.manager"] == [str(error)]


@pytest.mark.parametrize(
    ("code", "status", "said"), [(None, 0, []), (0, 0, []), (7, 7, []), ("so be it", 1, ["so be it"])]
)
def test_a_handler_may_end_the_process_with_a_status_of_its_own(code, status, said, caplog):
    async def handler(message):
        raise SystemExit(code)

    url = fresh_url()
    publish(url, Message())
    manager = Manager(Route(url, handler), until=BURST)
    with caplog.at_level(logging.ERROR, logger="pulpo.manager"):
        if status:
            with pytest.raises(SystemExit) as caught:
                manager.run()
            assert caught.value.code == status
        else:
            assert manager.run().ledger.released == 1

    assert [record.getMessage() for record in caplog.records] == said


class Hasty:
    """A clock on which every wait is over soon."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self.now, self.monotonic = self._clock.now, self._clock.monotonic

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds / 1000)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        return await self._clock.wait(event, seconds / 100)


def test_what_was_not_settled_makes_the_status_130():
    url = fresh_url()
    publish(url, Message())
    adapter = FaultyAdapter({"lease": None}, settle=failing(Unavailable("away")))

    route = Route(url, Recorder(), adapter=adapter)
    report = Manager(route, until=Until(once=True), clock=Hasty()).execute()

    assert report.status == 130
    assert len(report.unsettled) == 1
    assert report.ledger.in_hand == 1


class Telling:
    """An observer that can be waited for from another thread."""

    def __init__(self) -> None:
        self.started = threading.Event()

    def __call__(self, event: object) -> None:
        if isinstance(event, Started):
            self.started.set()


@pytest.mark.parametrize("now", [False, True])
def test_it_runs_in_a_thread_without_signals_and_is_stopped_from_another(now):
    url, telling, reports = fresh_url(), Telling(), []
    publish(url, Message())
    handler = Recorder(seconds=60 if now else 0.05)
    manager = Manager(Route(url, handler), observers=[telling])
    thread = threading.Thread(target=lambda: reports.append(manager.execute()))
    thread.start()
    assert telling.started.wait(10)
    manager.stop(now=now)
    thread.join(10)

    assert not thread.is_alive()
    assert reports[0].status == 0
    assert (reports[0].ledger.released if now else reports[0].ledger.acked) == 1


def test_a_stop_before_the_run_or_after_it_is_fine():
    manager = Manager(Route(fresh_url(), Recorder()))
    manager.stop()
    assert manager.execute().status == 0
    manager.stop(now=True)


async def test_it_runs_inside_somebody_else_s_loop_which_keeps_its_signals():
    url, handler = fresh_url(), Recorder()
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    manager = Manager(Route(url, handler), observers=[telling := Telling()])
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(manager.serve())
        await asyncio.to_thread(publish, url, Message())
        assert await asyncio.to_thread(telling.started.wait, 10)
        assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
        manager.stop()

    assert serving.result().status == 0
    assert serving.result().ledger.acked == 1


async def test_somebody_else_may_cancel_it():
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(Manager(Route(fresh_url(), Recorder())).serve())
        await asyncio.sleep(0.01)
        serving.cancel()

    assert serving.cancelled()


def test_its_event_loop_may_be_somebody_else_s_make():
    made = []

    def factory():
        made.append(asyncio.new_event_loop())
        return made[0]

    assert Manager(Route(fresh_url(), Recorder()), loop_factory=factory, until=BURST).run().status == 0
    assert made[0].is_closed()


# Processes of their own

SCRIPT = """
import asyncio, logging, sys, threading
from datetime import timedelta
from pulpo_core import Dispatcher, Manager, Message, Route, open_publisher_sync

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

def tell(word):
    print(word, flush=True)

async def polite(message):
    tell("started")
    await asyncio.sleep(0.3)
    tell("done")

async def long(message):
    tell("started")
    await asyncio.sleep(60)

async def stubborn(message):
    tell("started")
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            tell("swallowed")

def blocking(message):
    tell("started")
    threading.Event().wait(60)

async def deaf(message):
    tell("started")
    threading.Event().wait(60)

async def elsewhere(message):
    tell("started")
    await asyncio.to_thread(threading.Event().wait, 60)

class Brief(Dispatcher):
    stops_within = timedelta(seconds=1)

if __name__ == "__main__":
    handler, grace, how = globals()[sys.argv[1]], float(sys.argv[2]), sys.argv[3]
    with open_publisher_sync("memory://jobs") as publisher:
        publisher.publish(Message())
    make = Brief if how == "brief" else Dispatcher
    manager = Manager(make(Route("memory://jobs", handler), grace=grace))
    report = manager.execute(supervised=True) if how == "supervised" else manager.run()
    tell(f"ended {report.ledger.acked} {report.ledger.released}")
"""


class Process:
    """A worker in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.pid = popen.pid
        self._last_signal = 0.0
        self.lines: list[str] = []

    def wait_for(self, word: str) -> None:
        """Read its lines up to the one that begins with *word*."""
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self.lines.append(line.strip())
            if line.startswith(word):
                return
        pytest.fail(f"no {word!r} came, but {self.lines} and {self._popen.stderr and self._popen.stderr.read()}")

    def signal(self, number: signal.Signals) -> None:
        time.sleep(max(0.0, self._last_signal + 2 * SAME - time.monotonic()))  # so that it counts
        self._popen.send_signal(number)
        self._last_signal = time.monotonic()

    def end(self) -> int:
        """Its status."""
        out, err = self._popen.communicate(timeout=20)
        self.lines += out.split("\n")
        assert "Traceback" not in err, err
        return self._popen.returncode


@contextmanager
def process(tmp_path, handler: str, grace: float = 20, how: str = "") -> Iterator[Process]:
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, script, handler, str(grace), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_status_is_0(tmp_path, number):
    with process(tmp_path, "polite") as worker:
        worker.wait_for("started")
        worker.signal(number)
        assert worker.end() == 0

    assert "done" in worker.lines
    assert "ended 1 0" in worker.lines


def test_a_signal_that_is_sent_twice_in_no_time_counts_once(tmp_path):
    """As `timeout` does: to the process, and to the group that it belongs to."""
    with process(tmp_path, "polite") as worker:
        worker.wait_for("started")
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(worker.pid, number)
            time.sleep(SAME / 10)
        assert worker.end() == 0

    assert "ended 1 0" in worker.lines, "it was drained"


def test_when_the_grace_is_over_what_runs_is_given_back_and_the_status_is_0(tmp_path):
    with process(tmp_path, "long", grace=0.2) as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0

    assert "ended 0 1" in worker.lines


def test_a_thread_that_a_handler_has_awaited_does_not_hold_up_the_end(tmp_path):
    with process(tmp_path, "elsewhere", grace=0.2) as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0

    assert "ended 0 1" in worker.lines


def test_a_second_signal_cuts_and_where_everything_could_be_given_back_the_status_is_0(tmp_path):
    with process(tmp_path, "long") as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        worker.wait_for("stopping:")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 0

    assert "ended 0 1" in worker.lines


def test_a_second_signal_cuts_and_where_a_thread_could_not_be_stopped_the_status_is_130(tmp_path):
    with process(tmp_path, "blocking") as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        worker.wait_for("stopping:")
        worker.signal(signal.SIGINT)
        assert worker.end() == 130


def test_a_third_signal_ends_the_process_whatever_runs(tmp_path):
    with process(tmp_path, "stubborn") as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        worker.wait_for("stopping:")
        worker.signal(signal.SIGTERM)
        worker.wait_for("swallowed")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 130


def test_a_third_signal_ends_even_a_process_whose_loop_is_blocked(tmp_path):
    with process(tmp_path, "deaf") as worker:
        worker.wait_for("started")
        for _ in range(3):
            worker.signal(signal.SIGTERM)
        assert worker.end() == 130


def test_a_process_whose_loop_is_blocked_is_left_when_its_time_to_stop_is_over(tmp_path):
    with process(tmp_path, "deaf", how="brief") as worker:
        worker.wait_for("started")
        worker.signal(signal.SIGTERM)
        assert worker.end() == 130

    assert any("a handler does not end: leaving without it" in line for line in worker.lines)


def test_under_a_supervisor_further_signals_change_nothing(tmp_path):
    with process(tmp_path, "polite", how="supervised") as worker:
        worker.wait_for("started")
        for _ in range(4):
            worker.signal(signal.SIGTERM)
            time.sleep(0.02)
        assert worker.end() == 0

    assert "ended 1 0" in worker.lines


# What is open around a run


def test_what_is_open_around_a_run_is_opened_before_it_and_closed_after_it_in_its_loop():
    told, url = [], fresh_url()
    publish(url, Message())

    @asynccontextmanager
    async def resource(dispatcher):
        told.append(("opened", asyncio.get_running_loop()))
        yield
        told.append(("closed", asyncio.get_running_loop(), dispatcher.ledgers["mail"].acked))

    async def handler(message):
        told.append(("handled", asyncio.get_running_loop()))

    report = Manager(Route(url, handler, name="mail"), until=BURST).execute(around=[resource])

    assert report.status == 0
    assert [each[0] for each in told] == ["opened", "handled", "closed"]
    assert len({each[1] for each in told}) == 1
    assert told[-1][2] == 1


def test_an_error_keeps_its_status_when_tasks_of_what_is_open_around_the_run_wrap_it():
    @asynccontextmanager
    async def resource(_):
        async with asyncio.TaskGroup():
            yield

    adapter = FaultyAdapter(on_open=failing_to_open)
    report = Manager(Route(fresh_url(), Recorder(), adapter=adapter)).execute(around=[resource, resource])

    assert (report.status, str(report.error)) == (3, "away")


async def failing_to_open():
    raise Unavailable("away")


def test_what_cannot_be_opened_around_a_run_ends_it_with_its_status():
    @asynccontextmanager
    async def resource(_):
        raise Unavailable("no database")
        yield

    report = Manager(Route(fresh_url(), Recorder()), until=BURST).execute(around=[resource])

    assert (report.status, str(report.error)) == (3, "no database")
