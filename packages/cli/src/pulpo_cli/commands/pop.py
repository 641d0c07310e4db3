"""`pulpo pop`: take one message out of a queue by hand."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option
from pulpo_cli.records import received, show
from pulpo_core import Ack, Queue, Settling, open_queue


@click.command(cls=Command)
@queue_option
@json_option
def pop(queue: str, *, as_json: bool) -> None:
    """Take the next message out and print it.

    It is gone then. An empty queue is no error: nothing is printed, but a remark on stderr.
    """
    asyncio.run(_pop(queue, as_json=as_json))


async def _pop(url: str, *, as_json: bool) -> None:
    async with open_queue(url) as queue:
        deliveries = await queue.receive(1, timedelta())
        if not deliveries:
            show(None, as_json=as_json)
            return
        [delivery] = deliveries
        show(received(delivery), as_json=as_json)
        sys.stdout.flush()  # whoever reads has it before the queue forgets it
        await _acknowledge(queue, Settling(delivery, Ack()))


async def _acknowledge(queue: Queue, settling: Settling) -> None:
    [error] = await queue.settle([settling])
    if error is not None:
        raise error
