"""`pulpo adapters`: the installed adapters and what each can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

import attrs
import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.output import complain, say_json
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import number, span
from pulpo_core import Capabilities, ConfigurationError, Installed, installed_adapters


@click.command(cls=Command)
@json_option
def adapters(*, as_json: bool) -> None:
    """List the installed adapters.

    There is one for each kind of queue URL. Shown is what its queues can promise at best; an open queue may promise
    less.
    """
    known = [(each, _capabilities(each)) for each in installed_adapters()]
    if as_json:
        say_json([_document(each, capabilities) for each, capabilities in known])
        return
    columns = [Column(""), *(Column(f"{each.scheme}://", fold=True) for each, _ in known)]
    print_table(columns, _rows(known))


def _capabilities(installed: Installed) -> Capabilities | None:
    """What the adapter declares; `None`, after a word about it, when it cannot be imported."""
    try:
        return installed.load().capabilities
    except ConfigurationError as error:
        complain(str(error))
        return None


def _document(installed: Installed, capabilities: Capabilities | None) -> dict[str, Any]:
    facts = attrs.asdict(capabilities, value_serializer=_plain) if capabilities else None
    return {
        "scheme": installed.scheme,
        "distribution": installed.distribution,
        "version": installed.version,
        "capabilities": facts,
    }


def _plain(_: object, __: object, value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    return value.value if isinstance(value, Enum) else value


def _rows(known: list[tuple[Installed, Capabilities | None]]) -> list[list[str]]:
    rows = [
        ["distribution", *(each.distribution for each, _ in known)],
        ["version", *(each.version for each, _ in known)],
    ]
    for label, show in _LINES.items():
        rows.append([label, *("?" if each is None else show(each) for _, each in known)])
    return rows


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _limit(value: timedelta | None) -> str:
    return "any" if value is None else span(value)


#: The lines of the table that people compare adapters by.
_LINES: Mapping[str, Callable[[Capabilities], str]] = {
    "order": lambda each: str(each.order),
    "priority": lambda each: _yes(each.priority),
    "groups": lambda each: _yes(each.groups),
    "longest delay": lambda each: _limit(each.max_delay),
    "longest retry delay": lambda each: _limit(each.max_retry_delay),
    "lease": lambda each: "does not end" if each.lease is None else span(each.lease),
    "longest hold": lambda each: _limit(each.max_hold),
    "attempts": lambda each: "exact" if each.exact_attempts else "approximate",
    "largest body": lambda each: "any" if each.max_body_bytes is None else f"{number(each.max_body_bytes)} bytes",
    "batch": lambda each: number(each.max_batch),
    "peek": lambda each: ", ".join(sorted(each.peek)) or "no",
    "counts": lambda each: ", ".join(sorted(each.count_states)) or "no",
    "purge": lambda each: ", ".join(sorted(each.purge_states)) or "no",
    "pause": lambda each: _yes(each.pause),
    "ack with follow-ups": lambda each: "one transaction" if each.atomic_follow_ups else "published first",
    "durability": lambda each: each.durability,
}
