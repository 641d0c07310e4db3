"""`pulpo buried`: messages set aside, why, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.burials.choice import SCAN, Choice, Filter, chosen, filter_options
from pulpo_cli.burials.groups import group_records, print_groups
from pulpo_cli.burials.kicking import Kicking, Rate
from pulpo_cli.burials.listing import note_what_is_missing, print_page
from pulpo_cli.frame import Group
from pulpo_cli.options import json_option, queue_option, yes_option
from pulpo_cli.output import complain, confirmed, note, say, say_json
from pulpo_cli.progress import progress
from pulpo_cli.units import plural
from pulpo_core import (
    AdapterError,
    MessageNotFound,
    Page,
    Peek,
    Queue,
    RateLimit,
    Record,
    State,
    SystemClock,
    open_queue,
)

from .delete import report_deleted
from .peek import show_named

_LIMIT: Final = 1000

_all_option = click.option("--all", "every", is_flag=True, help="All of them.")
_at_most_option = click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most, the oldest.")
_dry_run_option = click.option("--dry-run", is_flag=True, help="Show which, and change nothing.")


@click.group(cls=Group)
def buried() -> None:
    """List, show, put back to work or delete messages that were set aside."""


# ------------------------------------------------------------------------------------------------------------ list


@buried.command("list")
@queue_option
@filter_options
@click.option("--group", is_flag=True, help="Count them by reason, type and error.")
@click.option("--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Look at so many at most.")
@json_option
def list_(queue: str, *, group: bool, limit: int, as_json: bool, **filters: Any) -> None:
    """List buried messages with their reasons.

    The oldest burial comes first. With --group, errors that differ in numbers and quoted text alone count as one.
    """
    page = asyncio.run(_page(queue, Filter(**filters), limit))
    print_page(page, group=group, as_json=as_json)
    if not page.records:
        note("nothing like that is buried" if Filter(**filters) else "nothing is buried")
    note_what_is_missing(page)


async def _page(url: str, filter_: Filter, limit: int) -> Page:
    async with open_queue(url) as queue:
        return await chosen(queue, filter_, limit=limit, now=SystemClock().now())


# ------------------------------------------------------------------------------------------------------------ show


@buried.command("show")
@click.argument("message_id", metavar="ID")
@queue_option
@json_option
def show(message_id: str, queue: str, *, as_json: bool) -> int:
    """Show one buried message in full.

    Why, since when, after how many attempts, and its body. The status is 1 if it is not buried here.
    """
    record = asyncio.run(_find(queue, message_id))
    return show_named(record, f"no message {message_id} is buried here", as_json=as_json)


async def _find(url: str, message_id: str) -> Record | None:
    async with open_queue(url) as queue:
        return await find_buried(queue, message_id)


async def find_buried(queue: Queue, message_id: str) -> Record | None:
    """The buried message with that id; `None` if it is not there, or not buried."""
    if Peek.ID in queue.capabilities.peek:
        record = await queue.peek(Peek.ID, message_id)
        return record if record is not None and record.state is State.BURIED else None
    page = await queue.buried(limit=SCAN)
    return next((record for record in page.records if message_id in {record.id, record.envelope.uid}), None)


# ------------------------------------------------------------------------------------------------------------ kick


@buried.command("kick")
@click.argument("ids", metavar="ID…", nargs=-1)
@queue_option
@_all_option
@filter_options
@_at_most_option
@click.option("--rate", type=Rate(), help="No faster than that: 10/s, 100/m, 5/10s.")
@_dry_run_option
@yes_option
@json_option
def kick(ids: tuple[str, ...], queue: str, *, every: bool, limit: int | None, **options: Any) -> int:
    """Put buried messages back to work.

    Give IDs, or --all, or filters. They start with a fresh budget of attempts. If one of the IDs is not buried, none is
    kicked and the status is 1.
    """
    choice = Choice(ids=ids, every=every, limit=limit, filter=_filter_in(options))
    choice.check()
    run = KickRun(choice, **options)
    try:
        status = asyncio.run(run.work(queue))
    except BaseException:
        if run.kicking and run.kicking.kicked:
            run.conclude()
        raise
    run.conclude()
    return status


def _filter_in(options: dict[str, Any]) -> Filter:
    """The filter among *options*, taken out of them."""
    return Filter(**{field.name: options.pop(field.name) for field in attrs.fields(Filter)})


@attrs.define(kw_only=True)
class KickRun:
    """One `pulpo buried kick`: what was chosen, and what came of it."""

    choice: Choice = attrs.field(kw_only=False)
    rate: RateLimit | None
    dry_run: bool
    yes: bool
    as_json: bool
    meant: int | None = attrs.field(init=False, default=None)
    partial: bool = attrs.field(init=False, default=False)
    kicking: Kicking | None = attrs.field(init=False, default=None)

    async def work(self, url: str) -> int:
        """Choose, ask, and kick; the exit status."""
        async with open_queue(url) as queue:
            ids = await self._ids(queue)
            if self.dry_run:
                return errors.DONE
            if self.meant != 0 and not confirmed(f"Kick {_meant(self.meant)} of {url}?", yes=self.yes):
                note("nothing was kicked")
                return errors.FAILED
            with progress("kicking", total=self.meant, wanted=self.rate is not None) as show:
                self.kicking = Kicking(queue=queue, clock=SystemClock(), rate=self.rate, show=show)
                await self._kick(self.kicking, ids)
        return errors.DONE

    async def _ids(self, queue: Queue) -> Sequence[str] | None:
        """Those that are meant; `None` for whatever is buried."""
        choice = self.choice
        if choice.ids:
            self.meant = len(choice.ids)
            return choice.ids
        if not choice.filter and not self.dry_run:
            buried_now = (await queue.stats()).buried
            self.meant = buried_now if choice.limit is None or buried_now is None else min(buried_now, choice.limit)
            return None
        now = SystemClock().now()
        page = await chosen(queue, choice.filter, limit=choice.limit, now=now)
        self.meant, self.partial = len(page.records), page.partial
        note_what_is_missing(page)
        if not self.as_json:
            print_groups(group_records(page.records), now)
        return [record.id for record in page.records]

    async def _kick(self, kicking: Kicking, ids: Sequence[str] | None) -> None:
        if ids is None:
            await kicking.oldest(self.choice.limit)
        elif self.choice.ids:
            await kicking.named(ids)
        else:
            await kicking.found(ids)

    def conclude(self) -> None:
        """Tell what came of it, however it ended."""
        if self.kicking is None and not (self.dry_run and self.meant is not None):
            return
        kicked, missing = (self.kicking.kicked, len(self.kicking.missing)) if self.kicking else (0, 0)
        if self.as_json:
            facts = {"chosen": self.meant, "kicked": kicked, "missing": missing, "partial": self.partial}
            say_json(facts | {"dry_run": self.dry_run})
        else:
            say(f"would kick {_meant(self.meant)}" if self.dry_run else f"kicked {plural(kicked, 'message')}")
        if missing:
            complain(f"{plural(missing, 'message')} not buried any more when the turn came")


def _meant(count: int | None) -> str:
    return "all buried messages" if count is None else plural(count, "message")


# ---------------------------------------------------------------------------------------------------------- delete


@buried.command("delete")
@click.argument("ids", metavar="ID…", nargs=-1)
@queue_option
@_all_option
@filter_options
@_at_most_option
@_dry_run_option
@yes_option
@json_option
def delete(ids: tuple[str, ...], queue: str, *, every: bool, limit: int | None, **options: Any) -> int:
    """Remove buried messages for good.

    Give IDs, or --all, or filters. A message that is not buried is left alone, and the status is 1.
    """
    choice = Choice(ids=ids, every=every, limit=limit, filter=_filter_in(options))
    choice.check()
    return asyncio.run(_delete(queue, choice, **options))


async def _delete(url: str, choice: Choice, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    async with open_queue(url) as queue:
        everything = choice.every and choice.limit is None and not dry_run
        ids = [] if everything else choice.ids or await _found(queue, choice, as_json=as_json)
        count = (await queue.stats()).buried if everything else len(ids)
        if dry_run:
            return _would(ids, as_json=as_json)
        if count != 0 and not confirmed(f"Remove {_meant(count)} of {url}, buried, for good?", yes=yes):
            note("nothing was removed")
            return errors.FAILED
        if everything:
            return _removed(await queue.purge(frozenset({State.BURIED})), as_json=as_json)
        return report_deleted(ids, await _delete_buried(queue, ids), as_json=as_json)


async def _found(queue: Queue, choice: Choice, *, as_json: bool) -> Sequence[str]:
    now = SystemClock().now()
    page = await chosen(queue, choice.filter, limit=choice.limit, now=now)
    note_what_is_missing(page)
    if not as_json:
        print_groups(group_records(page.records), now)
    return [record.id for record in page.records]


def _would(ids: Sequence[str], *, as_json: bool) -> int:
    if as_json:
        say_json({"deleted": [], "would_delete": list(ids), "failed": {}})
    else:
        say(f"would remove {plural(len(ids), 'message')}")
    return errors.DONE


def _removed(count: int, *, as_json: bool) -> int:
    if as_json:
        say_json({"removed": count})
    else:
        say(f"removed {plural(count, 'message')}")
    return errors.DONE


async def _delete_buried(queue: Queue, ids: Sequence[str]) -> list[AdapterError | None]:
    there = await _buried_among(queue, ids)
    answers = dict(zip(there, await queue.delete(there) if there else (), strict=True))
    return [answers[id_] if id_ in answers else MessageNotFound(f"no buried message {id_!r}") for id_ in ids]


async def _buried_among(queue: Queue, ids: Sequence[str]) -> list[str]:
    if Peek.ID in queue.capabilities.peek:
        return [id_ for id_ in ids if await find_buried(queue, id_) is not None]
    page = await queue.buried(limit=SCAN)
    known = {name for record in page.records for name in (record.id, record.envelope.uid)}
    return [id_ for id_ in ids if id_ in known]
