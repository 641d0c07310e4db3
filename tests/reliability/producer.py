"""A producer that is there to be killed: ``python producer.py URL JOURNAL FIRST END BATCH PAUSE SECONDS QUICK``.

It publishes the messages FIRST to END - 1, BATCH at a time with PAUSE seconds in between, and writes what it was told
of each. SECONDS is how long a slow message takes; QUICK says that all of them are to be handled in no time.
"""

from __future__ import annotations

import asyncio
import os
import sys

from pulpo_core import AdapterError, Message, open_publisher

from journal import Journal, fill_the_disk  # isort: skip # beside this file, which runs as a program

KINDS = ((500, 499, "die"), (100, 99, "fail"), (200, 50, "slow"))


def kind_of(number: int) -> str:
    """What the handler of message *number* does."""
    return next((kind for every, place, kind in KINDS if number % every == place), "work")


def message_of(number: int, *, seconds: float, quick: bool) -> Message:
    """Message *number*."""
    return Message(request_type="quick" if quick else kind_of(number), body={"number": number, "seconds": seconds})


async def produce(
    url: str, journal: Journal, numbers: range, batch: int, pause: float, make: dict[str, object]
) -> None:
    """Publish every message once, whatever comes of it."""
    async with open_publisher(url) as publisher:
        for start in range(numbers.start, numbers.stop, batch):
            part = range(start, min(start + batch, numbers.stop))
            for number in part:
                journal.note("try", number)
            answers = await publisher.publish_many([message_of(number, **make) for number in part])  # type: ignore[arg-type] # by name
            for number, answer in zip(part, answers, strict=True):
                if not isinstance(answer, AdapterError):
                    journal.note("ok", number)
                else:
                    journal.note("doubt" if answer.in_doubt else "refused", number)
            await asyncio.sleep(pause)


if __name__ == "__main__":
    url, path, first, end, batch, pause, seconds, quick = sys.argv[1:]
    if "PULPO_CAMPAIGN_FULL" in os.environ:
        fill_the_disk()
    make = {"seconds": float(seconds), "quick": quick == "quick"}
    asyncio.run(produce(url, Journal(path), range(int(first), int(end)), int(batch), float(pause), make))
    os._exit(0)
