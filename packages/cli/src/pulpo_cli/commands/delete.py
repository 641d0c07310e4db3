"""`pulpo delete`: remove messages by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.burials.choice import each_once
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option, yes_option
from pulpo_cli.output import complain, confirmed, note, say, say_json
from pulpo_cli.units import plural
from pulpo_core import AdapterError, Peek, Unsupported, open_queue, status_of


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


def report_deleted(ids: Sequence[str], answers: Sequence[AdapterError | None], *, as_json: bool) -> int:
    """Print which of *ids* are gone, and why others are not; the exit status."""
    failed = {id_: error for id_, error in zip(ids, answers, strict=True) if error is not None}
    deleted = [id_ for id_ in ids if id_ not in failed]
    if as_json:
        say_json({"deleted": deleted, "failed": {id_: str(error) for id_, error in failed.items()}})
    else:
        for id_ in deleted:
            say(id_)
    for error in failed.values():
        complain(errors.one_line(str(error)))
    return max((status_of(error) for error in failed.values()), default=errors.DONE)
