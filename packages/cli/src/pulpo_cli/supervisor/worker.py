"""One worker as its supervisor sees it: a process, and the socket to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core import Clock

from .account import Account
from .leash import Orders
from .verdict import Ending

#: The longest line that a worker may say: thousands of routes.
_LONGEST: Final = 1 << 24

#: Seconds for what it said just before its end.
_LAST_WORDS: Final = 1.0


@attrs.define(eq=False)
class Worker:
    """A process that was started, and what it has said so far."""

    account: Account
    _process: asyncio.subprocess.Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _began: float
    _clock: Clock

    @classmethod
    async def start(cls, orders: Orders, arguments: Sequence[str], clock: Clock) -> Worker:
        """Start a fresh interpreter with the same command line."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as unless_started:
            unless_started.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "pulpo_cli.supervisor.child"),
                attrs.evolve(orders, descriptor=theirs.fileno()).as_text(),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LONGEST)
        account = Account(place=orders.place + 1, pid=process.pid)
        return cls(account, process, reader, writer, clock.monotonic(), clock)

    @property
    def name(self) -> str:
        """For people."""
        return f"worker {self.account.place} (pid {self.account.pid})"

    async def end(self) -> Ending:
        """Listen to it until it has ended."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen())
            self.account.status = await self._process.wait()
            await asyncio.wait([listening], timeout=_LAST_WORDS)  # what it has started may hold its end of the socket
            listening.cancel()
        self._writer.close()
        return Ending(status=self.account.status, age=timedelta(seconds=self._clock.monotonic() - self._began))

    async def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while (line := await self._reader.readline()).endswith(b"\n"):  # else it was killed while it spoke
                self.account.take(json.loads(line))

    def stop(self, *, now: bool) -> None:
        """Tell it to drain, or to cut what it does.

        The signal says no more than the line does, but to an event loop that a handler blocks it does so at once:
        the time in which the worker has to come to its end begins.
        """
        self._writer.write(json.dumps({"stop": "now" if now else "drain"}).encode() + b"\n")
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as it stands."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
