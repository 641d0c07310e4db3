"""What the tests of this adapter share: a server that answers as AWS documents, and time to command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest

from pulpo_adapter_sqs import SqsAdapter, SqsQueue
from pulpo_core import Ack, AdapterError, Delivery, Envelope, Settlement, Settling
from pulpo_core.testing import ManualClock, SeededJitter
from tests.clocks import SteadyClock
from tests.conftest import aws_credentials, moto_server  # noqa: F401 - fixtures
from tests.sqs_server import SqsServer, sqs_server

#: ``opener("orders", visibility="60s")``: a queue on the server, open inside the context.
Opener = Callable[..., AbstractAsyncContextManager[SqsQueue]]

BURIED = '{"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:000000000000:orders-buried", "maxReceiveCount": "20"}'


@pytest.fixture(autouse=True)
def _aws(request: pytest.FixtureRequest) -> None:
    """Credentials for every test."""
    request.getfixturevalue("aws_credentials")


@pytest.fixture
def clock() -> ManualClock:
    """The time of the adapter."""
    return ManualClock()


@pytest.fixture
async def server(clock: ManualClock) -> AsyncIterator[SqsServer]:
    """A server whose time goes as the adapter's, with the queue ``orders`` and where it buries."""
    async with sqs_server(SteadyClock(clock)) as running:
        running.create("orders-buried")
        running.create("orders", RedrivePolicy=BURIED)
        running.create("orders-buried.fifo")
        running.create("orders.fifo")
        running.requests.clear()
        running.seen.clear()
        yield running


@pytest.fixture
def opener(server: SqsServer, clock: ManualClock) -> Opener:
    """Opens queues on the server."""

    def opened(name: str = "orders", **parameters: object) -> AbstractAsyncContextManager[SqsQueue]:
        url = f"sqs://{name}?endpoint_url={server.url}"
        url += "".join(f"&{key}={value}" for key, value in parameters.items())
        return SqsAdapter().open(url, clock=clock, jitter=SeededJitter())

    return opened


@pytest.fixture
async def queue(opener: Opener) -> AsyncIterator[SqsQueue]:
    """The queue ``orders``, open."""
    async with opener() as opened:
        yield opened


def envelopes(count: int, **fields: Any) -> list[Envelope]:
    """So many envelopes, with uids ``u0``, ``u1``, …"""
    return [Envelope(body=b"message %d" % number, uid=f"u{number}", **fields) for number in range(count)]


async def put(queue: SqsQueue, count: int, **fields: Any) -> list[str]:
    """Publish so many; their ids."""
    answers = await queue.publish(envelopes(count, **fields))
    assert all(isinstance(answer, str) for answer in answers), answers
    return [str(answer) for answer in answers]


async def take(queue: SqsQueue, count: int) -> list[Delivery]:
    """Receive so many that are there."""
    taken: list[Delivery] = []
    while len(taken) < count:
        received = await queue.receive(count - len(taken), timedelta())
        assert received, f"{count} are there, but only {len(taken)} came"
        taken += received
    return taken


async def settle(queue: SqsQueue, *pairs: tuple[Delivery, Settlement]) -> Sequence[AdapterError | None]:
    """Settle each delivery in its way."""
    return await queue.settle([Settling(delivery, settlement) for delivery, settlement in pairs])


async def ack(queue: SqsQueue, *deliveries: Delivery) -> None:
    """Acknowledge; each must succeed."""
    answers = await settle(queue, *[(delivery, Ack()) for delivery in deliveries])
    assert list(answers) == [None] * len(deliveries), answers


async def until(condition: Callable[[], bool]) -> None:
    """Let real time pass until something has come about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in other tasks, and tells nobody
            await asyncio.sleep(0.001)


async def moving(clock: ManualClock, operation: asyncio.Task[Any], *, step: float = 0.5) -> Any:
    """Move time along until *operation* has ended; its result."""
    while not (await asyncio.wait({operation}, timeout=0.01))[0]:
        await clock.advance(step)
    return operation.result()
