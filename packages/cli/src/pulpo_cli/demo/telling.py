"""What the demo tells at its end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

import attrs

from pulpo_cli.invocation import command_line
from pulpo_cli.output import note, say
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import number, plural, span
from pulpo_core import Ledger

from .course import Folder, Standing

_PACKAGES_SHOWN: Final = 8
_BURIED_SHOWN: Final = 8


def document(folder: Folder, standing: Standing) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "folder": str(folder.path),
        "queue": folder.url,
        "files": standing.files,
        "counted": len(standing.book),
        "buried": standing.stats.buried,
        "left": standing.left,
        "adds_up": standing.adds_up,
        "seconds": round(standing.elapsed.total_seconds(), 3),
        "ledger": standing.report.ledger.as_dict(),
        "total": attrs.asdict(standing.book.total()),
        "packages": {name: attrs.asdict(each) for name, each in standing.book.by_package().items()},
        "set_aside": [{"id": each.id, "reason": each.reason, "error": each.error} for each in standing.buried],
    }


def tell(folder: Folder, standing: Standing) -> None:
    """All of it, for people."""
    _tell_ledger(standing.report.ledger)
    _tell_packages(standing)
    _tell_buried(standing)
    _tell_sum(standing)
    if standing.left:
        note(f"Stopped; nothing is lost. Go on with\n  {command_line('demo', '--resume', str(folder.path))}")
    else:
        _tell_more(folder, standing)


def _tell_ledger(ledger: Ledger) -> None:
    words = {
        "acked": "handled, and acknowledged",
        "retried": "failed on purpose, and came again after a backoff",
        "buried": "set aside with a reason",
        "released": "given back unhandled at the stop",
        "dropped": "dropped",
        "lease_lost": "left to others, after the lease ended",
        "in_doubt": "settled, without an answer from the queue",
        "deferred": "on their way",
        "in_hand": "not settled",
    }
    counts = ledger.as_dict()
    rows = [(number(counts[name]), text) for name, text in words.items() if counts[name]]
    rows.append((number(counts["received"]), "deliveries"))
    print_table([Column("", number=True), Column("")], rows, title="Deliveries", last_is_total=True)


def _tell_packages(standing: Standing) -> None:
    packages = standing.book.by_package()
    rows = [_cells(name, each) for name, each in list(packages.items())[:_PACKAGES_SHOWN]]
    rows.append(_cells(f"all {len(packages)}", standing.book.total()))
    columns = [Column("package"), *(Column(name, number=True) for name in ("files", "lines", "functions", "classes"))]
    say("")
    print_table(columns, rows, title="Largest packages", last_is_total=True)


def _cells(name: str, each: Any) -> tuple[str, ...]:
    return (name, *(number(count) for count in attrs.astuple(each)))


def _tell_buried(standing: Standing) -> None:
    rows = [_why(each.error or "") for each in standing.buried[:_BURIED_SHOWN]]
    if not rows:
        return
    hidden = len(standing.buried) - len(rows)
    say("")
    print_table([Column("file"), Column("reason", fold=True)], rows, title="Set aside")
    if hidden:
        say(f"  and {hidden} more")


def _why(error: str) -> tuple[str, str]:
    """The file's name, and what is wrong with it."""
    place, _, words = error.partition(": ")
    return Path(place).name, words


def _tell_sum(standing: Standing) -> None:
    counted, buried = len(standing.book), standing.stats.buried or 0
    left = standing.files - standing.done
    parts = [f"{number(counted)} counted", f"{number(buried)} set aside", *([f"{number(left)} to do"] if left else [])]
    rate = standing.report.ledger.received / max(standing.elapsed.total_seconds(), 0.001)
    say("")
    say(f"{plural(standing.files, 'file')} = {' + '.join(parts)}")
    say(f"{span(standing.elapsed)}, {rate:,.0f} deliveries a second")


def _tell_more(folder: Folder, standing: Standing) -> None:
    queue = ("--queue", folder.url)
    note(f"\nWhat was set aside:\n  {command_line('buried', 'list', *queue)}")
    if standing.buried:
        note(f"One of them in full:\n  {command_line('buried', 'show', standing.buried[0].id, *queue)}")
    note(f"Put them back to work, and go on:\n  {command_line('buried', 'kick', '--all', *queue)}")
    note(f"  {command_line('demo', '--resume', str(folder.path))}")
    note(f"Clean up:\n  {shlex.join(['rm', '-r', str(folder.path)])}")
