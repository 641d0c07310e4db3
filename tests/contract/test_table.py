"""The adapter that the documentation writes keeps the contract, works as a plug-in, and is the one on the page."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.servers import ROOT

EXAMPLE = ROOT / "examples/adapter-table"
PAGE = ROOT / "docs/how-to/write-an-adapter.md"


def load(name: str) -> ModuleType:
    """A module of the example."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load("pulpo_adapter_table")
_Contract = load("test_table").TestTable


class TestTable(_Contract):
    """Where nothing is flushed to a disk: that the databases of others survive a power failure is theirs to prove."""

    may_skip = frozenset(
        {
            "C033",  # a late acknowledgement is refused
            "C045",  # delays have no limit
            *("C069", "C082", "C160", "C161", "C162", "C163"),  # there is no broker, and no connection
            *("C008", "C022", "C023", "C029", "C092", "C158", "C178"),  # bodies have no limit
            *("C113", "C114", "C115", "C116", "C117", "C119"),  # no groups
            *("C129", "C130", "C133", "C138", "C139"),  # no peek
            *("C135", "C136", "C137"),  # no pause
            *("C172", "C174"),  # priorities and delays
            *("C176", "C177"),  # no follow-ups with an acknowledgement
            "C027",  # what a foreign producer must fill in is up to the table
        }
    )

    @pytest.fixture(autouse=True)
    def _folder(self) -> Iterator[None]:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            self.folder = folder
            yield


def test_it_is_as_short_as_the_page_says():
    lines = [line for line in (EXAMPLE / "pulpo_adapter_table.py").read_text().splitlines() if line.strip()]

    assert len(lines) < 150


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name) for name in ("pulpo_adapter_table.py", "test_table.py", "pyproject.toml")]
)
def test_the_page_shows_the_code_that_is_tested(name):
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    shown = "\n".join(blocks)

    for paragraph in re.split(r"\n{2,}", (EXAMPLE / name).read_text().strip()):
        assert paragraph in shown, f"the page does not show:\n{paragraph}"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the example is installed as an installer would."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copy(EXAMPLE / "pulpo_adapter_table.py", tmp_path)
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    [(group, points)] = project["entry-points"].items()
    entries = "".join(f"{scheme} = {target}\n" for scheme, target in points.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entries}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_the_command_works_with_it_once_it_is_installed(installed):
    def pulpo(*arguments: str) -> str:
        command = [sys.executable, "-m", "pulpo_cli", *arguments]
        done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    (installed / "jobs.py").write_text("def greet(payload):\n    print('hello', payload)\n")
    url = f"table://{installed}/shop.db"

    assert pulpo("queue", "create", "--queue", url) == f"table jobs is in {installed}/shop.db"
    assert pulpo("publish", "--queue", url, "--type", "greet", "--payload", "world") == "1"
    assert pulpo("run", "--queue", url, "--handler", "greet=jobs:greet", "--burst", "-q") == "hello world"
    assert '"ready": 0' in pulpo("stats", "--queue", url, "--json")
