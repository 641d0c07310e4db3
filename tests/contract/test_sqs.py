"""SQS keeps the contract: standard and FIFO queues, with and without long delays.

On moto's server over HTTP, and on a server of our own that answers as AWS documents; both in the
time that the clauses command.
"""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta
from typing import ClassVar

import boto3
import moto.sqs.models
import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_core import Adapter, Queue
from pulpo_core.testing.contract import CLAUSES, AdapterContract
from pulpo_core.testing.harness import MovableClock
from pulpo_core.testing.registry import Clause
from tests.clocks import PatientClock, SteadyClock
from tests.moto import MotoServer
from tests.sqs_server import SqsServer

_NUMBERS = itertools.count()


_HOPS_NEED_CONSUMERS = {"C059": "what no consumer carries on for a year is older than SQS keeps messages"}


#: Groups of clauses that long delays can make a difference to.
_DELAYED = {"attempts", "burial", "delay", "lease"}


class SqsQueues(AdapterContract):
    """Queues of SQS, each with a dead-letter queue of its own."""

    time = "manual"
    volume = 100
    suffix: ClassVar[str] = ""
    parameters: ClassVar[str] = ""

    @property
    def endpoint(self) -> str:
        """Where the server is."""
        raise NotImplementedError

    def adapter(self) -> Adapter:
        return SqsAdapter(linger=timedelta(milliseconds=1))

    def url(self) -> str:
        return f"sqs://contract-{next(_NUMBERS)}{self.suffix}?endpoint_url={self.endpoint}{self.parameters}"

    def missing_url(self) -> str:
        return f"sqs://missing{self.suffix}?endpoint_url={self.endpoint}"

    async def prepare(self, url: str) -> None:
        await self.adapter().create(url, {})


class MotoQueues(SqsQueues):
    """Queues on moto."""

    server: MotoServer

    @pytest.fixture(autouse=True)
    def _server(self, moto_server: MotoServer, aws_credentials: None) -> None:
        self.server = moto_server

    def clock(self) -> MovableClock:
        clock = PatientClock(lambda: asyncio.to_thread(self.server.wait_until_idle))
        self.server.clock = SteadyClock(clock)
        return clock

    @property
    def endpoint(self) -> str:
        return self.server.url

    async def publish_raw(self, url: str, body: bytes) -> None:
        name = url.partition("://")[2].partition("?")[0]
        sqs = boto3.client("sqs", endpoint_url=self.server.url)
        group = {"MessageGroupId": "g", "MessageDeduplicationId": name} if self.suffix else {}
        target = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=target, MessageBody=body.decode(), **group)


class TestMotoStandard(MotoQueues):
    """A standard queue."""


class TestMotoFifo(MotoQueues):
    """A FIFO queue."""

    suffix = ".fifo"


class OwnQueues(SqsQueues):
    """Queues on our own server."""

    server: SqsServer

    @pytest.fixture(autouse=True)
    def _server(self, own_sqs_server: SqsServer, aws_credentials: None) -> None:
        self.server = own_sqs_server

    def clock(self) -> MovableClock:
        clock = PatientClock(self._idle)
        self.server.clock = SteadyClock(clock)
        return clock

    async def _idle(self) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.server.idle(), self.server.loop))

    @property
    def endpoint(self) -> str:
        return self.server.url

    async def publish_raw(self, url: str, body: bytes) -> None:
        target = f"/{url.partition('://')[2].partition('?')[0]}"
        group = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if self.suffix else {}
        self.server.state.send_message({"QueueUrl": target, "MessageBody": body.decode(), **group}, self.server.now())

    async def cut_connection(self, queue: Queue) -> None:
        self.server.cut_connections()

    async def stop_broker(self) -> None:
        self.server.stopped = True
        self.server.cut_connections()

    async def start_broker(self) -> None:
        self.server.stopped = False

    async def restart_broker(self) -> None:
        self.server.cut_connections()


class TestStandard(OwnQueues):
    """A standard queue."""


class TestLongDelays(OwnQueues):
    """A standard queue whose consumers carry on long delays."""

    parameters = "&long_delay=hop"
    known_failures = _HOPS_NEED_CONSUMERS

    @pytest.mark.parametrize("clause", [each for each in CLAUSES if each.group in _DELAYED], ids=repr)
    def test_clause(self, clause: Clause, request: pytest.FixtureRequest) -> None:
        super().test_clause(clause, request)


class TestFifo(OwnQueues):
    """A FIFO queue."""

    suffix = ".fifo"


def test_time_moves_on_moto_whenever_it_is_looked_at(moto_server: MotoServer) -> None:
    looks = [moto.sqs.models.unix_time_millis() for _ in range(1000)]

    assert all(before < after for before, after in itertools.pairwise(looks)), "what is released now is visible next"
