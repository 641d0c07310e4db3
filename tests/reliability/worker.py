"""A worker that is there to be killed: ``python worker.py URL JOURNAL``.

It writes one line for each handler that starts, ends and fails. Its wall clock steps to and fro
when the environment says ``PULPO_CAMPAIGN_STEPS``, and its disk is full now and then with
``PULPO_CAMPAIGN_FULL``.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from datetime import datetime, timedelta

from pulpo_core import Backoff, Delivery, Handlers, Manager, Message, Policy, Route, SystemClock, Tally
from pulpo_core.events import Event, Settled

from journal import Journal, fill_the_disk  # isort: skip # beside this file, which runs as a program

CONCURRENCY = 8
MAX_ATTEMPTS = 4
MAX_LOST = 3

handlers = Handlers()
journal = Journal(sys.argv[2])


@handlers("work")
async def work(message: Message, delivery: Delivery) -> None:
    """Take a moment; fail now and then."""
    journal.note("start", message.body["number"], delivery.attempt)
    await asyncio.sleep(random.uniform(0.002, 0.02))
    if random.random() < 0.03:
        journal.note("fail", message.body["number"], delivery.attempt)
        raise RuntimeError("now and then")
    journal.note("end", message.body["number"], delivery.attempt)


@handlers("quick")
async def quick(message: Message, delivery: Delivery) -> None:
    """Take no time."""
    journal.note("start", message.body["number"], delivery.attempt)
    journal.note("end", message.body["number"], delivery.attempt)


@handlers("slow")
async def slow(message: Message, delivery: Delivery) -> None:
    """Take longer than a lease lasts."""
    journal.note("start", message.body["number"], delivery.attempt)
    await asyncio.sleep(float(message.body["seconds"]))
    journal.note("end", message.body["number"], delivery.attempt)


@handlers("fail")
async def fail(message: Message, delivery: Delivery) -> None:
    """Never succeed."""
    journal.note("start", message.body["number"], delivery.attempt)
    journal.note("fail", message.body["number"], delivery.attempt)
    raise RuntimeError("always")


@handlers("die")
async def die(message: Message, delivery: Delivery) -> None:
    """Take the whole worker along."""
    journal.note("start", message.body["number"], delivery.attempt)
    os.abort()


def note_end(event: Event) -> None:
    """Write down what became of a delivery that is not gone for good: why its message may come again."""
    if isinstance(event, Settled) and event.tally not in {Tally.ACKED, Tally.BURIED, Tally.DROPPED}:
        number = json.loads(event.delivery.envelope.body)["body"]["number"]
        journal.note(event.tally, number, event.delivery.attempt)


class SteppingClock(SystemClock):
    """A wall clock that somebody sets, over and over again."""

    def now(self) -> datetime:
        """Right, five minutes fast, or a minute slow, for half a second each."""
        steps = (0, 300, 0, -60)
        return super().now() + timedelta(seconds=steps[int(time.monotonic() * 2) % len(steps)])


def main() -> int:
    """Work until told to stop; the exit status."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "PULPO_CAMPAIGN_FULL" in os.environ:
        fill_the_disk()
    policy = Policy(
        max_attempts=MAX_ATTEMPTS,
        max_lost=MAX_LOST,
        backoff=Backoff(base=timedelta(seconds=1), cap=timedelta(seconds=1)),
    )
    route = Route(sys.argv[1], handlers, policy=policy, concurrency=CONCURRENCY, wait=timedelta(seconds=2))
    clock = SteppingClock() if "PULPO_CAMPAIGN_STEPS" in os.environ else SystemClock()
    return Manager([route], clock=clock, grace=10, observers=[note_end]).run().status


if __name__ == "__main__":
    sys.exit(main())
