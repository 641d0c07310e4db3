"""URLs of tubes, and how they are opened."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_adapter_beanstalkd.settings import Settings
from pulpo_core import Ack, Envelope, InvalidURL, Queue, Settling, Unavailable, Unsupported
from tests.servers import BeanstalkdServer, beanstalkd_program, free_port

Opener = Callable[..., AbstractAsyncContextManager[Queue]]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("beanstalkd://queue.example/mail", {"host": "queue.example", "port": 11300, "tube": "mail", "ttr": 60}),
        ("beanstalkd://[::1]:11301/mail", {"host": "::1", "port": 11301}),
        ("beanstalkd://127.0.0.1/shop/mail?ttr=5m", {"tube": "shop/mail", "ttr": 300}),
        ("beanstalkd://h/t?timeout=500ms&connect_timeout=2s", {"timeout": 0.5, "connect_timeout": 2.0}),
        ("beanstalkd://h/t?connections=4&attempts=always", {"connections": 4, "attempts": "always"}),
        ("beanstalkd:///run/b.sock?tube=mail", {"socket": "/run/b.sock", "tube": "mail", "host": ""}),
    ],
)
def test_a_url_says_where_and_how(url: str, expected: dict[str, object]) -> None:
    settings = Settings.of(url)

    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        pytest.param("beanstalkd://host", "name the tube", id="no tube"),
        pytest.param("beanstalkd://host/", "name the tube", id="an empty tube"),
        pytest.param("beanstalkd://host/t?tube=u", "once", id="two tubes"),
        pytest.param("beanstalkd:///run/b.sock", "name the tube", id="no tube in a socket"),
        pytest.param("beanstalkd://", "does not name", id="nothing"),
        pytest.param("beanstalkd://:11300/t", "expected a host", id="no host"),
        pytest.param("beanstalkd://me@host/t", "expected a host", id="a user"),
        pytest.param("beanstalkd://me:secret@host/t", "password", id="a password"),
        pytest.param("beanstalkd://host:port/t", "not a URL", id="a port that is none"),
        pytest.param("beanstalkd://host:0/t", "perhaps a port", id="a port that nobody listens on"),
        pytest.param("beanstalkd://host/-t", "not a tube", id="a tube that is none"),
        pytest.param("beanstalkd://host/t?ttl=60", "accepted: attempts, conn", id="a misspelling"),
        pytest.param("beanstalkd://host/t?ttr=0", "time to run", id="no time to run"),
        pytest.param("beanstalkd://host/t?ttr=1500ms", "whole seconds", id="a fraction of a second to run"),
        pytest.param("beanstalkd://host/t?timeout=0", "longer than 0", id="no time to answer"),
        pytest.param("beanstalkd://host/t?attempts=never", "smart, always", id="an unknown word"),
        pytest.param("file:///t", "does not name a beanstalkd", id="another scheme"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_opened(url: str, complaint: str, opened: Opener) -> None:
    with pytest.raises(InvalidURL, match=complaint):
        opened(url)


def test_greenstalk_is_not_loaded_before_a_queue_is_opened() -> None:
    program = "import sys, pulpo_adapter_beanstalkd as a; a.BeanstalkdAdapter(); sys.exit('greenstalk' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_tubes_need_no_creating() -> None:
    with pytest.raises(Unsupported, match="needs no creating"):
        await BeanstalkdAdapter().create("beanstalkd://host/t", {})


async def test_a_broker_that_is_not_there_is_told_on_entering(opened: Opener) -> None:
    with pytest.raises(Unavailable, match=r"no connection to 127\.0\.0\.1"):
        async with opened(f"beanstalkd://127.0.0.1:{free_port()}/t"):
            pass


@pytest.mark.parametrize("host", ["nowhere.invalid", "no..where", "x" * 64])
async def test_a_host_that_is_not_there_is_told_on_entering(opened: Opener, host: str) -> None:
    with pytest.raises(Unavailable, match=f"no connection to {re.escape(host)}"):
        async with opened(f"beanstalkd://{host}/t"):
            pass


async def _goes_round(opened: Opener, url: str) -> bool:
    async with opened(url) as queue:
        await queue.publish([Envelope(body=b"hello")])
        (delivery,) = await queue.receive(1, timedelta())
        return await queue.settle([Settling(delivery, Ack())]) == [None]


@contextmanager
def _listening(family: socket.AddressFamily, target: object, *options: str) -> Iterator[None]:
    """A beanstalkd that listens elsewhere than others do."""
    process = subprocess.Popen([beanstalkd_program(), *options])
    try:
        while not _answers(family, target):
            time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(family: socket.AddressFamily, target: object) -> bool:
    with socket.socket(family) as probe:
        return probe.connect_ex(target) == 0  # type: ignore[arg-type] # of the kind that goes with the family


def _free_ipv6_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


async def test_a_unix_socket_will_do(tmp_path: Path, opened: Opener) -> None:
    path = str(tmp_path / "b.sock")

    with _listening(socket.AF_UNIX, path, "-l", f"unix:{path}"):
        assert await _goes_round(opened, f"beanstalkd://{path}?tube=mail")


async def test_ipv6_will_do(opened: Opener) -> None:
    port = _free_ipv6_port()

    with _listening(socket.AF_INET6, ("::1", port), "-l", "::1", "-p", str(port)):
        assert await _goes_round(opened, f"beanstalkd://[::1]:{port}/mail")


async def test_the_promise_tells_what_the_broker_is(
    server: BeanstalkdServer, mortal: BeanstalkdServer, opened: Opener
) -> None:
    async with opened(server.url("t") + "?ttr=7s") as forgetful, opened(mortal.url("t")) as keeping:
        assert "in memory only" in forgetful.capabilities.durability
        assert forgetful.capabilities.max_body_bytes == 65_535
        assert forgetful.capabilities.lease is not None
        assert forgetful.capabilities.lease.total_seconds() == 7
        assert "a crash of beanstalkd" in keeping.capabilities.durability
