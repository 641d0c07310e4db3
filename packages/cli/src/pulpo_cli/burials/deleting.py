"""Removing buried messages for good."""

from __future__ import annotations

from collections.abc import Sequence

from pulpo_cli import errors
from pulpo_cli.output import confirmed, note, say, say_json
from pulpo_cli.removing import report_deleted, report_removed
from pulpo_cli.units import plural
from pulpo_core import AdapterError, MessageNotFound, Queue, State, SystemClock, open_queue

from .choice import Choice, buried_among, chosen, messages
from .listing import show_chosen


async def delete(url: str, choice: Choice, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Choose, ask, and remove; the exit status."""
    async with open_queue(url) as queue:
        everything = choice.every and choice.limit is None and not dry_run
        ids = [] if everything else choice.ids or await _found(queue, choice, as_json=as_json)
        count = (await queue.stats()).buried if everything else len(ids)
        if dry_run:
            return _would(ids, as_json=as_json)
        if count != 0 and not confirmed(f"Remove {messages(count)} of {url}, buried, for good?", yes=yes):
            note("nothing was removed")
            return errors.FAILED
        if everything:
            return report_removed(await queue.purge(frozenset({State.BURIED})), as_json=as_json)
        return report_deleted(ids, await _delete_buried(queue, ids), as_json=as_json)


async def _found(queue: Queue, choice: Choice, *, as_json: bool) -> Sequence[str]:
    page = await chosen(queue, choice.filter, limit=choice.limit, now=SystemClock().now())
    show_chosen(page, as_json=as_json)
    return [record.id for record in page.records]


def _would(ids: Sequence[str], *, as_json: bool) -> int:
    if as_json:
        say_json({"removed": 0, "deleted": [], "would_delete": list(ids), "failed": {}})
    else:
        say(f"would remove {plural(len(ids), 'message')}")
    return errors.DONE


async def _delete_buried(queue: Queue, ids: Sequence[str]) -> list[AdapterError | None]:
    there = await buried_among(queue, ids)
    answers = dict(zip(there, await queue.delete(there) if there else (), strict=True))
    return [answers[id_] if id_ in answers else MessageNotFound(f"no buried message {id_!r}") for id_ in ids]
