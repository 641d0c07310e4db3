"""Asking the workers of this host: each has a socket in the runtime directory."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .control import SUFFIX
from .output import complain
from .runtime import runtime_directory

#: A worker whose event loop is blocked does not answer; it is not waited for longer, in seconds.
_PATIENCE: Final = 3.0


def ask_workers(do: str, **question: Any) -> list[dict[str, Any]]:
    """The answer of every worker of this user on this host, in no order.

    Sockets that nobody listens at any more are removed. A worker that does not answer is complained about.

    Raises:
        ConfigurationError: the runtime directory is not safe to use.
    """
    return list(_answers(json.dumps({"do": do, **question}).encode() + b"\n"))


def _answers(question: bytes) -> Iterator[dict[str, Any]]:
    for path in sorted(runtime_directory().glob(f"*{SUFFIX}")):
        try:
            yield json.loads(_ask(path, question))
        except (ConnectionRefusedError, FileNotFoundError):  # it was killed, ended a moment ago, or is about to listen
            if not _lives(path.stem):
                path.unlink(missing_ok=True)
        except (OSError, ValueError):
            complain(f"worker {path.stem} does not answer; a handler may block its event loop")


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:  # it is somebody else's by now
        return True
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True


def _ask(path: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(str(path))
        connection.sendall(question)
        with connection.makefile("rb") as answer:
            return answer.readline()
