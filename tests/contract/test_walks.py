"""Random walks beside the model: sound queues agree with it, and broken ones are found out without being told how."""

import asyncio
import itertools
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import Phase, reproduce_failure, settings
from hypothesis.stateful import run_state_machine_as_test

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_sqs import SqsAdapter
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import Harness, queue_machine
from tests.clocks import PatientClock, SteadyClock
from tests.contract.faults import FaultyAdapter, burial, inspecting, lease, lifecycle, publishing, settling
from tests.soak import rounds
from tests.sqs_server import SqsServer

FOUND = [
    burial.BuriesByDropping,
    burial.ForgetsPriority,
    burial.ForgetsTheReason,
    burial.KicksAll,
    burial.ReordersAGroupOnFailure,
    inspecting.CountsWhatIsInHandAsReady,
    inspecting.PurgesEverything,
    lease.CountsRetriesOnly,
    lease.EndsLeasesEarly,
    lease.ExtendsAfterSettle,
    lease.LeaksLeasesAtClose,
    lease.NeverEndsLeases,
    lifecycle.EmptiesAtClose,
    publishing.GivesIdsAgain,
    publishing.LeasesNothing,
    publishing.StoresTwice,
    settling.AcceptsAStaleAck,
    settling.AcksOnRetry,
    settling.CountsReleases,
    settling.LosesOnCrash,
    settling.RedeliversAfterAck,
    settling.RetriesASecondEarly,
    settling.RetriesByCopy,
    settling.SwallowsSettleFailures,
]


class Memory(Harness):
    """The queue in memory, under virtual time."""

    time = "virtual"

    def adapter(self):
        return MemoryAdapter()

    def url(self):
        return f"memory://{uuid4()}"


class File(Harness):
    """The file queue, under a clock moved by hand: its work is done in threads."""

    def adapter(self):
        return FileAdapter()

    def url(self):
        self.folder = tempfile.TemporaryDirectory()
        return f"file://{Path(self.folder.name)}/walk.db?queue=walk&durability=normal"

    async def prepare(self, url):
        await self.adapter().create(url, {})

    async def dispose(self, url):
        self.folder.cleanup()


TestMemoryWalks = queue_machine(Memory, examples=60).TestCase

TestFileWalks = queue_machine(File, examples=5).TestCase


@pytest.mark.parametrize("fault", FOUND, ids=lambda fault: fault.__name__)
def test_walks_find_what_is_wrong(fault):
    class Broken(Memory):
        def adapter(self):
            return FaultyAdapter(fault)

    walk = queue_machine(Broken, examples=150)
    found = settings(walk.TestCase.settings, phases=[Phase.generate], database=None, derandomize=True)

    with pytest.raises(Exception):  # noqa: B017, PT011 - an assertion, or a group of them; also LeaseLost is fine
        run_state_machine_as_test(walk, settings=found)


class Sqs(Harness):
    """Queues on a server that answers as AWS documents."""

    numbers = itertools.count()

    def __init__(self, server: SqsServer, suffix: str) -> None:
        self.server, self.suffix = server, suffix

    def adapter(self):
        return SqsAdapter(linger=timedelta(milliseconds=1))

    def url(self):
        return f"sqs://walk-{next(self.numbers)}{self.suffix}?endpoint_url={self.server.url}"

    async def prepare(self, url):
        await self.adapter().create(url, {"max_receives": 1000})

    def clock(self):
        clock = PatientClock(self._idle)
        self.server.clock = SteadyClock(clock)
        return clock

    async def _idle(self):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.server.idle(), self.server.loop))


STANDARD_AND_FIFO = pytest.mark.parametrize(
    "suffix", [pytest.param("", id="standard"), pytest.param(".fifo", id="FIFO")]
)


def walk_on(kind, harness, *, examples):
    """Long walks, *examples* at a time, until the time for their kind is over."""
    for number in rounds(kind):  # noqa: B007 - told below
        run_state_machine_as_test(queue_machine(harness, examples=examples, steps=80))
    print(f"\n{kind}: {(number + 1) * examples} walks of up to 80 steps")


@STANDARD_AND_FIFO
def test_sqs_agrees_with_the_model(own_sqs_server, aws_credentials, suffix):
    run_state_machine_as_test(queue_machine(lambda: Sqs(own_sqs_server, suffix), examples=4))


@pytest.mark.soak
@STANDARD_AND_FIFO
def test_long_walks_through_sqs_find_nothing(own_sqs_server, aws_credentials, suffix):
    walk_on("walks through sqs", lambda: Sqs(own_sqs_server, suffix), examples=3)


def failure_of(walk, chosen):
    """How the walk fails."""
    with pytest.raises(AssertionError, match="attempts are miscounted") as caught:
        run_state_machine_as_test(walk, settings=settings(chosen, database=None, report_multiple_bugs=False))
    return caught.value


def test_a_failure_replays_from_what_it_has_printed():
    class Broken(Memory):
        def adapter(self):
            return FaultyAdapter(settling.CountsReleases)

    walk = queue_machine(Broken, examples=150)
    how = settings(walk.TestCase.settings, phases=[Phase.generate], derandomize=True)  # the first failure, not shrunk
    found = failure_of(walk, how)
    [version, blob] = re.findall(r"reproduce_failure\('(\S+)', b'(\S+)'\)", "\n".join(found.__notes__))[0]
    again = reproduce_failure(version, blob.encode())(queue_machine(Broken))

    replayed = failure_of(again, again.TestCase.settings)

    assert str(replayed).splitlines()[:2] == str(found).splitlines()[:2], "so many attempts, instead of so many"


@pytest.mark.soak
def test_long_walks_in_memory_find_nothing():
    walk_on("walks in memory", Memory, examples=50)


@pytest.mark.soak
def test_long_walks_through_a_file_find_nothing():
    walk_on("walks through a file", File, examples=5)


def test_walks_do_not_wait_in_real_time():
    class Real(Memory):
        time = "real"

    with pytest.raises(TypeError, match="cannot be moved"):
        queue_machine(Real)
