"""Servers that tests share. A server that is not there fails the test: nothing is skipped for want of one."""

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.servers import HOST, BeanstalkdServer


@pytest.fixture(scope="session")
def beanstalkd() -> Iterator[BeanstalkdServer]:
    """A beanstalkd for the whole run: take a fresh tube, and start one of your own to stop or kill it."""
    with BeanstalkdServer() as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The endpoint URL of an SQS and SNS server for the whole run: take a fresh queue."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
