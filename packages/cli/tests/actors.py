"""What these tests put into queues beside what the command itself can."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from pulpo_core import Bury, Envelope, Message, Settling, open_publisher_sync, open_queue


def publish(url: str, *messages: Message) -> list[str]:
    """Publish *messages*; their ids."""
    with open_publisher_sync(url) as publisher:
        return [publisher.publish(message).id or "" for message in messages]


def publish_bytes(url: str, *bodies: bytes) -> list[str]:
    """Put *bodies* into the queue as they are, as a foreign producer would; their ids."""

    async def work() -> Sequence[object]:
        async with open_queue(url) as queue:
            return await queue.publish([Envelope(body=body) for body in bodies])

    return [str(answer) for answer in asyncio.run(work())]


def bury(url: str, *burials: Bury) -> list[str]:
    """Bury the next ready messages, one for each of *burials*; their ids."""

    async def work() -> list[str]:
        async with open_queue(url) as queue:
            deliveries = await queue.receive(len(burials), timedelta())
            settlings = [Settling(each, burial) for each, burial in zip(deliveries, burials, strict=True)]
            assert await queue.settle(settlings) == [None] * len(settlings)
            return [each.id for each in deliveries]

    return asyncio.run(work())
