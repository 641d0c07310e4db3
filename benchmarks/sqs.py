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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
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


# ---------------------------------------------------------------------------------------------- the floor: no framework


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
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher, open_queue

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
    async with open_queue(url) as queue:
        route = Route(url, handlers, name="bench", concurrency=HANDLERS, adapter=_Opened(queue))
        dispatcher = Dispatcher(route, until=Until(max_messages=bench.messages))
        with bench.measure("drain"):
            await dispatcher.run()
    counted.drained()
    ledger = dispatcher.ledgers["bench"]
    bench.check((ledger.received, ledger.acked), (bench.messages, bench.messages), "received and acked")


class _Opened:
    """An adapter whose queue is open already, as those of the other workers are before they are measured."""

    scheme = "sqs"

    def __init__(self, queue: Any) -> None:
        self.capabilities = queue.capabilities
        self._queue = queue

    def open(self, url: str, *, clock: Any, jitter: Any) -> Any:  # noqa: ARG002 - the port's words
        return nullcontext(self._queue)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        raise NotImplementedError


async def _publish(publisher: Any, left: Iterator[int], message: Any) -> None:
    for _ in left:
        await publisher.publish(message)


async def _send_email(message: Any) -> None:
    pass


# ---------------------------------------------------------------------------------------------------------------- peers


def sqs_workers(bench: Bench, *, far: bool = False) -> None:
    """sqs-workers: one message after the other in one thread, batches both ways. The best of the peers."""
    from sqs_workers import SQSEnv
    from sqs_workers.shutdown_policies import NeverShutdown

    _credentials()
    endpoint, name, handled = _endpoint(far=far), _name(), count()
    counted = Counted(bench, endpoint, name)
    env = SQSEnv(session=_Session(endpoint))
    env.sqs_client.create_queue(QueueName=name)
    queue = env.queue(name)

    @queue.processor("send_email")
    def send_email(to: str, subject: str, text: str) -> None:  # noqa: ARG001 - as handlers are
        next(handled)

    class Enough(NeverShutdown):  # type: ignore[misc] # it has no types here
        def need_shutdown(self) -> bool:
            return int(repr(handled)[6:-1]) >= bench.messages

    with bench.measure("publish"), queue.add_batch():
        for _ in range(bench.messages):
            send_email.delay(**BODY)
    counted.published()
    with bench.measure("drain"):
        queue.process_queue(shutdown_policy=Enough(), wait_second=1)
    counted.drained()
    bench.check(next(handled), bench.messages, "handled")


