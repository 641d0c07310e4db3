"""The page about deployment: what its files start is started, gets SIGTERM as it would there, and drains."""

import configparser
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "deploy.md"
PULPO = str(Path(sys.executable).parent / "pulpo")

pytestmark = pytest.mark.timeout(120)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(blocks("ini")[0])
    return parser


def manifest() -> dict:
    return yaml.safe_load(blocks("yaml")[1])["spec"]["template"]["spec"]


def dockerfile(instruction: str) -> list[str]:
    [line] = re.findall(rf"^{instruction} (\[.*\])$", blocks("dockerfile")[0], re.MULTILINE)
    return json.loads(line)


def commands() -> dict[str, list[str]]:
    container = manifest()["containers"][0]
    return {
        "systemd": shlex.split(unit()["Service"]["ExecStart"]),
        "dockerfile": dockerfile("ENTRYPOINT") + dockerfile("CMD"),
        "compose": yaml.safe_load(blocks("yaml")[0])["services"]["worker"]["command"],
        "kubernetes": container["command"] + container["args"],
    }


def free_ports() -> int:
    """A port that is free, and so is the next."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def test_all_that_run_a_container_run_the_same_but_for_the_log() -> None:
    each = commands()

    assert each["compose"] == each["dockerfile"]
    assert [word for word in each["kubernetes"] if word not in {"--log-format", "json"}] == each["dockerfile"]


@pytest.mark.parametrize("where", ["systemd", "kubernetes"])
def test_what_is_started_there_becomes_ready_and_drains(tmp_path: Path, where: str) -> None:
    (tmp_path / "jobs.py").write_text(blocks("python")[0])
    port = free_ports()
    words = [str(port) if word == "8080" else word for word in commands()[where]]
    environment = {
        **os.environ,
        "PULPO_QUEUE": f"file://{tmp_path}/shop.db?queue=mail",
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    with subprocess.Popen([PULPO, *words[1:]], cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as worker:
        try:
            for number in range(2 if "--processes" in words else 1):
                wait_until_ready(port + number)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=60)
        finally:
            worker.kill()

    assert worker.returncode == 0, said.decode()


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 40
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, f"nobody is ready at {port}"
            time.sleep(0.1)


def test_everybody_waits_longer_than_a_worker_may_take() -> None:
    from pulpo_core import Dispatcher, Route

    longest = Dispatcher(Route("memory://deploy", print)).stops_within.total_seconds()

    assert float(unit()["Service"]["TimeoutStopSec"]) >= longest
    assert manifest()["terminationGracePeriodSeconds"] >= longest
    assert yaml.safe_load(blocks("yaml")[0])["services"]["worker"]["stop_grace_period"] == "60s"


def test_the_statuses_that_systemd_does_not_start_again_are_those_that_the_page_names() -> None:
    [row] = re.findall(r"\| (2, 4, 6) \|.*no: another start", PAGE.read_text())

    assert unit()["Service"]["RestartPreventExitStatus"].split() == row.split(", ")
