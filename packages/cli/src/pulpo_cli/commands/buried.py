"""`pulpo buried`: messages set aside, why, and what becomes of them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import rich_click as click

from pulpo_cli.burials import deleting
from pulpo_cli.burials.choice import Choice, Filter, chosen, filter_options, find_buried
from pulpo_cli.burials.kicking import KickRun, Rate
from pulpo_cli.burials.listing import note_what_is_missing, print_page
from pulpo_cli.frame import Group
from pulpo_cli.options import LIMIT, json_option, queue_option, together, yes_option
from pulpo_cli.output import note
from pulpo_cli.records import show_named
from pulpo_core import Page, Record, SystemClock, open_queue

_LIMIT: Final = 1000

#: Let a command take what it is to change.
_choice_options = together(
    click.argument("ids", metavar="ID…", nargs=-1),
    queue_option,
    click.option("--all", "every", is_flag=True, help="All of them."),
    filter_options,
    click.option("--limit", type=LIMIT, metavar="N", help="So many at most, the oldest."),
)

_dry_run_option = click.option("--dry-run", is_flag=True, help="Show which, and change nothing.")


@click.group(cls=Group)
def buried() -> None:
    """List, show, put back to work or delete messages that were set aside."""


@buried.command("list")
@queue_option
@filter_options
@click.option("--group", is_flag=True, help="Count them by reason, type and error.")
@click.option(
    "--limit",
    type=LIMIT,
    default=_LIMIT,
    show_default=True,
    metavar="N",
    help="Look at so many at most.",
)
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


@buried.command("kick")
@_choice_options
@click.option("--rate", type=Rate(), help="No faster than that: 10/s, 100/m, 5/10s.")
@_dry_run_option
@yes_option
@json_option
def kick(ids: tuple[str, ...], queue: str, *, every: bool, limit: int | None, **options: Any) -> int:
    """Put buried messages back to work.

    Give IDs, or --all, or filters. They start with a fresh budget of attempts. If one of the IDs is not buried, none is
    kicked and the status is 1.
    """
    choice = Choice(ids=ids, every=every, limit=limit, filter=Filter.among(options))
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


@buried.command("delete")
@_choice_options
@_dry_run_option
@yes_option
@json_option
def delete(ids: tuple[str, ...], queue: str, *, every: bool, limit: int | None, **options: Any) -> int:
    """Remove buried messages for good.

    Give IDs, or --all, or filters. A message that is not buried is left alone, and the status is 1.
    """
    choice = Choice(ids=ids, every=every, limit=limit, filter=Filter.among(options))
    choice.check()
    return asyncio.run(deleting.delete(queue, choice, **options))
