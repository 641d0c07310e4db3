"""Which buried messages are meant: those that are named, all, or those that filters let through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli.options import SPAN, each_once, together
from pulpo_cli.units import plural
from pulpo_core import Page, Peek, Queue, Record, State

from .groups import type_of

#: So many buried messages are looked through for those that filters let through.
SCAN: Final = 10_000


class Pattern(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """A regular expression."""

    name = "pattern"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        """The compiled expression; case does not matter."""
        if isinstance(value, re.Pattern):
            return value
        try:
            return re.compile(value, re.IGNORECASE)
        except re.error as error:
            self.fail(f"{value!r} is not a regular expression: {error}", param, ctx)


#: Let a command take filters, as the arguments of `Filter`.
filter_options = together(
    click.option("--reason", "reasons", multiple=True, metavar="WORD", help="Buried for this reason. Repeatable."),
    click.option("--error", type=Pattern(), metavar="PATTERN", help="Whose error this regular expression finds."),
    click.option("--type", "types", multiple=True, metavar="TYPE", help="Of this request type. Repeatable."),
    click.option("--older-than", type=SPAN, help="Buried longer ago than that."),
    click.option("--newer-than", type=SPAN, help="Buried less long ago than that."),
)


@attrs.frozen(kw_only=True)
class Filter:
    """What a buried message must be like; what is not said lets everything through.

    A message of which nobody knows when it was buried passes no filter by age.
    """

    reasons: Sequence[str] = ()
    error: re.Pattern[str] | None = None
    types: Sequence[str] = ()
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    @classmethod
    def among(cls, options: dict[str, Any]) -> Filter:
        """What `filter_options` have found, taken out of *options*."""
        return cls(**{field.name: options.pop(field.name) for field in attrs.fields(cls)})

    def __bool__(self) -> bool:
        """Whether it could keep anything back."""
        return self != Filter()

    def passes(self, record: Record, now: datetime) -> bool:
        """Whether *record* is meant."""
        return (
            (not self.reasons or record.reason in self.reasons)
            and (self.error is None or self.error.search(record.error or "") is not None)
            and (not self.types or type_of(record) in self.types)
            and self._is_of_age(record.buried_at, now)
        )

    def _is_of_age(self, buried_at: datetime | None, now: datetime) -> bool:
        if self.older_than is None and self.newer_than is None:
            return True
        if buried_at is None:
            return False
        age = now - buried_at
        return (self.older_than is None or age > self.older_than) and (self.newer_than is None or age < self.newer_than)


@attrs.frozen(kw_only=True)
class Choice:
    """What a command is asked to work on.

    Attributes:
        ids: these, if any are named.
        every: all of them.
        limit: no more than that, the oldest first.
    """

    ids: Sequence[str] = attrs.field(default=(), converter=each_once)
    every: bool = False
    filter: Filter = attrs.field(factory=Filter)
    limit: int | None = None

    def check(self) -> None:
        """Refuse what is ambiguous.

        Raises:
            UsageError: it says nothing, or two things at once.
        """
        if bool(self.ids) + bool(self.every or self.filter) != 1:
            raise click.UsageError("give either IDs, or --all, or filters such as --reason and --error")
        if self.ids and self.limit is not None:
            raise click.UsageError("--limit goes with --all or filters")


async def chosen(queue: Queue, filter_: Filter, *, limit: int | None, now: datetime) -> Page:
    """The buried messages that *filter_* lets through; `Page.partial` if there may be more."""
    page = await queue.buried(limit=limit if limit and not filter_ else SCAN)
    through = [record for record in page.records if filter_.passes(record, now)]
    return attrs.evolve(page, records=through[:limit])


async def find_buried(queue: Queue, message_id: str) -> Record | None:
    """The buried message with that id; `None` if it is not there, or not buried."""
    if Peek.ID in queue.capabilities.peek:
        record = await queue.peek(Peek.ID, message_id)
        return record if record is not None and record.state is State.BURIED else None
    page = await queue.buried(limit=SCAN)
    return next((record for record in page.records if message_id in {record.id, record.envelope.uid}), None)


async def buried_among(queue: Queue, ids: Sequence[str]) -> list[str]:
    """Those of *ids* that are buried."""
    if Peek.ID in queue.capabilities.peek:
        return [id_ for id_ in ids if await find_buried(queue, id_) is not None]
    page = await queue.buried(limit=SCAN)
    known = {name for record in page.records for name in (record.id, record.envelope.uid)}
    return [id_ for id_ in ids if id_ in known]


def messages(count: int | None) -> str:
    """So many buried messages, or all where nobody can count them."""
    return "all buried messages" if count is None else plural(count, "message")
