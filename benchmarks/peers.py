"""The environment of the peers: made from peers.txt when it changes, apart from the project's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PINS = Path(__file__).with_name("peers.txt")
VENV = ROOT / ".cache" / "bench-venv"


def versions() -> dict[str, str]:
    """The peers and their versions, as pinned."""
    lines = (line.partition("#")[0].strip() for line in PINS.read_text().splitlines())
    return dict(line.split("==") for line in lines if line)


def python() -> Path:
    """The interpreter of an environment that holds exactly what peers.txt names."""
    interpreter, stamp = VENV / "bin" / "python", VENV / "made-for"
    wanted = f"{sys.version}\n{PINS.read_text()}"
    if not (interpreter.exists() and stamp.exists() and stamp.read_text() == wanted):
        print(f"installing the peers into {VENV.relative_to(ROOT)}", file=sys.stderr)
        shutil.rmtree(VENV, ignore_errors=True)
        for command in _commands(interpreter):
            subprocess.run(command, check=True)
        stamp.write_text(wanted)
    return interpreter


def _commands(interpreter: Path) -> list[list[str]]:
    uv = _uv()
    if uv:
        return [
            [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(VENV)],
            [uv, "pip", "install", "--quiet", "--python", str(interpreter), "--requirements", str(PINS)],
        ]
    return [
        [sys.executable, "-m", "venv", str(VENV)],
        [str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(PINS)],
    ]


def _uv() -> str | None:
    for candidate in (os.environ.get("UV"), "uv", str(ROOT / ".cache" / "uv" / "bin" / "uv")):
        if candidate and (found := shutil.which(candidate)):
            return found
    return None
