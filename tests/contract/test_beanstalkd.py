"""The contract of a queue, on a real beanstalkd, through a proxy that can cut its connections.

beanstalkd has its own clock, so most of the time of a clause is waiting: the clauses run beside
each other, each with tubes of its own, and those that stop the broker with a broker of their own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import greenstalk
import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_core import Queue
from pulpo_core.testing import AdapterContract, Clause, run_clause
from tests.proxy import Proxy
from tests.servers import HOST, BeanstalkdServer

_BESIDE_EACH_OTHER = 10
_STOPPING = {"restart_broker", "stop_broker", "start_broker"}
_numbers = itertools.count()


class TestBeanstalkd(AdapterContract):
    """A tube for each clause, and times of seconds: beanstalkd counts no smaller ones."""

    time = "real"
    delay = timedelta(seconds=1)
    tolerance = timedelta(seconds=1)
    may_skip = frozenset(
        {
            "C011",  # tubes need no creating
            "C033",  # late acknowledgements are refused
            "C052",  # what is given back counts as a delivery
            *("C057", "C058", "C059"),  # the time of a broker cannot be moved
            *("C113", "C114", "C115", "C116", "C117", "C119"),  # no groups
            *("C171", "C172", "C174"),  # it can be paused, has priorities and delays
            *("C176", "C177", "C178"),  # no transactions
        }
    )

    server: BeanstalkdServer
    proxy: Proxy
    results: ClassVar[dict[str, Future[None]]]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _beside_each_other(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[None]:
        """Begin with every clause that was asked for; the tests wait for their results."""
        ours = [
            item.callspec.params
            for item in request.session.items
            if getattr(item, "cls", None) is cls and hasattr(item, "callspec")
        ]
        with ExitStack() as stack:
            server = stack.enter_context(cls.a_server(tmp_path_factory.mktemp("binlog")))
            pool = stack.enter_context(ThreadPoolExecutor(_BESIDE_EACH_OTHER))
            cls.results = {
                clause.id: pool.submit(cls._try, clause, server, tmp_path_factory.mktemp("own"))
                for clause in (parameters["clause"] for parameters in ours)
            }
            yield

    @classmethod
    def _try(cls, clause: Clause, shared: BeanstalkdServer, folder: Path) -> None:
        harness = cls()
        with ExitStack() as stack:
            own = _STOPPING & set(clause.hooks)
            harness.server = stack.enter_context(cls.a_server(folder)) if own else shared
            harness.proxy = stack.enter_context(Proxy(harness.server.address))
            AdapterContract.run(harness, run_clause(clause, harness))

    @pytest.fixture(autouse=True)
    def _its_result(self, request: pytest.FixtureRequest) -> None:
        parameters = getattr(request.node, "callspec", None)
        self.result = self.results[parameters.params["clause"].id] if parameters else None

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        main.close()
        assert self.result is not None
        self.result.result()

    @classmethod
    def a_server(cls, folder: Path) -> BeanstalkdServer:
        """A server of one's own, whose log outlives its restarts."""
        return BeanstalkdServer(binlog=folder)

    def adapter(self) -> BeanstalkdAdapter:
        return BeanstalkdAdapter()

    def url(self) -> str:
        return f"beanstalkd://{HOST}:{self.proxy.port}/contract.{next(_numbers)}?ttr=2s"

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
