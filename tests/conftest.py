"""Servers that tests share. A server that is not there fails the test: nothing is skipped for want of one."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.servers import AWS_ENVIRONMENT, BeanstalkdServer

if TYPE_CHECKING:
    from tests.moto import MotoServer
    from tests.sqs_server import SqsServer


@pytest.fixture(scope="session")
def beanstalkd() -> Iterator[BeanstalkdServer]:
    """A beanstalkd for the whole run: take a fresh tube, and start one of your own to stop or kill it."""
    with BeanstalkdServer() as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> "Iterator[MotoServer]":
    """An SQS and SNS server for the whole run: take a fresh queue."""
    from tests.moto import MotoServer

    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def own_sqs_server() -> "Iterator[SqsServer]":
    """An SQS server that answers as AWS documents, for the whole run: take a fresh queue."""
    from tests.sqs_server import sqs_server_in_thread

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)  # client and server are two threads, and each waits for the other all the time
    with sqs_server_in_thread() as server:
        yield server
    sys.setswitchinterval(interval)


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a region as an AWS client finds them, good for no real account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in AWS_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
