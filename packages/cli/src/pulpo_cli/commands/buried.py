"""`pulpo buried`: messages set aside, why, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Group
from pulpo_cli.options import json_option, queue_option, yes_option
from pulpo_cli.output import confirmed, note, say, say_json
from pulpo_cli.records import content_of, document, request_type
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import NOTHING, number, plural, shortened, span
from pulpo_core import AdapterError, MessageNotFound, Page, Peek, Queue, Record, State, SystemClock, open_queue

from .delete import report_deleted
from .peek import show as show_record

_LIMIT = 1000
_ERROR_WIDTH = 200  # of an error in a table that is not at a terminal

limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Look at so many at most."
)


@click.group(cls=Group)
def buried() -> None:
    """List, show, put back to work or delete messages that were set aside."""


# ------------------------------------------------------------------------------------------------------------ list


@buried.command("list")
@queue_option
@click.option("--group", is_flag=True, help="Count them by reason and type.")
@limit_option
@json_option
def list_(queue: str, *, group: bool, limit: int, as_json: bool) -> None:
    """List buried messages with their reasons.

    The oldest burial comes first.
    """
    page = asyncio.run(_page(queue, limit))
    if as_json:
        say_json(_grouped_document(page) if group else _document(page))
    elif group:
        _print_groups(group_records(page.records))
    elif page.records:
        _print_records(page.records)
    if not page.records:
        note("nothing is buried")
    if page.partial or page.note:
        note(f"{'partial: ' if page.partial else ''}{page.note or f'there may be more than {len(page.records):,}'}")


async def _page(url: str, limit: int) -> Page:
    async with open_queue(url) as queue:
        return await queue.buried(limit=limit)


def _document(page: Page) -> dict[str, Any]:
    return {"records": [document(record) for record in page.records], "partial": page.partial, "note": page.note}


def _print_records(records: Sequence[Record]) -> None:
    now = SystemClock().now()
    columns = (
        Column("id"),
        Column("type"),
        Column("attempts", number=True),
        Column("buried", number=True),
        Column("reason"),
        Column("error", cut=True),
    )
    rows = [
        (
            record.id,
            _type(record),
            number(record.attempts),
            f"{span(now - record.buried_at)} ago" if record.buried_at else NOTHING,
            record.reason or NOTHING,
            shortened(record.error or "", _ERROR_WIDTH),
        )
        for record in records
    ]
    print_table(columns, rows)


def _type(record: Record) -> str:
    content = content_of(record.envelope)
    return NOTHING if content.message is None else request_type(content)


@attrs.frozen
class Grouped:
    """Buried messages of one type that have one reason."""

    reason: str | None
    request_type: str | None
    records: Sequence[Record]

    @property
    def example(self) -> Record:
        """One of them."""
        return self.records[0]


def group_records(records: Sequence[Record]) -> list[Grouped]:
    """*records* by reason and type, the most first."""
    groups: dict[tuple[str | None, str | None], list[Record]] = {}
    for record in records:
        message = content_of(record.envelope).message
        groups.setdefault((record.reason, message.request_type if message else None), []).append(record)
    made = [Grouped(reason, kind, members) for (reason, kind), members in groups.items()]
    return sorted(made, key=lambda each: -len(each.records))


def _grouped_document(page: Page) -> dict[str, Any]:
    groups = [
        {
            "reason": each.reason,
            "request_type": each.request_type,
            "count": len(each.records),
            "example": each.example.id,
            "error": each.example.error,
        }
        for each in group_records(page.records)
    ]
    return {"groups": groups, "partial": page.partial, "note": page.note}


def _print_groups(groups: Sequence[Grouped]) -> None:
    columns = (
        Column("count", number=True),
        Column("reason"),
        Column("type"),
        Column("for example"),
        Column("error", cut=True),
    )
    rows = [
        (
            number(len(each.records)),
            each.reason or NOTHING,
            each.request_type or NOTHING,
            each.example.id,
            shortened(each.example.error or "", _ERROR_WIDTH),
        )
        for each in groups
    ]
    if rows:
        print_table(columns, rows)


# ------------------------------------------------------------------------------------------------------------ show


@buried.command("show")
@click.argument("message_id", metavar="ID")
@queue_option
@json_option
def show(message_id: str, queue: str, *, as_json: bool) -> int:
    """Show one buried message in full.

    Why, since when, after how many attempts, and its body. The status is 1 if it is not buried here.
    """
    record = asyncio.run(_with_queue(queue, lambda opened: find_buried(opened, message_id)))
    show_record(record, as_json=as_json)
    return errors.FAILED if record is None else errors.DONE


async def find_buried(queue: Queue, message_id: str) -> Record | None:
    """The buried message with that id; `None` if it is not there, or not buried."""
    if Peek.ID in queue.capabilities.peek:
        record = await queue.peek(Peek.ID, message_id)
        return record if record is not None and record.state is State.BURIED else None
    page = await queue.buried(limit=_LIMIT)
    return next((record for record in page.records if record.id == message_id), None)


async def _with_queue(url: str, work: Callable[[Queue], Coroutine[Any, Any, Any]]) -> Any:
    async with open_queue(url) as queue:
        return await work(queue)


# ---------------------------------------------------------------------------------------------------- kick, delete


def _chosen(ids: Sequence[str], *, every: bool) -> None:
    if bool(ids) == every:
        raise click.UsageError("give either IDs or --all")


@buried.command("kick")
@click.argument("ids", metavar="ID…", nargs=-1)
@queue_option
@click.option("--all", "every", is_flag=True, help="All of them, the oldest first.")
@click.option("--limit", type=click.IntRange(min=1), help="With --all, so many at most.")
@json_option
def kick(ids: tuple[str, ...], queue: str, *, every: bool, limit: int | None, as_json: bool) -> None:
    """Put buried messages back to work.

    They start with a fresh budget of attempts. If one of the IDs is not buried, none is kicked and the status is 1.
    """
    _chosen(ids, every=every)
    if limit is not None and not every:
        raise click.UsageError("--limit goes with --all")
    kicked = asyncio.run(_with_queue(queue, lambda opened: opened.kick(list(ids) or None, limit=limit)))
    if as_json:
        say_json({"kicked": kicked})
    else:
        say(f"kicked {plural(kicked, 'message')}")


@buried.command("delete")
@click.argument("ids", metavar="ID…", nargs=-1)
@queue_option
@click.option("--all", "every", is_flag=True, help="All of them.")
@yes_option
@json_option
def delete(ids: tuple[str, ...], queue: str, *, every: bool, yes: bool, as_json: bool) -> int:
    """Remove buried messages for good.

    A message that is not buried is left alone, and the status is 1.
    """
    _chosen(ids, every=every)
    if every:
        return asyncio.run(_delete_all(queue, yes=yes, as_json=as_json))
    answers = asyncio.run(_with_queue(queue, lambda opened: _delete_buried(opened, ids)))
    return report_deleted(ids, answers, as_json=as_json)


async def _delete_all(url: str, *, yes: bool, as_json: bool) -> int:
    if not confirmed(f"Remove all buried messages of {url}?", yes=yes):
        note("nothing was removed")
        return errors.FAILED
    async with open_queue(url) as queue:
        removed = await queue.purge(frozenset({State.BURIED}))
    if as_json:
        say_json({"removed": removed})
    else:
        say(f"removed {plural(removed, 'message')}")
    return errors.DONE


async def _delete_buried(queue: Queue, ids: Sequence[str]) -> list[AdapterError | None]:
    there = [id_ for id_ in ids if await find_buried(queue, id_) is not None]
    answers = dict(zip(there, await queue.delete(there) if there else (), strict=True))
    return [answers[id_] if id_ in answers else MessageNotFound(f"no buried message {id_!r}") for id_ in ids]
