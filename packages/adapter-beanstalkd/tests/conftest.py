"""What the tests of this adapter share: a beanstalkd for the run, tubes of one's own, and a scripted stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Self

import greenstalk
import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_core import Queue
from pulpo_core.testing import RealClock, SeededJitter
from tests.servers import HOST, BeanstalkdServer

_numbers = itertools.count(1)

Opener = Callable[..., AbstractAsyncContextManager[Queue]]


@pytest.fixture(scope="session")
def server() -> Iterator[BeanstalkdServer]:
    """A beanstalkd that nobody stops."""
    with BeanstalkdServer() as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[BeanstalkdServer]:
    """A beanstalkd of one's own, with a log: to stop, to kill, to fill."""
    with BeanstalkdServer(binlog=tmp_path / "log") as running:
        yield running


@pytest.fixture
def tube() -> str:
    """The name of a tube that nobody else uses."""
    return f"tube-{next(_numbers)}"


@pytest.fixture
def opened() -> Opener:
    """Opens what a URL names, with a real clock."""

    def open_it(url: str) -> AbstractAsyncContextManager[Queue]:
        return BeanstalkdAdapter().open(url, clock=RealClock(), jitter=SeededJitter(next(_numbers)))

    return open_it


@pytest.fixture
def open_queue(server: BeanstalkdServer, tube: str, opened: Opener) -> Opener:
    """Opens the tube: ``open_queue(ttr="2s")``."""

    def open_it(**parameters: object) -> AbstractAsyncContextManager[Queue]:
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return opened(f"{server.url(tube)}?{query}")

    return open_it


@pytest.fixture
def stranger(server: BeanstalkdServer, tube: str) -> Iterator[greenstalk.Client[bytes]]:
    """Another program on the same tube: greenstalk as anybody uses it."""
    with greenstalk.Client(server.address, encoding=None, use=tube, watch=tube) as client:
        yield client


class Impostor:
    """Speaks beanstalkd's protocol as long as it likes to: what is in *answers* is answered so instead.

    A key is the beginning of a command. Its answers are used up one after another, the last one
    for ever; `None` is no answer at all, and `HANG_UP` closes the connection without one.

    Attributes:
        heard: every command line, in the order in which they came, over all connections.
        pause: seconds it takes over each answer.
    """

    HANG_UP = b"(hang up)"

    def __init__(self, answers: Mapping[bytes, Sequence[bytes | None]]) -> None:
        self._answers = {command: list(each) for command, each in answers.items()}
        self.heard: list[bytes] = []
        self.pause = 0.0
        self._serving = 0
        self._at_rest = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        await self._at_rest.wait()

    def url(self, **parameters: object) -> str:
        """The URL of a tube here."""
        return f"beanstalkd://{HOST}:{self.port}/t?" + "&".join(f"{name}={it}" for name, it in parameters.items())

    @staticmethod
    def stats(**fields: object) -> bytes:
        """The answer to a question for statistics."""
        text = "---\n" + "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())
        return f"OK {len(text)}\r\n{text}\r\n".encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving += 1
        self._at_rest.clear()
        try:
            await self._converse(reader, writer)
        finally:
            writer.close()
            self._serving -= 1
            if not self._serving:
                self._at_rest.set()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := (await reader.readline()).rstrip():
                self.heard.append(line)
                if line.startswith(b"put"):
                    await reader.readexactly(int(line.split()[-1]) + 2)
                answer = self._answer(line)
                if answer == self.HANG_UP:
                    break
                await asyncio.sleep(self.pause)
                writer.write(answer or b"")

    def _answer(self, line: bytes) -> bytes | None:
        for beginning, answers in self._answers.items():
            if line.startswith(beginning):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return next(answer for beginning, answer in _USUAL.items() if line.startswith(beginning))


_USUAL = {
    b"use": b"USING t\r\n",
    b"watch": b"WATCHING 2\r\n",
    b"ignore": b"WATCHING 1\r\n",
    b"put": b"INSERTED 1\r\n",
    b"reserve": b"RESERVED 1 1\r\nx\r\n",
    b"stats-tube": Impostor.stats(
        name="t", current_watching=1, total_jobs=0, current_jobs_ready=0, current_jobs_reserved=0
    ),
    b"stats-job": Impostor.stats(
        **{"id": 1, "tube": "t", "state": "reserved", "pri": 5, "age": 0, "ttr": 60, "time_left": 59},
        **dict.fromkeys(("timeouts", "releases", "buries", "kicks"), 0),
        reserves=1,
    ),
    b"stats": Impostor.stats(max_job_size=65535, binlog_current_index=0, binlog_records_written=0),
    b"delete": b"DELETED\r\n",
    b"release": b"RELEASED\r\n",
    b"bury": b"BURIED\r\n",
    b"touch": b"TOUCHED\r\n",
}


@pytest.fixture
def impostor() -> type[Impostor]:
    """The stand-in for a beanstalkd that misbehaves."""
    return Impostor
