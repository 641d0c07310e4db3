"""SQS: pulpo's whole pipeline beside plain aiobotocore and other workers, on a stub that is faster than all of them.

No network and no AWS: what is compared is the client's own CPU time, its messages per second and,
what AWS bills, its requests per message. A second stub answers 10 ms late, as AWS would in its own
region.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.case import Bench, Case, Goal, Group

BODY = {"to": "someone@example.org", "subject": "Hello", "text": "A few words."}
PUBLISHERS = 64
HANDLERS = 64

#: How late the second stub answers, in seconds.
LATE = 0.01

RAW = "aiobotocore by hand, batches of ten, one poller"
PULPO = "pulpo, 64 at once"
WORKERS = "sqs-workers"
TASKIQ = "taskiq-aio-sqs, ten to a receive"
DRAMATIQ = "dramatiq-sqs, 8 threads"
CELERY = "celery, 8 threads"
LOAFER = "loafer 2.0.1, Python 3.8"
FAR = ", 10 ms away"

_numbers = count()


def _endpoint(*, far: bool) -> str:
    return os.environ["BENCH_SQS_FAR" if far else "BENCH_SQS"]


def _name() -> str:
    return f"bench-{os.getpid()}-{next(_numbers)}"


def _requests(endpoint: str, name: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{endpoint}/counts/{name}", timeout=10) as answer:
        counted: dict[str, int] = json.load(answer)
    return counted


class Counted:
    """Requests of one queue, told apart by what they were made for."""

    def __init__(self, bench: Bench, endpoint: str, name: str) -> None:
        self._bench = bench
        self._where = endpoint, name

    def record(self, what: str, *operations: str) -> None:
        """Record how many requests of *operations* there were for each message."""
        counted = _requests(*self._where)
        number = sum(counted.get(operation, 0) for operation in operations)
        self._bench.record(f"requests per message, {what}", number / self._bench.messages, "")

    def published(self) -> None:
        self.record("publish", "SendMessage", "SendMessageBatch")

    def drained(self) -> None:
        hide = ("ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
        self.record("drain", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", *hide)


def _credentials() -> None:
    os.environ.update(
        AWS_ACCESS_KEY_ID="bench",
        AWS_SECRET_ACCESS_KEY="bench",
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_EC2_METADATA_DISABLED="true",
    )


# ----------------------------------------------------------------------------------------------- the floor: no framework


async def raw(bench: Bench, *, far: bool = False) -> None:
    """Ten sent, ten received, ten deleted, one request after the other: the least that the driver allows."""
    from aiobotocore.session import AioSession

    _credentials()
    endpoint, name = _endpoint(far=far), _name()
    counted, handled = Counted(bench, endpoint, name), 0
    async with AioSession().create_client("sqs", endpoint_url=endpoint) as sqs:
        queue = (await sqs.create_queue(QueueName=name))["QueueUrl"]
        text = json.dumps({"header": {"request_type": "send_email"}, "body": BODY})
        with bench.measure("publish"):
            for _ in range(bench.messages // 10):
                entries = [{"Id": str(number), "MessageBody": text} for number in range(10)]
                await sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        counted.published()
        with bench.measure("drain"):
            while handled < bench.messages:
                got = await sqs.receive_message(
                    QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageSystemAttributeNames=["All"]
                )
                messages = got.get("Messages", [])
                for message in messages:
                    await _nothing(**json.loads(message["Body"])["body"])
                entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
                await sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
                handled += len(messages)
        counted.drained()
    bench.check(handled, bench.messages, "handled")


async def _nothing(to: str, subject: str, text: str) -> None:
    pass


# ---------------------------------------------------------------------------------------------------------------- pulpo


async def pulpo(bench: Bench, *, far: bool = False) -> None:
    """Publishers and handlers, 64 of each at once: the whole pipeline, attempts, ledger and all."""
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher

    _credentials()
    endpoint, name = _endpoint(far=far), _name()
    counted = Counted(bench, endpoint, name)
    url = f"sqs://{name}?endpoint_url={endpoint}"
    handlers = Handlers()
    handlers.add("send_email", _send_email)
    async with open_publisher(url) as publisher:
        with bench.measure("publish"):
            left = iter(range(bench.messages))
            async with asyncio.TaskGroup() as group:
                for _ in range(PUBLISHERS):
                    group.create_task(_publish(publisher, left, Message(request_type="send_email", body=BODY)))
    counted.published()
    dispatcher = Dispatcher(
        Route(url, handlers, name="bench", concurrency=HANDLERS), until=Until(max_messages=bench.messages)
    )
    with bench.measure("drain"):
        await dispatcher.run()
    counted.drained()
    ledger = dispatcher.ledgers["bench"]
    bench.check((ledger.received, ledger.acked), (bench.messages, bench.messages), "received and acked")


async def _publish(publisher: Any, left: Iterator[int], message: Any) -> None:
    for _ in left:
        await publisher.publish(message)


async def _send_email(message: Any) -> None:
    pass


@contextmanager
def stubs() -> Iterator[Mapping[str, str]]:
    """Two stubs, one that answers at once and one that answers late."""
    with _stub() as near, _stub(LATE) as far:
        yield {"BENCH_SQS": near, "BENCH_SQS_FAR": far}


@contextmanager
def _stub(latency: float = 0.0) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sqs_stub", str(port), str(latency)])
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


GROUP = Group(
    title="SQS: no-op messages on a stub server",
    cases=[
        Case(name=RAW, run=raw),
        Case(name=PULPO, run=pulpo),
        Case(name=RAW + FAR, run=partial(raw, far=True), messages=1000),
        Case(name=PULPO + FAR, run=partial(pulpo, far=True), messages=1000, baseline=RAW + FAR),
    ],
    baseline=RAW,
    server=stubs,
)
