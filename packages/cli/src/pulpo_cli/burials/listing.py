"""What is buried, as a list or by its causes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pulpo_cli.output import note, say_json
from pulpo_cli.records import document
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import NOTHING, number, shortened, span
from pulpo_core import Page, Record, SystemClock

from .groups import ERROR_WIDTH, documents, group_records, print_groups, type_of

_COLUMNS: Final = (
    Column("id"),
    Column("type"),
    Column("attempts", number=True),
    Column("buried", number=True),
    Column("reason"),
    Column("error", cut=True),
)


def print_page(page: Page, *, group: bool, as_json: bool) -> None:
    """Print what is buried, for people or programs."""
    if as_json:
        rest = {"partial": page.partial, "note": page.note}
        records = [document(record) for record in page.records]
        say_json(({"groups": documents(group_records(page.records))} if group else {"records": records}) | rest)
    elif group:
        print_groups(group_records(page.records), SystemClock().now())
    elif page.records:
        now = SystemClock().now()
        print_table(_COLUMNS, [_row(each, now) for each in page.records])


def note_what_is_missing(page: Page) -> None:
    """Say whether there may be more, and what looking has cost."""
    if page.partial or page.note:
        note(f"{'partial: ' if page.partial else ''}{page.note or f'there may be more than {len(page.records):,}'}")


def show_chosen(page: Page, *, as_json: bool) -> None:
    """Show by their causes, to people, what is about to be changed."""
    note_what_is_missing(page)
    if not as_json:
        print_groups(group_records(page.records), SystemClock().now())


def _row(record: Record, now: datetime) -> Sequence[str]:
    return (
        record.id,
        type_of(record) or NOTHING,
        number(record.attempts),
        f"{span(now - record.buried_at)} ago" if record.buried_at else NOTHING,
        record.reason or NOTHING,
        shortened(record.error or "", ERROR_WIDTH),
    )
