"""Processes that tests start, and kill: ``python actors.py NAME URL ARGUMENTS…``, one line on stdout for each event.

A line is written before its operation (``try``) and after it (``ok``), so that whoever reads it
knows what was confirmed, what was attempted, and what was in doubt when the process was killed.
"""

import asyncio
import os
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from itertools import count

from pulpo_adapter_file import FileAdapter, creating
from pulpo_core import (
    Ack,
    AdapterError,
    Envelope,
    Message,
    PulpoError,
    Queue,
    Settling,
    SystemClock,
    SystemJitter,
    open_publisher_sync,
)

ACTORS: dict[str, Callable[..., Awaitable[None]]] = {}


def actor(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    ACTORS[function.__name__] = function
    return function


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # one call: a line is there in whole or not at all


def opened(url: str) -> AbstractAsyncContextManager[Queue]:
    return FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter())


@actor
async def publish(url: str, name: str, tasks: str, total: str = "-1") -> None:
    """Publish messages ``name-0``, ``name-1``… from several tasks at once, without end or *total* of them."""
    numbers = count()

    async def one(queue: Queue) -> None:
        for number in numbers:
            if 0 <= int(total) <= number:
                return
            uid = f"{name}-{number}"
            say("try", uid)
            body = b"x" * random.choice((10, 300, 3000))
            (answer,) = await queue.publish([Envelope(body=body, uid=uid, priority=random.randrange(3))])
            say("ok" if isinstance(answer, str) else "failed", uid, answer)

    async with opened(url) as queue, asyncio.TaskGroup() as group:
        for _ in range(int(tasks)):
            group.create_task(one(queue))


@actor
async def publish_here(url: str, name: str, threads: str) -> None:
    """The same from threads that do not await, and without end."""
    numbers = count()
    with open_publisher_sync(url) as publisher:

        def one() -> None:
            for number in numbers:
                uid = f"{name}-{number}"
                say("try", uid)
                text = "x" * random.choice((10, 300, 3000))
                publisher.publish(Message(body={"text": text}, header={"uid": uid}, priority=random.randrange(3)))
                say("ok", uid)

        await asyncio.gather(*[asyncio.to_thread(one) for _ in range(int(threads))])


@actor
async def work(url: str, limit: str, idle: str = "inf") -> None:
    """Receive and acknowledge, until nothing came for *idle* seconds."""
    async with opened(url) as queue:
        while True:
            wait = timedelta(seconds=min(float(idle), 20))
            deliveries = await queue.receive(int(limit), wait)
            if not deliveries and idle != "inf":
                return
            for delivery in deliveries:
                say("got", delivery.envelope.uid, delivery.attempt, delivery.lost)
            answers = await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
            for delivery, answer in zip(deliveries, answers, strict=True):
                say("acked" if answer is None else "refused", delivery.envelope.uid)


@actor
async def relay(url: str) -> None:
    """Receive and acknowledge with a follow-up, for ever: each message has one descendant at any time."""
    async with opened(url) as queue:
        while True:
            for delivery in await queue.receive(4, timedelta(seconds=20)):
                name, _, number = delivery.envelope.uid.rpartition("-")
                child = Envelope(body=b"{}", uid=f"{name}-{int(number) + 1}")
                await queue.settle([Settling(delivery, Ack(), [child])])
                say("passed", child.uid)


@actor
async def hold(url: str) -> None:
    """Take one message and keep it."""
    async with opened(url) as queue:
        (delivery,) = await queue.receive(1, timedelta(seconds=20))
        say("got", delivery.envelope.uid)
        await asyncio.sleep(3600)


@actor
async def freeze(url: str) -> None:
    """Take the lock of the file and stop."""
    from pulpo_adapter_file.locking import FileLock
    from pulpo_adapter_file.settings import Settings

    with FileLock(Settings.of(url).path):
        say("holding")
        os.kill(os.getpid(), signal.SIGSTOP)


@actor
async def fill(url: str, limit: str, size: str) -> None:
    """Publish until the file may not grow any more, say what was stored, then work on with more room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with opened(url) as queue:
        await queue.publish([Envelope(body=b"first", uid="first")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), hard))
        stored = 1
        try:
            while True:
                await queue.publish([Envelope(body=os.urandom(int(size)), uid=f"m-{stored}")])
                stored += 1
        except AdapterError as error:
            say("full", stored, error.temporary, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await queue.publish([Envelope(body=b"last", uid="last")])
        uids = []
        while deliveries := await queue.receive(100, timedelta()):
            uids += [delivery.envelope.uid for delivery in deliveries]
            await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
        say("drained", len(uids), len(set(uids)), uids[-1])


@actor
async def as_nobody(url: str) -> None:
    """Publish without the rights of root."""
    assert creating.open_calls, "everything is imported while it can be"
    os.setgid(65534)
    os.setuid(65534)
    async with opened(url) as queue:
        say("ok", *await queue.publish([Envelope(body=b"{}")]))


def main(name: str, *arguments: str) -> int:
    try:
        asyncio.run(ACTORS[name](*arguments))  # type: ignore[arg-type] # they are coroutine functions
    except PulpoError as error:
        say(type(error).__name__, error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
