"""What is particular to each queue in a campaign: how it is reached, and what can be done to its broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from pulpo_adapter_sqs import SqsAdapter
from tests.proxy import Proxy
from tests.servers import AWS_ENVIRONMENT, HOST, ROOT, BeanstalkdServer, free_port


@attrs.frozen(kw_only=True)
class Ground:
    """A queue to fight over; see `campaign.Arena`."""

    url: str
    direct_url: str
    lease: float
    environment: Mapping[str, str] = attrs.field(factory=dict)
    broker_faults: Mapping[str, Callable[[], None]] = attrs.field(factory=dict)
    proxy: Proxy | None = None


@contextmanager
def file_arena(folder: Path, *, lease: float = 3.0) -> Iterator[Ground]:
    """A queue in a file: there is no broker, and everything that can die is a process of ours."""
    url = f"file://{folder / 'queue.db'}?queue=campaign&lease={lease:g}s"
    yield Ground(url=url, direct_url=url, lease=lease)


@contextmanager
def beanstalkd_arena(folder: Path, *, lease: float = 5.0) -> Iterator[Ground]:
    """A beanstalkd that syncs its log before it answers, behind a proxy."""
    with BeanstalkdServer(binlog=folder / "log", options=["-f", "0"]) as server, Proxy(server.address) as proxy:

        def kill() -> None:
            server.kill()
            server.start()

        query = f"campaign?ttr={lease:g}s&timeout=2s"
        yield Ground(
            url=f"beanstalkd://{HOST}:{proxy.port}/{query}",
            direct_url=f"{server.url(query)}",
            lease=lease,
            broker_faults={
                "broker killed": kill,
                "broker restarted": server.restart,
                "broker paused": lambda: _pause(server.pid),
            },
            proxy=proxy,
        )


@contextmanager
def sqs_arena(folder: Path, *, lease: float = 5.0) -> Iterator[Ground]:
    """Our own SQS server as a process, behind a proxy. It keeps queues in memory: killing it is for controls alone."""
    port = free_port()
    server = _SqsProcess(port, folder / "server.log")
    try:
        with Proxy((HOST, port)) as proxy:
            address = f"sqs://campaign?endpoint_url=http://{HOST}:%d&visibility={lease:g}s&timeout=3s"
            yield Ground(
                url=address % proxy.port,
                direct_url=address % port,
                lease=lease,
                environment=AWS_ENVIRONMENT,
                broker_faults={
                    "broker paused": lambda: _pause(server.process.pid),
                    "broker forgets": server.restart,
                },
                proxy=proxy,
            )
    finally:
        server.kill()


class _SqsProcess:
    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.sqs_server", str(self.port)]
        with self.log.open("ab") as said:
            return subprocess.Popen(command, cwd=ROOT, stderr=said)

    def restart(self) -> None:
        self.kill()
        self.process = self._start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


async def create_sqs_queue(arena: Ground) -> None:
    """Make the queue, as soon as the server answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            await SqsAdapter().create(arena.direct_url, {})
        except Exception:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return


def _pause(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.0)
    os.kill(pid, signal.SIGCONT)