class _Session:
    """boto3 with an endpoint that it is not told by those who use it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def client(self, *args: Any, **kwargs: Any) -> Any:
        import boto3

        return boto3.client(*args, endpoint_url=self._endpoint, **kwargs)

    def resource(self, *args: Any, **kwargs: Any) -> Any:
        import boto3

        return boto3.resource(*args, endpoint_url=self._endpoint, **kwargs)


async def taskiq_aio_sqs(bench: Bench, *, far: bool = False) -> None:
    """taskiq-aio-sqs with the options that suit it best: ten to a receive, 64 tasks at once."""
    from taskiq.receiver import Receiver
    from taskiq_aio_sqs import SQSBroker

    _credentials()
    logging.disable()
    endpoint, name, handled, finish = _endpoint(far=far), _name(), count(), asyncio.Event()
    counted = Counted(bench, endpoint, name)
    broker = SQSBroker(name, endpoint_url=endpoint, max_number_of_messages=10, wait_time_seconds=1)

    @broker.task(task_name="send_email")
    async def send_email(to: str, subject: str, text: str) -> None:  # noqa: ARG001 - as handlers are
        if next(handled) + 1 == bench.messages:
            finish.set()

    await broker.startup()
    with bench.measure("publish"):
        left = iter(range(bench.messages))
        async with asyncio.TaskGroup() as group:
            for _ in range(PUBLISHERS):
                group.create_task(_kick(send_email, left))
    counted.published()
    with bench.measure("drain"):
        await Receiver(broker, max_async_tasks=HANDLERS, run_startup=False).listen(finish)
    counted.drained()
    await broker.shutdown()
    bench.check(next(handled), bench.messages, "handled")


async def _kick(task: Any, left: Iterator[int]) -> None:
    for _ in left:
        await task.kiq(**BODY)


def dramatiq_sqs(bench: Bench, *, far: bool = False) -> None:
    """dramatiq with dramatiq-sqs: eight threads, each message sent and deleted by itself."""
    import dramatiq
    from dramatiq_sqs import SQSBroker

    _credentials()
    logging.disable()
    endpoint, name, handled, finish = _endpoint(far=far), _name(), count(), threading.Event()
    counted = Counted(bench, endpoint, name)
    broker = SQSBroker(endpoint_url=endpoint, region_name="eu-west-1")
    dramatiq.set_broker(broker)
    broker.sqs.meta.client.create_queue(QueueName=name)

    @dramatiq.actor(queue_name=name, broker=broker)
    def send_email(to: str, subject: str, text: str) -> None:  # noqa: ARG001 - as handlers are
        if next(handled) + 1 == bench.messages:
            finish.set()

    with bench.measure("publish"):
        for _ in range(bench.messages):
            send_email.send(**BODY)
    counted.published()
    worker = dramatiq.Worker(broker, worker_threads=8, worker_timeout=1000)
    with bench.measure("drain"):
        worker.start()
        finish.wait()
        worker.stop()
    counted.drained()
    bench.check(next(handled), bench.messages, "handled")


def celery_sqs(bench: Bench, *, far: bool = False) -> None:
    """celery with kombu's SQS: a pool of eight threads, acknowledged late, as work that must not be lost is."""
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    _credentials()
    logging.disable()
    endpoint, name, handled, finish = _endpoint(far=far), _name(), count(), threading.Event()
    counted = Counted(bench, endpoint, name)
    address = endpoint.removeprefix("http://")
    app = Celery("bench", broker=f"sqs://bench:bench@{address}")
    app.conf.update(
        task_default_queue=name,
        task_acks_late=True,
        worker_prefetch_multiplier=10,
        broker_transport_options={"region": "eu-west-1", "is_secure": False, "wait_time_seconds": 1},
        worker_send_task_events=False,
        task_ignore_result=True,
    )

    @app.task(name="send_email")
    def send_email(to: str, subject: str, text: str) -> None:  # noqa: ARG001 - as handlers are
        if next(handled) + 1 == bench.messages:
            finish.set()

    with bench.measure("publish"):
        for _ in range(bench.messages):
            send_email.delay(**BODY)
    counted.published()
    with bench.measure("drain"), start_worker(app, pool="threads", concurrency=8, perform_ping_check=False):
        finish.wait()
    counted.drained()
    bench.check(next(handled), bench.messages, "handled")


#: What loafer's worker does, run by the Python that it was made for: it stops when everything was handled.
_LOAFER = """
import asyncio, json, logging, resource, sys, time
from loafer.ext.aws.routes import SQSRoute
from loafer.managers import LoaferManager

endpoint, name, messages = sys.argv[1], sys.argv[2], int(sys.argv[3])
handled = 0

async def handle(message, metadata):
    global handled
    handled += 1
    if handled == messages:
        asyncio.get_event_loop().call_later(0.2, manager.runner.prepare_stop)
    return True

options = {"WaitTimeSeconds": 1, "MaxNumberOfMessages": 10}
route = SQSRoute(name, provider_options={"options": options, "endpoint_url": endpoint, "region_name": "eu-west-1"},
                 handler=handle)
manager = LoaferManager([route])
usage = resource.getrusage(resource.RUSAGE_SELF)
started, cpu = time.perf_counter(), usage.ru_utime + usage.ru_stime
try:
    manager.run()
except (SystemExit, asyncio.CancelledError, RuntimeError):  # its shutdown is not what is measured
    pass
usage = resource.getrusage(resource.RUSAGE_SELF)
cpu = usage.ru_utime + usage.ru_stime - cpu
elapsed = time.perf_counter() - started
print(json.dumps({"rate": messages / elapsed, "cpu_us": cpu / messages * 1e6, "handled": handled}))
"""


