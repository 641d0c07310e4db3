"""What is buried, as a list or by its causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pulpo_cli.output import note, say_json
from pulpo_cli.records import document
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import NOTHING, number, shortened, span
from pulpo_core import Page, Record, SystemClock

from .groups import documents, group_records, print_groups, type_of

_ERROR_WIDTH: Final = 200  # of an error in a table that is not at a terminal


def print_page(page: Page, *, group: bool, as_json: bool) -> None:
    """Print what is buried, for people or programs."""
    if as_json:
        rest = {"partial": page.partial, "note": page.note}
        records = [document(record) for record in page.records]
        say_json(({"groups": documents(group_records(page.records))} if group else {"records": records}) | rest)
    elif group:
        print_groups(group_records(page.records), SystemClock().now())
    elif page.records:
        _print_records(page.records)


def note_what_is_missing(page: Page) -> None:
    """Say whether there may be more, and what looking has cost."""
    if page.partial or page.note:
        note(f"{'partial: ' if page.partial else ''}{page.note or f'there may be more than {len(page.records):,}'}")


def show_chosen(page: Page, *, as_json: bool) -> None:
    """Show by their causes, to people, what is about to be changed."""
    note_what_is_missing(page)
    if not as_json:
        print_groups(group_records(page.records), SystemClock().now())


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
            type_of(record) or NOTHING,
            number(record.attempts),
            f"{span(now - record.buried_at)} ago" if record.buried_at else NOTHING,
            record.reason or NOTHING,
            shortened(record.error or "", _ERROR_WIDTH),
        )
        for record in records
    ]
    print_table(columns, rows)
