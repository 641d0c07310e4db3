"""`pulpo delete`: remove messages by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.options import each_once, json_option, queue_option, yes_option
from pulpo_cli.output import confirmed, note
from pulpo_cli.removing import report_deleted
from pulpo_cli.units import plural
from pulpo_core import AdapterError, Peek, Unsupported, open_queue


@click.command(cls=Command)
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@queue_option
@yes_option
@json_option
def delete(ids: Sequence[str], queue: str, *, yes: bool, as_json: bool) -> int:
    """Remove messages by their ids.

    They are removed for good, whatever their state. Prints the ids of those that are gone. The status is 1 if one of
    them is not there.
    """
    ids = each_once(ids)
    if not confirmed(f"Remove {plural(len(ids), 'message')} of {queue} for good?", yes=yes):
        note("nothing was removed")
        return errors.FAILED
    answers = asyncio.run(_delete(queue, ids))
    return report_deleted(ids, answers, as_json=as_json)


async def _delete(url: str, ids: Sequence[str]) -> Sequence[AdapterError | None]:
    async with open_queue(url) as queue:
        if Peek.ID not in queue.capabilities.peek:
            raise Unsupported(
                f"delete: messages of {url} cannot be found by their ids; `pulpo buried delete` removes buried ones"
            )
        return await queue.delete(ids)
