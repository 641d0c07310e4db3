"""Start-up: what importing the core and asking the command for its version take, beside Python's own start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.case import Bench, Case, Goal, Group


def start(bench: Bench, *, command: list[str]) -> None:
    """Start *command* again and again; a message is one start."""
    seconds = []
    with bench.measure("start", children=True):
        for _ in range(bench.messages):
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - begun)
    bench.record("time of one start", statistics.median(seconds) * 1e3, "ms")


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


_COMMANDS = {
    "python -c pass": _python("pass"),
    "import asyncio, attrs": _python("import asyncio, attrs"),
    "import pulpo_core": _python("import pulpo_core"),
    "pulpo --version": [str(Path(sys.executable).with_name("pulpo")), "--version"],
    "pulpo --help": [str(Path(sys.executable).with_name("pulpo")), "--help"],
}

GROUP = Group(
    title="Start-up; a message is one start",
    cases=[
        Case(name=name, run=partial(start, command=command), messages=5, warm_up=1)
        for name, command in _COMMANDS.items()
    ],
    baseline="python -c pass",
    goals=[  # 80 ms and 0.15 s where the baselines take 55 and 15 ms
        Goal(case="import pulpo_core", against="import asyncio, attrs", figure="start", at_most=1.45),
        Goal(case="pulpo --version", against="python -c pass", figure="start", at_most=10),
    ],
)
