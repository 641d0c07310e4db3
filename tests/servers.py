"""Real servers for tests, as child processes that can be stopped, killed and restarted."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"

#: What an AWS client reads from its environment: credentials good for no real account, and nothing of this machine's.
AWS_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def beanstalkd_program() -> str:
    """Return the path of beanstalkd.

    Raises:
        FileNotFoundError: there is none; the text says what to do.
    """
    asked = os.environ.get("PULPO_BEANSTALKD_BIN")
    candidates = [asked] if asked else ["beanstalkd", str(ROOT / ".cache/deb/usr/bin/beanstalkd")]
    for candidate in candidates:
        if program := shutil.which(candidate):
            return program
    raise FileNotFoundError(
        f"No beanstalkd among {', '.join(candidates)}. "
        "Run the tests with ./dev test, which installs it, or set PULPO_BEANSTALKD_BIN to its path."
    )


class BeanstalkdServer:
    """A beanstalkd on a port of its own that it keeps over restarts.

    Without *binlog* the server keeps jobs in memory only and forgets them on `stop` and `kill`.
    `options` are further arguments of the beanstalkd command line, such as `["-z", "1024"]`.
    """

    def __init__(self, *, binlog: Path | None = None, options: list[str] | None = None) -> None:
        self.binlog = binlog
        self.options = options or []
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, the same for the life of this object."""
        return HOST, self.port

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise RuntimeError("beanstalkd is not running")
        return self._process.pid

    def url(self, tube: str) -> str:
        """Return the URL of *tube* on this server."""
        return f"beanstalkd://{HOST}:{self.port}/{tube}"

    def start(self) -> None:
        """Start the server and return once it answers; a running one is left alone."""
        if self._process is not None:
            return
        command = [beanstalkd_program(), "-l", HOST, "-p", str(self.port), *self.options]
        if self.binlog is not None:
            self.binlog.mkdir(parents=True, exist_ok=True)
            command += ["-b", str(self.binlog)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the server with SIGTERM and wait for it; a stopped one is left alone."""
        if self._process is not None:
            self._process.terminate()
            self._reap()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; a stopped one is left alone."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def restart(self) -> None:
        """Stop and start again on the same port, with the same binlog."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _wait_until_it_answers(self, *, seconds: float = 10.0) -> None:
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (status := self._process.poll()) is not None:
                self._process = None
                raise RuntimeError(f"beanstalkd ended with status {status} at its start; its own words are above")
            try:
                socket.create_connection(self.address, timeout=1).close()
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return
        self.kill()
        raise TimeoutError(f"beanstalkd did not answer on port {self.port} within {seconds:g} s")

    def _reap(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
