"""Brokers in containers, with the faces of the servers in `tests.servers`."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.servers import ROOT, BeanstalkdServer, free_port

from .images import beanstalkd_image, host_python, python_image

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer


def _container(image: str) -> DockerContainer:
    """A container that is not begun; what is begun is stopped by us, not by a container of testcontainers' own."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    return DockerContainer(image)


class BeanstalkdContainer(BeanstalkdServer):
    """A beanstalkd in a container of its own, whose log is in the container and outlives restarts."""

    def __init__(self) -> None:
        super().__init__()
        self._container = _container(beanstalkd_image()).with_bind_ports(11300, self.port)
        self._made = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the same for the life of this object."""
        return self._container.get_container_host_ip(), self.port

    def start(self) -> None:
        """Start the container, for the first time or again, and return once the server answers."""
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._made = True
        answers(self.address, _asks_for_tubes)

    def stop(self) -> None:
        """Stop the container with SIGTERM; its log stays."""
        self._container.get_wrapped_container().stop(timeout=5)

    def __exit__(self, *_: Any) -> None:
        self._container.stop()


class SqsContainer:
    """The server of `tests.sqs_server` in a container, run by the Python of this machine."""

    def __init__(self) -> None:
        self.port = free_port()
        command = [
            sys.executable,
            "-m",
            "tests.sqs_server",
            str(self.port),
            "0.0.0.0",
        ]  # the container's own interfaces
        self._container = _container(python_image()).with_bind_ports(self.port, self.port).with_command(command)
        self._container.with_env("PYTHONDONTWRITEBYTECODE", "1").with_kwargs(working_dir=str(ROOT))
        for source, target in host_python().items():
            self._container.with_volume_mapping(source, target, "ro")

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://{self._container.get_container_host_ip()}:{self.port}"

    def __enter__(self) -> SqsContainer:
        self._container.start()
        answers((self._container.get_container_host_ip(), self.port), _asks_for_a_page)
        return self

    def __exit__(self, *_: object) -> None:
        self._container.stop()


def _asks_for_tubes(connection: socket.socket) -> bool:
    connection.sendall(b"list-tubes\r\n")
    return connection.recv(2) == b"OK"


def _asks_for_a_page(connection: socket.socket) -> bool:
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    return connection.recv(4) == b"HTTP"


def answers(address: tuple[str, int], ask: Any, *, seconds: float = 30.0) -> None:
    """Return once the server at *address* answers: the engine accepts connections before the server does.

    Raises:
        TimeoutError: it does not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(address, timeout=5) as connection:
                if ask(connection):
                    return
        except OSError:
            pass  # not yet
        time.sleep(0.02)
    raise TimeoutError(f"nothing answered at {address} within {seconds:g} s")
