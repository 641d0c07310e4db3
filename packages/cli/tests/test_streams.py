"""Streams that are not as they should be, and signals that come before anything else."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

from pulpo_cli.__main__ import main


def run(*arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **environment: str) -> tuple[int, str, str]:
    """`pulpo` in a process of its own: status, stdout and stderr."""
    command = [sys.executable, "-m", "pulpo_cli", *arguments]
    env: Mapping[str, str] = {**os.environ, **environment}
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=env, check=False, timeout=30)
    return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at the end", "at once"])
def test_output_that_finds_no_room_is_one_line_and_status_1(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        status, _, err = run("simulate", stdout=full, PYTHONUNBUFFERED=unbuffered)

    assert status == 1
    [line] = err.splitlines()
    assert line.startswith("pulpo: standard output: No space left on device")


def test_a_reader_that_has_seen_enough_is_told_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        status, _, err = run("simulate", stdout=pipe)

    assert (status, err) == (1, "")


def test_a_stream_that_knows_no_lines_gets_dashes() -> None:
    status, out, _ = run("simulate", PYTHONIOENCODING="ascii")

    assert status == 0
    assert "-----" in out
    assert "\\u" not in out


def test_what_has_nothing_like_it_gets_its_code() -> None:
    status, _, err = run("peek", "--queue", "memory://x", "\N{SNOWMAN}", PYTHONIOENCODING="ascii")

    assert (status, err) == (1, "pulpo: no message \\u2603 is here\n")


class PressedWhileImporting:
    """A finder that meets with Ctrl-C."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pulpo_cli.main":
            raise KeyboardInterrupt


def test_ctrl_c_during_the_imports_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "pulpo_cli.main")
    monkeypatch.setattr(sys, "meta_path", [PressedWhileImporting(), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "pulpo: stopped\n")
