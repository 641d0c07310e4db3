"""The ledger of a run: a table for people, a document for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from pulpo_core import Ledger, Report, total

from .tables import Column, print_table
from .units import number, plural

#: Columns that are there even when they are 0; the others speak up only if they have something to say.
_ALWAYS: Final = ("received", "acked", "retried", "buried", "released")


def document(report: Report, elapsed: timedelta) -> dict[str, Any]:
    """How a run went, for programs."""
    return {
        "status": report.status,
        "seconds": round(elapsed.total_seconds(), 3),
        "balanced": report.ledger.balanced,
        "total": report.ledger.as_dict(),
        "routes": {name: ledger.as_dict() for name, ledger in report.ledgers.items()},
        "requests": {route: dict(requests) for route, requests in report.requests.items()},
        "unsettled": list(report.unsettled),
        "abandoned": report.abandoned,
        "error": None if report.error is None else str(report.error),
    }


def print_ledgers(ledgers: Mapping[str, Ledger]) -> None:
    """Print what became of the deliveries of each route, on stderr."""
    whole = total(ledgers.values()).as_dict()
    shown = [name for name, count in whole.items() if count or name in _ALWAYS]
    rows = [[route, *_counts(ledger.as_dict(), shown)] for route, ledger in ledgers.items()]
    if len(rows) > 1:
        rows.append(["total", *_counts(whole, shown)])
    columns = [Column("route", fold=True), *(Column(name.replace("_", " "), number=True) for name in shown)]
    print_table(columns, rows, last_is_total=len(rows) > 1, to=sys.stderr)


def _counts(columns: Mapping[str, int], shown: list[str]) -> list[str]:
    return [number(columns[name]) for name in shown]


def bills(report: Report) -> list[str]:
    """For each route whose broker bills requests, how many there were, and for each message."""
    return [_bill(route, sum(asked.values()), report.ledgers[route]) for route, asked in report.requests.items()]


def _bill(route: str, requests: int, ledger: Ledger) -> str:
    each = f", {requests / ledger.received:.2g} for each delivery" if ledger.received else ""
    return f"{route}: {plural(requests, 'request')}{each}"
