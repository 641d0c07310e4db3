"""What `pulpo pause` and `pulpo resume` have in common: a route on this host, or a queue for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import rich_click as click

from pulpo_core import Queue, open_queue

from . import errors
from .control_client import ask_workers
from .options import QUEUE, together
from .output import complain, say, say_json
from .units import plural

#: Let a command take ROUTE or --queue. Not from the environment: pausing for everybody wants to be said.
subject_options = together(
    click.argument("route", required=False),
    click.option(
        "--queue",
        type=QUEUE,
        metavar="URL|ROUTE",
        help="Instead of a route here: the queue, or that of a route, for everybody.",
    ),
)


@attrs.frozen(kw_only=True)
class Turn:
    """One of the two, and how it is told.

    Attributes:
        do: what workers are asked for.
        done: the same, once it is done.
        on_queue: does it to a queue.
    """

    do: str
    done: str
    on_queue: Callable[[Queue], Awaitable[None]]
    as_json: bool

    def take(self, route: str | None, queue: str | None) -> int:
        """Do it to the one that is given, and say so on stdout; the exit status.

        Raises:
            UsageError: neither was given, or both.
            Unsupported: the queue cannot be paused.
        """
        if queue is not None and route is None:
            asyncio.run(self._take_queue(queue))
            self._say({self.done: queue}, f"{self.done} {queue}, for everybody")
            return errors.DONE
        if route is not None and queue is None:
            return self._take_route(route)
        raise click.UsageError("give ROUTE, for the workers on this host, or --queue, for everybody: one of the two")

    async def _take_queue(self, url: str) -> None:
        async with open_queue(url) as queue:
            await self.on_queue(queue)

    def _take_route(self, route: str) -> int:
        pids = [answer["pid"] for answer in ask_workers(self.do, route=route) if answer["ok"]]
        if not pids:
            complain(f"no worker on this host runs a route {route!r}; {_running()}")
            return errors.FAILED
        self._say({self.done: route, "workers": pids}, f"{self.done} {route} in {plural(len(pids), 'worker')}")
        return errors.DONE

    def _say(self, document: dict[str, Any], line: str) -> None:
        if self.as_json:
            say_json(document)
        else:
            say(line)


def _running() -> str:
    names = sorted({route["name"] for answer in ask_workers("status") for route in answer["routes"]})
    return f"there are: {', '.join(names)}" if names else "no worker is running"
