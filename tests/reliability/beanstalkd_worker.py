"""A worker that is there to be killed: ``python beanstalkd_worker.py URL JOURNAL``.

It writes one line for each handler that starts and one for each that ends, with one system call
each, so that what it did is known whatever happens to it.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import sys
from datetime import timedelta

from pulpo_core import Backoff, Delivery, Handlers, Manager, Message, Policy, Route

CONCURRENCY = 8
MAX_ATTEMPTS = 4
MAX_LOST = 3

handlers = Handlers()
journal = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(what: str, message: Message, delivery: Delivery) -> None:
    """Write one line of the journal."""
    os.write(journal, f"{what} {message.body['number']} {delivery.attempt} {delivery.lost}\n".encode())


@handlers("work")
async def work(message: Message, delivery: Delivery) -> None:
    """Take a moment; fail now and then."""
    note("start", message, delivery)
    await asyncio.sleep(random.uniform(0.002, 0.02))
    if random.random() < 0.03:
        raise RuntimeError("now and then")
    note("end", message, delivery)


@handlers("fail")
async def fail(message: Message, delivery: Delivery) -> None:
    """Never succeed."""
    note("start", message, delivery)
    raise RuntimeError("always")


@handlers("die")
async def die(message: Message, delivery: Delivery) -> None:
    """Take the whole worker along."""
    note("start", message, delivery)
    os.abort()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    policy = Policy(
        max_attempts=MAX_ATTEMPTS,
        max_lost=MAX_LOST,
        backoff=Backoff(base=timedelta(seconds=1), cap=timedelta(seconds=1)),
    )
    Manager([Route(sys.argv[1], handlers, policy=policy, concurrency=CONCURRENCY, wait=timedelta(seconds=2))]).run()
