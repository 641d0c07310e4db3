"""The contract of a queue, on beanstalkd in a container: a file system of its own, and a port that is forwarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import test_beanstalkd
from tests.servers import BeanstalkdServer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


class TestBeanstalkdInAContainer(test_beanstalkd.TestBeanstalkd):
    """Restarts are restarts of the container."""

    @classmethod
    def a_server(cls, folder: Path) -> BeanstalkdServer:
        """A server in a container of its own."""
        from .containers import BeanstalkdContainer  # an ordinary run, which leaves these out, has no engine to ask

        return BeanstalkdContainer()
