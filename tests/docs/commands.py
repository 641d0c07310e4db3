"""Commands of pages that no test can run, and what is checked instead."""

import re
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

Check = Callable[[str], str | None]


def _nothing(_: str) -> str | None:
    return None


def _can_be_installed(command: str) -> str | None:
    """Whether what ``pip install`` is asked for exists here, extras included."""
    for word in shlex.split(command):
        if (found := re.fullmatch(r"(pulpo-[a-z-]+)(?:\[([a-z,]+)\])?", word)) and (
            problem := _missing(*found.groups())
        ):
            return problem
    return None


def _missing(name: str, extras: str | None) -> str | None:
    try:
        known = metadata(name).get_all("Provides-Extra", [])
    except PackageNotFoundError:
        return f"there is no distribution {name}"
    unknown = sorted(set(extras.split(",")) - set(known)) if extras else []
    return f"{name} has no extra {unknown[0]!r}; it has {', '.join(known)}" if unknown else None


def _is_task(command: str) -> str | None:
    """Whether ``./dev`` knows the task."""
    task = next((word for word in shlex.split(command)[1:2]), "help")
    if re.search(rf"^  {re.escape(task)}\b.*\)  *##|^  {re.escape(task)} \|", (ROOT / "dev").read_text(), re.MULTILINE):
        return None
    return f"./dev has no task {task!r}"


_INSTALLS = ("pip install", "python -m pip install", "pipx install", "uv add", "uv pip install", "uv tool install")
_MACHINE = ("apt-get", "aws", "brew", "docker", "git", "helm", "journalctl", "kubectl", "podman", "sudo", "systemctl")
_ENVIRONMENT = ("python -m venv", "python3 -m venv", ". .venv/bin/activate", "source .venv/bin/activate")

#: First words of commands that need a network, an engine, root or this repository, or would run tests within tests.
NOT_RUN: dict[str, Check] = (
    dict.fromkeys(_INSTALLS, _can_be_installed)
    | dict.fromkeys((*_MACHINE, *_ENVIRONMENT), _nothing)
    | {"./dev": _is_task}
)


def checked_instead(command: str) -> Check | None:
    """What is checked instead of running *command*; `None` if it is to be run."""
    for words, check in NOT_RUN.items():
        if command == words or command.startswith(f"{words} "):
            return check
    return None
