"""`pulpo peek`: look at a message without receiving it."""

from __future__ import annotations

import asyncio

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option
from pulpo_cli.records import show, show_named
from pulpo_core import Peek, Record, open_queue

_STATES = [str(Peek.READY), str(Peek.DELAYED), str(Peek.BURIED)]


@click.command(cls=Command)
@click.argument("message_id", metavar="[ID]", required=False)
@queue_option
@click.option("--state", type=click.Choice(_STATES), help="Which next message, without an ID.  [default: ready]")
@json_option
def peek(message_id: str | None, queue: str, *, state: str | None, as_json: bool) -> int:
    """Look at a message without receiving it.

    Shows the message with ID, or the next one that is ready, delayed or buried. Nothing is changed. The status is 1
    if there is no message with that ID; that no message is ready, delayed or buried is no error.
    """
    if message_id is not None and state is not None:
        raise click.UsageError("--state chooses the next message: leave it out with an ID")
    record = asyncio.run(_peek(queue, message_id, state or Peek.READY))
    if message_id is not None:
        return show_named(record, f"no message {message_id} is here", as_json=as_json)
    show(record, as_json=as_json)
    return errors.DONE


async def _peek(url: str, message_id: str | None, state: str) -> Record | None:
    async with open_queue(url) as queue:
        return await queue.peek(Peek(state) if message_id is None else Peek.ID, message_id)
