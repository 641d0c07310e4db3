"""The command inside this process: arguments in, status and both streams out, on queues in memory."""

import itertools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from pulpo_cli.main import cli

_NUMBERS = itertools.count()


@attrs.frozen
class Outcome:
    """How one command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """What stdout holds."""
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """The one line on stderr."""
        [line] = self.err.splitlines()
        return line


Pulpo = Callable[..., Outcome]


@pytest.fixture
def pulpo(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Pulpo:
    """`pulpo`, as a function of its arguments."""
    monkeypatch.delenv("PULPO_QUEUE", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # no worker of anybody else's

    def run(*arguments: str, stdin: str | bytes | None = None) -> Outcome:
        result = CliRunner().invoke(cli, arguments, input=stdin)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def url() -> str:
    """A queue that no other test has seen."""
    return f"memory://cli-{next(_NUMBERS)}"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A run configures logging for its process, which here is that of all tests."""
    names = ("", "pulpo", "pulpo.manager", "pulpo.run", "pulpo.health")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes a module of source text in the working directory; its name, which no other test has used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    known = set(sys.modules)

    def make(source: str) -> str:
        name = f"application_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield make
    for name in set(sys.modules) - known:
        if name.startswith("application_"):
            del sys.modules[name]
