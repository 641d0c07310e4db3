"""The contract of a queue, on a real beanstalkd: over TCP through a proxy that can cut, and over a unix socket."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import greenstalk
import pytest
from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_core import Queue
from pulpo_core.testing import AdapterContract

from tests.proxy import Proxy
from tests.servers import HOST, BeanstalkdServer

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def logging_beanstalkd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BeanstalkdServer]:
    """A beanstalkd of our own that can be restarted, and keeps what it has over it."""
    with BeanstalkdServer(binlog=tmp_path_factory.mktemp("binlog")) as server:
        yield server


class TestBeanstalkd(AdapterContract):
    """A tube for each clause, and times of seconds: beanstalkd counts no smaller ones."""

    time = "real"
    delay = timedelta(seconds=1)
    tolerance = timedelta(seconds=1)
    parameters = "?ttr=2s"

    @pytest.fixture(autouse=True)
    def _servers(self, logging_beanstalkd: BeanstalkdServer) -> Iterator[None]:
        self.server = logging_beanstalkd
        with Proxy(self.server.address) as self.proxy:
            yield

    def adapter(self) -> BeanstalkdAdapter:
        return BeanstalkdAdapter()

    def url(self) -> str:
        return f"beanstalkd://{HOST}:{self.proxy.port}/contract.{next(_NUMBERS)}{self.parameters}"

    async def publish_raw(self, url: str, body: bytes) -> None:
        tube = url.rpartition("/")[2].partition("?")[0]
        with greenstalk.Client(self.server.address, encoding=None, use=tube) as client:
            client.put(body)

    async def cut_connection(self, queue: Queue) -> None:
        self.proxy.cut()

    async def restart_broker(self) -> None:
        await asyncio.to_thread(self.server.restart)

    async def stop_broker(self) -> None:
        await asyncio.to_thread(self.server.stop)

    async def start_broker(self) -> None:
        await asyncio.to_thread(self.server.start)
