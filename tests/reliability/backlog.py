"""A very long queue: ``python backlog.py publish|consume URL NUMBER``; says in one line of JSON how it went.

Memory is looked at ten times on the way, so that one can see whether it grows with what waits.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher

#: Messages that one call publishes.
BATCH = 1_000


def resident_mib() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1024 / 1024


@attrs.define
class Progress:
    """Memory and time at each tenth of the way."""

    number: int
    began: float = attrs.field(factory=time.monotonic)
    memory: list[float] = attrs.field(factory=list)
    seconds: list[float] = attrs.field(factory=list)

    def at(self, done: int) -> None:
        """So many are *done*."""
        if done * 10 >= self.number * (len(self.memory) + 1):
            self.memory.append(round(resident_mib(), 1))
            self.seconds.append(round(time.monotonic() - self.began, 1))

    def told(self, **more: Any) -> dict[str, Any]:
        """What is printed at the end."""
        return {"memory": self.memory, "seconds": self.seconds, **more}


async def publish(url: str, number: int) -> dict[str, Any]:
    """Publish messages 0 to *number* - 1."""
    progress, confirmed = Progress(number), 0
    async with open_publisher(url) as publisher:
        for first in range(0, number, BATCH):
            part = range(first, min(first + BATCH, number))
            answers = await publisher.publish_many([Message(request_type="job", body={"n": n}) for n in part])
            confirmed += sum(isinstance(answer, Message) for answer in answers)
            progress.at(part.stop)
    return progress.told(confirmed=confirmed)


async def consume(url: str, number: int) -> dict[str, Any]:
    """Handle what is there until nothing is."""
    progress, seen, handled, handlers = Progress(number), bytearray(number), 0, Handlers()

    @handlers("job")
    async def job(message: Message) -> None:
        nonlocal handled
        handled += 1
        seen[message.body["n"]] = min(seen[message.body["n"]] + 1, 255)
        progress.at(handled)

    await Dispatcher(Route(url, handlers, concurrency=64), until=Until(burst=True)).run()
    return progress.told(handled=handled, missing=seen.count(0), again=handled - (number - seen.count(0)))


if __name__ == "__main__":
    what, url, number = sys.argv[1:]
    print(json.dumps(asyncio.run({"publish": publish, "consume": consume}[what](url, int(number)))))
