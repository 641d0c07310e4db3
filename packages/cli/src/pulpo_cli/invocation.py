"""How to call this command again: lines that can be copied and run as they are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def command_line(*arguments: str) -> str:
    """A line for the shell that runs `pulpo` with *arguments*, in the way in which it was found this time."""
    return shlex.join([*_program(), *arguments])


def _program() -> list[str]:
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [sys.executable, "-m", "pulpo_cli"]
    found = shutil.which("pulpo")
    if found and Path(found).resolve() == called.resolve() and not _path_is_borrowed():
        return ["pulpo"]
    return [str(called.absolute())]


def _path_is_borrowed() -> bool:
    """Whether the search path is that of a runner, and not of the shell in which the line will be typed."""
    return "UV_RUN_RECURSION_DEPTH" in os.environ
