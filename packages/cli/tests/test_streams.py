"""Streams that are not as they should be, and signals that come before anything else."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

from pulpo_cli.__main__ import main
from pulpo_cli.supervisor.leash import Orders


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


def test_where_both_streams_end_in_one_file_what_was_said_first_stands_first() -> None:
    code = "from pulpo_cli.output import note, say; say('what was found'); note('what to do')"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=30
    )

    assert done.stdout.decode().splitlines() == ["what was found", "what to do"]


def test_a_stream_that_knows_no_lines_gets_dashes() -> None:
    status, out, _ = run("simulate", PYTHONIOENCODING="ascii")

    assert status == 0
    assert "-----" in out
    assert "\\u" not in out


def test_a_log_in_json_is_json_in_every_encoding(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("async def work(message): ...\n")
    queue = f"file://{tmp_path}/\N{OCTOPUS}.db"
    working = ("run", "--queue", queue, "--handler", "jobs:work", "--burst", "--log-format", "json")
    status, _, err = run(*working, PYTHONIOENCODING="ascii", PYTHONPATH=str(tmp_path))

    assert status == 0
    assert {json.loads(line).get("route") for line in err.splitlines()} == {queue, None}


def test_what_has_nothing_like_it_gets_its_code() -> None:
    status, _, err = run("peek", "--queue", "memory://x", "\N{SNOWMAN}", PYTHONIOENCODING="ascii")

    assert (status, err) == (1, "pulpo: no message \\u2603 is here\n")


def in_shell(line: str, cwd: Path) -> int:
    """The status of *line*, in which $PULPO is the command."""
    pulpo = f"{sys.executable} -m pulpo_cli"
    shell = ["sh", "-c", line.replace("$PULPO", pulpo)]
    done = subprocess.run(shell, cwd=cwd, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr
    assert b"should not happen" not in done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("closed", "command", "status"),
    [
        pytest.param("<&-", "publish --body-file -", 2, id="nothing is in stdin"),
        pytest.param("<&-", "purge --state ready", 2, id="stdin has nobody to be asked"),
        pytest.param(">&-", "peek --json", 0, id="stdout"),
        pytest.param("2>&-", "peek", 0, id="stderr"),
        pytest.param("<&- >&- 2>&-", "publish", 0, id="all three"),
    ],
)
def test_a_stream_that_was_closed_is_as_one_that_leads_nowhere(
    tmp_path: Path, closed: str, command: str, status: int
) -> None:
    assert in_shell(f"$PULPO {command} --queue memory://x {closed}", tmp_path) == status


_WORK = """
from pathlib import Path

async def work(message):
    print("said by a handler")
    Path(message.body["payload"]).touch()
"""


@pytest.mark.parametrize("several", ["", "--processes 2"], ids=["one worker", "several"])
@pytest.mark.parametrize("unheard", [">&- 2>&-", "2>/dev/full"], ids=["closed", "full"])
def test_work_is_done_though_nobody_can_be_told_of_it(tmp_path: Path, unheard: str, several: str) -> None:
    (tmp_path / "jobs.py").write_text(_WORK)
    queue = f"file://{tmp_path}/shop.db"
    assert in_shell(f"$PULPO publish --queue {queue} --payload {tmp_path}/done", tmp_path) == 0

    status = in_shell(f"$PULPO run --queue {queue} --handler jobs:work --burst -v {several} {unheard}", tmp_path)

    assert (status, (tmp_path / "done").exists()) == (0, True)


@pytest.fixture
def _process_as_before() -> Iterator[None]:
    """The command has the signals of its process, which here is that of all tests, and its stderr."""
    before, stderr = signal.getsignal(signal.SIGTERM), sys.stderr
    yield
    signal.signal(signal.SIGTERM, before)
    sys.stderr = stderr


class PressedWhileImporting:
    """A finder that meets with Ctrl-C."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pulpo_cli.main":
            raise KeyboardInterrupt


@pytest.mark.usefixtures("_process_as_before")
def test_ctrl_c_during_the_imports_is_one_line_and_status_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "pulpo_cli.main")
    monkeypatch.setattr(sys, "meta_path", [PressedWhileImporting(), *sys.meta_path])

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "pulpo: stopped\n")


def test_sigterm_while_the_application_is_imported_is_one_line_and_status_130(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "pulpo_cli", "run", "--queue", "memory://x", "--handler", "slow:work"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    with subprocess.Popen(command, cwd=tmp_path, text=True, **pipes) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "importing\n"
        running.terminate()
        _, err = running.communicate(timeout=30)

    assert (running.returncode, err) == (130, "pulpo: stopped\n")


_SIGNALLED_WHILE_IMPORTING = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "pulpo_cli.main":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
from pulpo_cli.supervisor.child import begin
begin(sys.argv[1], "--version")
"""


def test_a_worker_of_several_leaves_signals_to_its_supervisor_even_during_the_imports() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        orders = Orders(descriptor=theirs.fileno(), place=0).as_text()
        command = [sys.executable, "-c", _SIGNALLED_WHILE_IMPORTING, orders]
        done = subprocess.run(
            command, capture_output=True, text=True, pass_fds=[theirs.fileno()], check=False, timeout=30
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("pulpo ")
