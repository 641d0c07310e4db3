"""What stands in the tables of `pulpo top`. Everything that a producer may have written is made printable first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.text import Text

from pulpo_cli.units import NOTHING, number, printable, shortened, span
from pulpo_core import QueueStats, State

from .history import LENGTH
from .watching import Burial, Watched
from .workers import Workers

#: Burials shown.
RECENT: Final = 50

_STATES: Final = (State.READY, State.DELAYED, State.RESERVED, State.BURIED)

TITLES: Final[Mapping[str, Sequence[str]]] = {
    "queues": ("queue", *map(str, _STATES), "oldest", "change/s", "done/s", "backlog".ljust(LENGTH)),
    "reasons": ("reason", "messages"),
    "recent": ("ago", "id", "type", "attempts", "reason", "error"),
    "workers": ("pid", "route", "phase", "in hand", "received", "acked", "retried", "buried"),
}

_ERROR_WIDTH: Final = 120


def queue_row(watched: Watched) -> list[Text]:
    """One queue; what was last known of one that cannot be reached now is dim."""
    stats, history = watched.stats, watched.history
    style = "dim" if watched.error else ""
    return [
        _name(watched, stats),
        *(_count(state, stats, style) for state in _STATES),
        _right(NOTHING if stats is None else span(stats.oldest_age), style),
        _right(rate(history.growth, signed=True), style),
        _right(rate(history.throughput), style),
        Text(history.bars.rjust(LENGTH), style or "cyan"),
    ]


def _name(watched: Watched, stats: QueueStats | None) -> Text:
    text = Text(printable(watched.url), "bold red" if watched.error else "bold")
    if watched.error:
        text.append(" unreachable", "red")
    elif stats is None:
        text.append(" …", "dim")
    elif stats.paused:
        text.append(" paused", "yellow")
    return text


def _count(state: State, stats: QueueStats | None, style: str) -> Text:
    value = getattr(stats, str(state)) if stats else None
    if state is State.BURIED and value and not style:
        style = "bold red"
    return _right(number(value), style)


def rate(value: float | None, *, signed: bool = False) -> str:
    """*value* for one second, to one digit."""
    if value is None:
        return NOTHING
    return f"{value:+,.1f}" if signed and round(value, 1) else f"{abs(value):,.1f}"


def reason_rows(watched: Watched) -> list[list[Text]]:
    """Burials by reason."""
    return [[Text(printable(reason)), _right(number(count))] for reason, count in watched.reasons]


def burial_rows(watched: Watched, now: datetime) -> list[list[Text]]:
    """The latest burials, newest first."""
    return [_burial_row(burial, now) for burial in watched.burials[:RECENT]]


def _burial_row(burial: Burial, now: datetime) -> list[Text]:
    record = burial.record
    return [
        _right(NOTHING if record.buried_at is None else span(now - record.buried_at)),
        Text(printable(record.id)),
        Text(printable(burial.request_type)),
        _right(number(record.attempts)),
        Text(printable(burial.reason)),
        Text(printable(shortened(record.error or "", _ERROR_WIDTH))),
    ]


def worker_rows(workers: Workers) -> list[list[Text]]:
    """Each worker's routes."""
    return [_worker_row(worker, route) for worker, route in workers.routes()]


def _worker_row(worker: Mapping[str, Any], route: Mapping[str, Any]) -> list[Text]:
    ledger = route["ledger"] or {}
    counts = (ledger.get(name) for name in ("in_hand", "received", "acked", "retried", "buried"))
    phase = "paused" if route["paused"] else str(worker.get("phase", NOTHING))
    return [
        _right(str(worker["pid"])),
        Text(printable(route["name"])),
        Text(phase, "yellow" if route["paused"] else ""),
        *(_right(number(count)) for count in counts),
    ]


def _right(text: str, style: str = "") -> Text:
    return Text(text, style, justify="right")
