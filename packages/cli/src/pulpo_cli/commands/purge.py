"""`pulpo purge`: remove all messages of a state."""

from __future__ import annotations

import asyncio

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option, yes_option
from pulpo_cli.output import confirmed, note
from pulpo_cli.removing import report_removed
from pulpo_cli.units import plural
from pulpo_core import QueueStats, State, open_queue

_STATES = [str(State.READY), str(State.DELAYED), str(State.BURIED)]


@click.command(cls=Command)
@queue_option
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, required=True, help="Which; repeatable.")
@yes_option
@json_option
def purge(queue: str, *, states: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Remove every message of a state, for good."""
    return asyncio.run(_purge(queue, frozenset(map(State, states)), yes=yes, as_json=as_json))


async def _purge(url: str, states: frozenset[State], *, yes: bool, as_json: bool) -> int:
    async with open_queue(url) as queue:
        names = " and ".join(sorted(states))
        if not yes and not confirmed(f"Remove {_known(await queue.stats(), states)} ({names}) of {url}?", yes=False):
            note("nothing was removed")
            return errors.FAILED
        removed = await queue.purge(states)
    return report_removed(removed, as_json=as_json)


def _known(counted: QueueStats, states: frozenset[State]) -> str:
    counts = [getattr(counted, state) for state in states]
    return "all messages" if None in counts else plural(sum(counts), "message")
