"""The control socket of a worker: one line of JSON asks, one line answers.

``{"do": "status"}``, ``{"do": "pause", "route": "mail"}`` and ``{"do": "resume", "route": "mail"}``.
The socket lies in a directory that nobody but its owner may enter; whoever may, may ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pulpo_core import ConfigurationError, Dispatcher, NoRoute

from . import __version__
from .runtime import runtime_directory

log = logging.getLogger("pulpo.run")

#: A client that has not asked by then is none, in seconds.
_PATIENCE: Final = 5.0

#: No question is longer.
_LONGEST: Final = 4096

SUFFIX: Final = ".sock"


@asynccontextmanager
async def control(dispatcher: Dispatcher) -> AsyncGenerator[None]:
    """Answer at the control socket of this process while *dispatcher* runs.

    A worker that cannot have one runs all the same, and says so.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            path = runtime_directory() / f"{os.getpid()}{SUFFIX}"
            path.unlink(missing_ok=True)  # of a worker that was killed, and had the same number
            server = await asyncio.start_unix_server(_Desk(dispatcher).meet, path, limit=_LONGEST)
        except (OSError, ConfigurationError) as error:
            log.warning("pulpo pause, resume and status do not reach this worker: %s", error)
        else:
            path.chmod(0o600)
            stack.callback(path.unlink, missing_ok=True)
            stack.callback(server.close)
        yield


class _Desk:
    """Answers questions about one dispatcher, in its loop."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._answers: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "status": lambda _: status(dispatcher),
            "pause": lambda question: self._turn(dispatcher.pause, question),
            "resume": lambda question: self._turn(dispatcher.resume, question),
        }

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError):  # it went, took too long, or said too much
            async with asyncio.timeout(_PATIENCE):
                answer = self._answer(await reader.readline())
                writer.write(json.dumps(answer).encode() + b"\n")
                writer.close()
                await writer.wait_closed()  # until it has gone out
        writer.transport.abort()  # closing alone would wait for ever for a client that reads nothing

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            question = json.loads(line)
            answer = self._answers[question["do"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            return _refusal(f"expected a line of JSON whose 'do' is one of {', '.join(self._answers)}")
        try:
            return {"ok": True, "pid": os.getpid(), **answer(question)}
        except (NoRoute, ConfigurationError) as error:
            return _refusal(str(error))

    def _turn(self, act: Callable[[str], None], question: Mapping[str, Any]) -> dict[str, Any]:
        route = question.get("route")
        if not isinstance(route, str):
            raise ConfigurationError("'route' is the name of a route")
        act(route)
        return {"paused": sorted(self._dispatcher.paused)}


def _refusal(error: str) -> dict[str, Any]:
    return {"ok": False, "pid": os.getpid(), "error": error}


def status(dispatcher: Dispatcher) -> dict[str, Any]:
    """What a worker is doing, for programs."""
    ledgers, paused = dispatcher.ledgers, dispatcher.paused
    return {
        "version": __version__,
        "phase": str(dispatcher.phase),
        "directory": _directory(),
        "routes": [
            {
                "name": route.name,
                "queue": route.queue,
                "concurrency": route.concurrency,
                "paused": route.name in paused,
                "ledger": ledgers[route.name].as_dict() if route.name in ledgers else None,
            }
            for route in dispatcher.routes
        ],
    }


def _directory() -> str | None:
    """Where it works; `None` when that was removed, as deployments do with what they replace."""
    try:
        return str(Path.cwd())
    except OSError:
        return None
