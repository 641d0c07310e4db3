"""`pulpo contract` tries a live broker, as a command of its own: nothing of the user's is touched, nothing is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import greenstalk
import pytest

from pulpo_core import Adapter, Envelope, ScratchQueues, Unsupported, adapter_for, open_queue
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import LiveHarness, ManualClock, SeededJitter
from tests.clocks import SystemTime
from tests.servers import ROOT, BeanstalkdServer
from tests.sqs_server import SqsServer

#: A few clauses of several groups that take little time where it is real: the others are tried by the test suites.
_FEW = ("--only", "C030", "--only", "C060", "--only", "C093")


@attrs.frozen
class Tried:
    """How one run of the command ended."""

    status: int
    out: str
    err: str

    @property
    def findings(self) -> dict[str, str]:
        """By the ids of the clauses; of a run with --json."""
        return {each["id"]: each["finding"] for each in json.loads(self.out)["clauses"]}


def contract(url: str, *arguments: str, path: Path | None = None) -> Tried:
    """Run `pulpo contract` on *url*, with modules from *path*."""
    with begun(url, *arguments, path=path) as process:
        out, err = process.communicate(timeout=50)
    return Tried(process.returncode, out, err)


def begun(url: str, *arguments: str, path: Path | None = None) -> subprocess.Popen[str]:
    """`pulpo contract`, begun."""
    command = [sys.executable, "-m", "pulpo_cli", "contract", url, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, filter(None, [path, ROOT])))}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


# --- files


def test_a_file_is_tried_beside_the_file_that_is_named(tmp_path):
    url = f"file://{tmp_path}/shop.db?queue=orders"
    asyncio.run(_publish(url, b"the user's own"))
    before = {path.name for path in tmp_path.iterdir()}

    tried = contract(url, *_FEW)

    assert tried.status == 0, tried.out + tried.err
    assert "C030     settling   kept " in tried.out
    assert ", 0 broken, " in tried.out.splitlines()[-1]
    assert tried.err == ""
    assert {path.name for path in tmp_path.iterdir()} == before, "scratch files are left"
    assert asyncio.run(_bodies(url)) == [b"the user's own"]


async def _publish(url: str, body: bytes) -> None:
    async with open_queue(url) as queue:
        await queue.publish([Envelope(body=body)])


async def _bodies(url: str) -> list[bytes]:
    async with open_queue(url) as queue:
        return [each.envelope.body for each in await queue.receive(10, wait=queue.capabilities.max_wait)]


# --- beanstalkd


def test_a_beanstalkd_is_tried_in_tubes_of_its_own(beanstalkd: BeanstalkdServer):
    tube = "live.orders"
    with greenstalk.Client(beanstalkd.address, use=tube) as client:
        client.put("the user's own")

    tried = contract(beanstalkd.url(tube), *_FEW, "--json")

    assert tried.status == 0, tried.out + tried.err
    assert tried.findings["C030"] == tried.findings["C060"] == "kept"
    assert tried.err.startswith("the broker keeps its own time")
    with greenstalk.Client(beanstalkd.address) as client:
        assert [name for name in client.tubes() if name.startswith(tube)] == [tube], "scratch tubes are left"
        assert client.stats_tube(tube)["current-jobs-ready"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it_and_leaves_nothing(beanstalkd: BeanstalkdServer, number):
    tube = f"live.stopped.{number.name}"
    with begun(beanstalkd.url(tube)) as process, greenstalk.Client(beanstalkd.address) as client:
        deadline = time.monotonic() + 30
        while not _with_jobs(client, tube):
            assert time.monotonic() < deadline
        process.send_signal(number)
        _, err = process.communicate(timeout=30)

        assert process.returncode == 130
        assert err.splitlines()[-1] == "pulpo: stopped"
        assert not _with_jobs(client, tube)


def _with_jobs(client: greenstalk.Client, prefix: str) -> list[str]:
    return [name for name in client.tubes() if name.startswith(prefix) and _jobs(client, name)]


def _jobs(client: greenstalk.Client, tube: str) -> int:
    try:
        stats = client.stats_tube(tube)
    except greenstalk.NotFoundError:
        return 0
    return sum(stats[f"current-jobs-{state}"] for state in ("ready", "reserved", "delayed", "buried"))


def test_a_broker_that_is_away_is_told_before_anything_is_tried():
    tried = contract("beanstalkd://127.0.0.1:1/orders")

    assert (tried.status, tried.out) == (3, "")
    assert tried.err.startswith("pulpo: no connection to 127.0.0.1:1")


# --- SQS


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_sqs_is_tried_in_queues_that_are_made_and_deleted(own_sqs_server: SqsServer, aws_credentials, suffix):
    own_sqs_server.clock = SystemTime()
    url = f"sqs://live-orders{suffix}?endpoint_url={own_sqs_server.url}"

    tried = contract(url, "--only", "C001", "--only", "C093", "--json")

    assert tried.status == 0, tried.out + tried.err
    assert tried.findings == {"C001": "kept", "C093": "kept"}
    assert not [name for name in own_sqs_server.state.queues if name.startswith("live-orders")], "they are left"


# --- what is broken, or wrong


_BROKEN = """
from pulpo_core.adapters.memory import MemoryAdapter
from tests.contract.faults import FaultyAdapter
from tests.contract.faults.settling import RedeliversAfterAck


class Broken(FaultyAdapter):
    own_clock = False

    def __init__(self):
        super().__init__(RedeliversAfterAck)

    def scratch_url(self, url, name):
        return f"memory://{name}"

    async def remove(self, url):
        await MemoryAdapter().remove(url)


