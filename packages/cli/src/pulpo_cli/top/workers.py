"""The workers of this host, as their control sockets tell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from pulpo_cli.control_client import ask_workers
from pulpo_core import Clock, PulpoError

#: Columns of a ledger that say that a message is no longer in hand.
_SETTLED = ("acked", "retried", "buried", "released", "dropped")


@attrs.define(eq=False)
class Workers:
    """What the workers said when they were last asked."""

    answers: Sequence[Mapping[str, Any]] = ()

    async def watch(self, interval: float, clock: Clock) -> None:
        """Ask every *interval* seconds until cancelled."""
        while True:
            self.answers = await asked("status")
            await clock.sleep(interval)

    def routes(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Each worker with each of its routes."""
        for answer in self.answers:
            for route in answer.get("routes", ()):
                yield answer, route

    def of_queue(self, url: str) -> list[Mapping[str, Any]]:
        """The routes that receive from the queue that *url* names."""
        return [route for _, route in self.routes() if route["queue"] == url]

    def settled(self, url: str) -> int | None:
        """Messages of that queue that these workers have settled; `None` when no worker runs it."""
        ledgers = [route["ledger"] for route in self.of_queue(url) if route["ledger"]]
        return sum(ledger[name] for ledger in ledgers for name in _SETTLED) if ledgers else None


async def asked(do: str, **question: Any) -> list[dict[str, Any]]:
    """The workers' answers; none where they cannot be asked. In a thread, since a worker may take its time."""
    try:
        return await asyncio.to_thread(ask_workers, do, **question)
    except PulpoError:
        return []
