"""Buried messages by why they were buried."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from pulpo_cli.records import content_of
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import NOTHING, number, shortened, span
from pulpo_core import Record

#: Quoted text, and words with what joins them: each character is looked at once, however long an error is.
_PARTS: Final = re.compile(r"""'[^']*'|"[^"]*"|[\w.:/-]+""")

#: Of an error in a table that is not at a terminal.
ERROR_WIDTH: Final = 200


@attrs.frozen
class Cause:
    """What buried messages have in common: the key of a group."""

    reason: str | None
    request_type: str | None
    error: str


@attrs.frozen
class Grouped:
    """Buried messages of one cause."""

    cause: Cause
    records: Sequence[Record]

    @property
    def example(self) -> Record:
        """One of them."""
        return self.records[0]

    @property
    def times(self) -> Sequence[datetime]:
        """When they were buried, as far as it is known, the oldest first."""
        return sorted(record.buried_at for record in self.records if record.buried_at)


def pattern_of(error: str) -> str:
    """*error* with an ellipsis for what differs from message to message: quoted text, and words with a digit."""
    return _PARTS.sub(lambda part: "…" if _is_particular(part[0]) else part[0], error)


def _is_particular(part: str) -> bool:
    return part[0] in "'\"" or any(character.isdigit() for character in part)


def type_of(record: Record) -> str | None:
    """The request type of a buried message; `None` if it has none, or is no message."""
    message = content_of(record.envelope).message
    return message.request_type if message else None


def group_records(records: Iterable[Record]) -> list[Grouped]:
    """*records* by reason, type and pattern of their errors, the most first."""
    groups: dict[Cause, list[Record]] = {}
    for record in records:
        groups.setdefault(Cause(record.reason, type_of(record), pattern_of(record.error or "")), []).append(record)
    made = [Grouped(cause, members) for cause, members in groups.items()]
    return sorted(made, key=lambda each: -len(each.records))


def documents(groups: Iterable[Grouped]) -> list[dict[str, Any]]:
    """*groups* for programs."""
    return [
        {
            "reason": each.cause.reason,
            "request_type": each.cause.request_type,
            "error": each.cause.error,
            "count": len(each.records),
            "oldest": each.times[0].isoformat() if each.times else None,
            "newest": each.times[-1].isoformat() if each.times else None,
            "example": each.example.id,
        }
        for each in groups
    ]


_COLUMNS: Final = (
    Column("count", number=True),
    Column("reason"),
    Column("type"),
    Column("oldest", number=True),
    Column("newest", number=True),
    Column("for example"),
    Column("error", cut=True),
)


def print_groups(groups: Sequence[Grouped], now: datetime) -> None:
    """Print *groups* as a table; nothing if there is none."""
    if groups:
        print_table(_COLUMNS, [_row(each, now) for each in groups])


def _row(group: Grouped, now: datetime) -> Sequence[str]:
    oldest, newest = (f"{span(now - at)} ago" for at in (group.times[0], group.times[-1])) if group.times else "––"
    return (
        number(len(group.records)),
        group.cause.reason or NOTHING,
        group.cause.request_type or NOTHING,
        oldest,
        newest,
        group.example.id,
        shortened(group.cause.error, ERROR_WIDTH),
    )
