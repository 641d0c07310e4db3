"""Lines that can be copied and run as they are printed."""

import sys
from pathlib import Path

import pytest

from pulpo_cli.invocation import command_line


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulpo` on the search path, by which this process was called."""
    program = tmp_path / "pulpo"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr(sys, "argv", [str(program)])
    return program


def test_on_the_search_path_the_name_is_enough(program: Path) -> None:
    assert command_line("stats", "--queue", "file:///a b?x=1") == "pulpo stats --queue 'file:///a b?x=1'"


def test_elsewhere_the_whole_path_is_named(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert command_line("demo") == f"{program} demo"


def test_the_search_path_of_a_runner_is_not_that_of_the_shell(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")

    assert command_line("demo") == f"{program} demo"


def test_a_module_is_called_as_a_module(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/lib/pulpo_cli/__main__.py"])

    assert command_line("demo") == f"{sys.executable} -m pulpo_cli demo"
