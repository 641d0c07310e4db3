"""`pulpo queue`: queues themselves, not what is in them."""

from __future__ import annotations

import asyncio

import rich_click as click

from pulpo_cli.frame import Group
from pulpo_cli.jobs import read_pairs
from pulpo_cli.options import json_option, queue_option
from pulpo_cli.output import say, say_json
from pulpo_core import adapter_for


@click.group(cls=Group)
def queue() -> None:
    """Create queues, where they have to be created."""


@queue.command("create")
@queue_option
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="K=V",
    help="A setting of the queue, as its adapter knows it; V is JSON or else text. Repeatable.",
)
@json_option
def create(queue: str, *, options: tuple[str, ...], as_json: bool) -> None:
    """Create the queue that the URL names.

    No other command ever creates a queue at a broker that asks for it. The status is 6 where queues need no creating.
    """
    done = asyncio.run(adapter_for(queue).create(queue, read_pairs(options, option="--option")))
    if as_json:
        say_json({"queue": queue, "done": done})
    else:
        say(done)
