"""A worker's end of what ties it to its supervisor: a socket on which it tells how it goes, and is told to stop.

Each line is JSON. The worker says ``{"ledgers": …, "paused": …}`` whenever something has changed, and what is final
at its end; the supervisor says ``{"stop": "drain"}`` or ``{"stop": "now"}``. When the supervisor is gone, the worker
drains and ends too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from pulpo_core import Dispatcher, Manager, Report, SystemClock

log = logging.getLogger("pulpo.run")

#: So often a worker says what has changed, in seconds: what is known of one that is killed is no older.
TELL_EVERY: Final = 0.25

#: Its last words may take so long, in seconds.
_LAST_WORDS: Final = 5.0


@attrs.frozen(kw_only=True)
class Orders:
    """What a worker is told at its start.

    Attributes:
        place: among its fellows, from 0.
        first: nobody has run in its place before.
        max_messages: its share, if there is a limit.
        paused: routes that are to be paused from the start, as they were in the worker whose place it takes.
    """

    descriptor: int
    place: int
    first: bool = True
    max_messages: int | None = None
    paused: tuple[str, ...] = ()

    def as_text(self) -> str:
        """For a command line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Orders:
        """What `as_text` made."""
        facts = json.loads(text)
        return cls(**{**facts, "paused": tuple(facts["paused"])})


@attrs.define(eq=False)
class Leash:
    """Ties this process to its supervisor."""

    orders: Orders
    _socket: socket.socket

    @classmethod
    def taken_up(cls, orders: Orders) -> Leash:
        """The one that the supervisor has handed down."""
        os.set_inheritable(orders.descriptor, False)  # what a handler starts has no part in this
        return cls(orders, socket.socket(fileno=orders.descriptor))

    @property
    def speaks(self) -> bool:
        """Whether this is the one worker that tells a person what all of them are about to do."""
        return self.orders.first and self.orders.place == 0

    def failed(self, line: str) -> None:
        """Say why there is no run."""
        self._say(failure=line)

    def ended(self, report: Report, failure: str) -> None:
        """Say what came of the run."""
        self._say(
            final=True,
            ledgers={route: ledger.as_dict() for route, ledger in report.ledgers.items()},
            requests={route: dict(requests) for route, requests in report.requests.items()},
            unsettled=list(report.unsettled),
            abandoned=report.abandoned,
            failure=failure,
        )

    def _say(self, **facts: Any) -> None:
        self._socket.settimeout(_LAST_WORDS)
        with contextlib.suppress(OSError):  # nobody is there to hear it
            self._socket.sendall(_line(facts))

    def around(self, manager: Manager) -> Callable[[Dispatcher], contextlib.AbstractAsyncContextManager[None]]:
        """For `Manager.execute`: tells and listens while the dispatcher runs."""

        @asynccontextmanager
        async def tied(dispatcher: Dispatcher) -> AsyncGenerator[None]:
            reader, writer = await asyncio.open_connection(sock=self._socket.dup())
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(_heed(reader, manager)),
                        group.create_task(_tell(writer, dispatcher, self.orders.paused)),
                    ]
                    yield
                    for task in tasks:
                        task.cancel()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        return tied


def _line(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts).encode() + b"\n"


async def _heed(reader: asyncio.StreamReader, manager: Manager) -> None:
    with contextlib.suppress(OSError):
        while line := await reader.readline():
            manager.stop(now=json.loads(line)["stop"] == "now")
    log.warning("the supervisor is gone: what runs may finish, and nothing more is received")
    manager.stop()


async def _tell(writer: asyncio.StreamWriter, dispatcher: Dispatcher, paused: tuple[str, ...]) -> None:
    clock = SystemClock()
    await dispatcher.until_open()  # it is said at once: the first handler may block this loop for good
    for route in paused:
        if route in dispatcher.ledgers:
            dispatcher.pause(route)
    said = None
    with contextlib.suppress(OSError):
        while True:
            state = _state(dispatcher)
            if state != said:
                writer.write(_line(state))
                await writer.drain()
                said = state
            await clock.sleep(TELL_EVERY)


def _state(dispatcher: Dispatcher) -> dict[str, Any]:
    return {
        "ledgers": {route: ledger.as_dict() for route, ledger in dispatcher.ledgers.items()},
        "requests": {route: dict(requests) for route, requests in dispatcher.requests.items()},
        "paused": sorted(dispatcher.paused),
        "abandoned": dispatcher.abandoned,
    }