def loafer(bench: Bench) -> None:
    """loafer 2.0.1 with long polls of ten, which are not its defaults. It breaks on Python 3.9 and later."""
    python = _python_for_loafer()
    if python is None:
        bench.cannot("no Python 3.8")
    _credentials()
    endpoint, name = _endpoint(far=False), _name()
    counted = Counted(bench, endpoint, name)
    _fill(endpoint, name, bench.messages)
    done = subprocess.run(
        [python, "-c", _LOAFER, endpoint, name, str(bench.messages)], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    if not lines:
        raise RuntimeError(done.stderr[-2000:])
    figures = json.loads(lines[-1])
    bench.check(figures.pop("handled"), bench.messages, "handled")
    bench.figures["drain"] = figures
    counted.drained()


def _fill(endpoint: str, name: str, number: int) -> None:
    headers = {"x-amz-target": "AmazonSQS.SendMessage", "content-type": "application/x-amz-json-1.0"}
    asked = json.dumps({"QueueUrl": f"{endpoint}/000000000000/{name}", "MessageBody": json.dumps(BODY)}).encode()
    for _ in range(number):
        urllib.request.urlopen(urllib.request.Request(endpoint, data=asked, headers=headers), timeout=10).close()


def _python_for_loafer() -> str | None:
    """An environment with loafer, made once beside that of the other peers; `None` without a Python 3.8."""
    candidates = [os.environ.get("BENCH_PYTHON38"), shutil.which("python3.8"), *_of_pyenv()]
    found = next((each for each in candidates if each and _runs(each)), None)
    if found is None:
        return None
    home = Path(__file__).parent.parent / ".cache" / "bench-loafer"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([found, "-m", "venv", str(home)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "loafer==2.0.1"]
        subprocess.run(command, check=True, capture_output=True)
    return str(python)


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def _of_pyenv() -> list[str]:
    return [str(path) for path in (Path.home() / ".pyenv" / "versions").glob("3.8.*/bin/python")]


# --------------------------------------------------------------------------------------------------------------- stubs


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
        Case(name=WORKERS, run=sqs_workers, peer=True),
        Case(name=TASKIQ, run=taskiq_aio_sqs, peer=True),
        Case(name=DRAMATIQ, run=dramatiq_sqs, peer=True, messages=1000),
        Case(name=CELERY, run=celery_sqs, peer=True, messages=500, warm_up=0),
        Case(name=LOAFER, run=loafer, peer=True, messages=100, warm_up=0),
        Case(name=RAW + FAR, run=partial(raw, far=True)),
        Case(name=PULPO + FAR, run=partial(pulpo, far=True), baseline=RAW + FAR),
        Case(name=WORKERS + FAR, run=partial(sqs_workers, far=True), peer=True, baseline=RAW + FAR),
        Case(name=TASKIQ + FAR, run=partial(taskiq_aio_sqs, far=True), peer=True, baseline=RAW + FAR),
    ],
    baseline=RAW,
    goals=[
        Goal(case=PULPO, against=RAW, figure="requests per message, drain", of="value", at_most=1.05),
        Goal(case=PULPO, against=RAW, figure="requests per message, publish", of="value", at_most=1.1),
        Goal(case=PULPO, against=RAW, figure="drain", of="cpu_us", at_most=1.4),
        Goal(case=PULPO, against=WORKERS, figure="drain", of="rate", at_least=1.3),
        Goal(case=PULPO, against=WORKERS, figure="drain", of="cpu_us", at_most=0.75),
        Goal(case=PULPO, against=TASKIQ, figure="drain", of="rate", at_least=4),
        Goal(case=PULPO, against=DRAMATIQ, figure="drain", of="rate", at_least=4),
        Goal(case=PULPO, against=CELERY, figure="drain", of="rate", at_least=4),
        Goal(case=PULPO, against=LOAFER, figure="drain", of="rate", at_least=200),
        Goal(case=PULPO, against=TASKIQ, figure="requests per message, drain", of="value", at_most=0.25),
        Goal(case=PULPO + FAR, against=TASKIQ + FAR, figure="drain", of="rate", at_least=3),
        Goal(case=PULPO + FAR, against=WORKERS + FAR, figure="drain", of="rate", at_least=6),
    ],
    server=stubs,
)