class Plain(FaultyAdapter):
    def __init__(self):
        super().__init__(RedeliversAfterAck)
"""


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A distribution with two adapters, as an installer would leave it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "broken_adapter.py").write_text(_BROKEN)
    metadata = folder / "broken_adapter-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-adapter\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[pulpo.adapters]\nbroken = broken_adapter:Broken\nplain = broken_adapter:Plain\n"
    )
    return folder


def test_a_broken_promise_is_told_with_its_reason_and_a_status_of_its_own(distribution):
    tried = contract("memory://x", "--only", "C030", path=distribution)
    assert tried.status == 0, "the sound one, with the same modules at hand"

    tried = contract("broken://x", "--only", "C001", "--only", "C030", "--only", "C173", path=distribution)

    assert tried.status == 1, tried.out + tried.err
    lines = tried.out.splitlines()
    assert lines[2].startswith("C001     publishing   kept ")
    assert lines[3].startswith("C030     settling     BROKEN ")
    assert lines[4].strip().startswith("→ it was acknowledged, but")
    assert lines[5].startswith("C173     refusal      not tried ")
    assert lines[6].strip() == "→ the queue declares groups"
    assert lines[-1] == "1 kept, 1 broken, 1 not tried"


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        pytest.param(["plain://x"], 6, "pulpo: the adapter of memory:// offers no scratch queues", id="no scratch"),
        pytest.param(["kafka://x"], 2, "pulpo: no adapter for 'kafka' is installed", id="unknown scheme"),
        pytest.param(["memory://x?lase=3"], 2, "pulpo: 'memory://x': unknown parameter 'lase'", id="bad URL"),
        pytest.param(["memory://x", "--only", "leese"], 2, "pulpo: Invalid value for '--only': no clause", id="--only"),
    ],
)
def test_what_cannot_be_tried_is_one_line(distribution, arguments, status, line):
    tried = contract(*arguments, path=distribution)

    assert (tried.status, tried.out) == (status, ""), tried.err
    [said] = tried.err.splitlines()
    assert said.startswith(line)


_WITHOUT = "import sys; sys.modules.update(pytest=None, hypothesis=None); from pulpo_cli.main import main; main()"


def test_it_needs_neither_pytest_nor_hypothesis():
    command = [sys.executable, "-c", _WITHOUT, "contract", "memory://x", "--only", "C001"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.endswith("1 kept, 0 broken, 0 not tried\n"), done.stderr


# --- scratch queues


@pytest.mark.parametrize(
    ("url", "scratch"),
    [
        ("memory://orders?lease=5s", "memory://orders.s-1?lease=5s"),
        ("file:///var/my%20spool/shop.db?queue=mail", "file:///var/my%20spool/shop.s-1.db?queue=mail"),
        ("file:///var/spool/jobs", "file:///var/spool/jobs.s-1"),
        ("beanstalkd://[::1]/t?ttr=90s", "beanstalkd://[::1]:11300/t.s-1?ttr=2s&timeout=10&connect_timeout=5"),
        ("beanstalkd:///run/b.sock?tube=t", "beanstalkd:///run/b.sock?tube=t.s-1&ttr=2s&timeout=10&connect_timeout=5"),
        ("sqs://orders?region=eu-west-1", "sqs://orders-s-1?region=eu-west-1&timeout=10&wait=10&visibility=3s"),
        ("sqs://high,low?dlq=dead", "sqs://high-s-1?timeout=10&wait=10&visibility=3s"),
        ("sqs://arn:aws:sqs:eu-west-1:1:orders.fifo", "sqs://orders-s-1.fifo?region=eu-west-1&timeout=10&wait=10&visibility=3s"),
        (f"sqs://{'o' * 80}", f"sqs://{'o' * 64}-s-1?timeout=10&wait=10&visibility=3s"),
    ],
)  # fmt: skip
def test_a_scratch_queue_is_another_queue_in_the_same_place(url, scratch):
    adapter = adapter_for(url)

    assert isinstance(adapter, ScratchQueues)
    assert adapter.scratch_url(url, "s-1") == scratch
    adapter.open(scratch, clock=ManualClock(), jitter=SeededJitter())  # the URL is read at once


def test_a_queue_in_memory_is_forgotten_but_not_under_its_holders():
    async def main() -> None:
        await _publish("memory://forgotten", b"1")
        async with open_queue("memory://forgotten") as holder:
            await MemoryAdapter().remove("memory://forgotten")
            assert (await holder.stats()).ready == 1
        await MemoryAdapter().remove("memory://forgotten")
        async with open_queue("memory://forgotten") as queue:
            assert (await queue.stats()).ready == 0

    asyncio.run(main())


# --- the harness


class Unremovable(MemoryAdapter):
    """A broker that is away as soon as there is something to remove."""

    async def remove(self, url: str) -> None:
        raise Unsupported("away")


def test_what_could_not_be_removed_is_remembered():
    harness = LiveHarness("memory://orders?lease=5s", Unremovable())

    asyncio.run(harness.capabilities())

    [left] = harness.left
    assert left.startswith(f"memory://orders.{harness.name}")
    assert left.endswith("?lease=5s")


def test_an_adapter_without_scratch_queues_is_refused():
    class Plain:
        scheme = "plain"

        def open(self, url: str, **_: Any) -> Any:
            """Never called."""

        async def create(self, url: str, options: Mapping[str, Any]) -> str:
            """Never called."""
            return url

    plain: Adapter = Plain()  # type: ignore[assignment]  # it is never asked for its capabilities

    with pytest.raises(Unsupported, match=r"AdapterContract"):
        LiveHarness("plain://x", plain)
