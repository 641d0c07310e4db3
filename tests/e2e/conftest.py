"""The command from outside: real processes in an empty folder, killed and signalled where it matters."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from pulpo_core.application.signals import SAME

PULPO = str(Path(sys.executable).parent / "pulpo")

_PATIENCE = 30.0  # seconds; only a test that fails waits so long

_NUMBERS = itertools.count()

#: Runs that start nothing but themselves need no more.
_COMMAND_TIME = 50.0


def wait_until(happened: Callable[[], Any], what: str) -> None:
    """Return once *happened* says so; fail if it never does."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


@attrs.frozen
class Outcome:
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout holds."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        [line] = self.err.splitlines()
        return line


@attrs.frozen
class Running:
    """A command that runs in the background, and the files that its two streams go to."""

    process: subprocess.Popen[bytes]
    _out: Path
    _err: Path

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that counts, however soon after another."""
        time.sleep(2 * SAME)
        self.process.send_signal(number)

    def end(self) -> Outcome:
        """Wait for its end."""
        return Outcome(self.process.wait(timeout=_PATIENCE), self.out, self.err)


@attrs.frozen
class Shop:
    """A folder as a user has it: handlers in a module, a queue in a file, and what the handlers write down."""

    folder: Path
    url: str

    def write(self, source: str, *, module: str = "jobs") -> None:
        """Write a module of handlers."""
        (self.folder / f"{module}.py").write_text(source)

    def pulpo(self, *arguments: str, stdin: str | None = None, **environment: str) -> Outcome:
        """Run `pulpo` to its end."""
        done = subprocess.run(
            [PULPO, *arguments],
            cwd=self.folder,
            env=self._environment(environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIME,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def start(self, *arguments: str, **environment: str) -> Iterator[Running]:
        """Run `pulpo` in the background; whatever is left of it at the end is killed."""
        number = next(_NUMBERS)
        out, err = self.folder / f"stdout-{number}", self.folder / f"stderr-{number}"
        with (
            out.open("wb") as stdout,
            err.open("wb") as stderr,
            subprocess.Popen(
                [PULPO, *arguments],
                cwd=self.folder,
                env=self._environment(environment),
                stdout=stdout,
                stderr=stderr,
            ) as process,
        ):
            try:
                yield Running(process, out, err)
            finally:
                process.kill()

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        own = {"PULPO_QUEUE": self.url, "TMPDIR": str(self.folder), "XDG_RUNTIME_DIR": "", "COLUMNS": "120"}
        return {**os.environ, **own, **extra}

    @property
    def journal(self) -> list[str]:
        """What handlers wrote down, outside of the queue."""
        path = self.folder / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def counts(self) -> dict[str, int]:
        """How many messages are where."""
        counted = self.pulpo("stats", "--json").json
        return {name: counted[name] for name in ("ready", "delayed", "reserved", "buried")}

    @property
    def sockets(self) -> list[Path]:
        """The control sockets of its workers."""
        return sorted(self.folder.glob("pulpo-*/*.sock"))

    def statuses(self) -> list[dict[str, Any]]:
        """What each worker says at its control socket: as `pulpo status`, and much quicker."""
        return [ask(path, b'{"do": "status"}\n') for path in self.sockets]


def ask(path: Path, line: bytes) -> dict[str, Any]:
    """What is answered at a control socket; nothing if nobody does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
            connection.sendall(line)
            answer: dict[str, Any] = json.loads(connection.makefile().readline() or "{}")
        except ConnectionError:
            return {}
        return answer


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """An empty folder with a file queue in it."""
    return Shop(tmp_path, f"file://{tmp_path}/shop.db?queue=mail")


#: Every module of handlers begins so. One `write` is one line in the journal, whatever is killed when.
JOURNAL = """
import asyncio, os, time
from datetime import timedelta
from pathlib import Path
from pulpo_core import *

def write(line):
    with open(Path(__file__).parent / "journal", "a") as journal:
        journal.write(f"{line}\\n")
"""
