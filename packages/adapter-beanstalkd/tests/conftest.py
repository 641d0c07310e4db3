"""What the tests of this adapter share: a beanstalkd for the run, tubes of one's own, and a scripted stand-in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import greenstalk
import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_core import Queue
from pulpo_core.testing import RealClock, SeededJitter
from tests.servers import BeanstalkdServer

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
        return BeanstalkdAdapter().open(url, clock=RealClock(), jitter=SeededJitter())

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
