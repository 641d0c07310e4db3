"""`pulpo import-legacy`: bring pulpo-messaging's directories into a file queue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import rich_click as click

from pulpo_adapter_file import ImportReport
from pulpo_adapter_file import import_legacy as bring
from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option, yes_option
from pulpo_cli.output import complain, confirmed, note, say_json
from pulpo_cli.tables import print_facts
from pulpo_cli.units import number, plural

#: What became of the files, in the order in which people ask.
_COUNTS: Final = ("queued", "delayed", "locked", "failed", "known", "finished", "removed")


@click.command(cls=Command)
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@queue_option
@click.option("--dry-run", is_flag=True, help="Read everything, change nothing.")
@click.option("--remove", is_flag=True, help="Remove each file whose message is safely in the queue.")
@yes_option
@json_option
def import_legacy(directory: Path, queue: str, *, dry_run: bool, remove: bool, yes: bool, as_json: bool) -> int:
    """Import a directory of pulpo-messaging.

    Brings its messages, queued, delayed, locked and failed ones, into a file queue. Stop its runners first. DIR is not
    changed, unless --remove says so. Running it again imports nothing twice. The status is 1 if a file could not be
    read; such files are left where they are.
    """
    if remove and not dry_run and not confirmed(f"Remove what was imported from {directory}?", yes=yes):
        note("nothing was imported")
        return errors.FAILED
    report = asyncio.run(bring(directory, queue, dry_run=dry_run, remove=remove))
    if as_json:
        say_json(_document(report))
    else:
        if counts := {name: number(getattr(report, name)) for name in _COUNTS if getattr(report, name)}:
            print_facts(counts)
        note(f"{plural(report.imported, 'message')} {'would be imported' if dry_run else 'imported'}")
    for each in report.unreadable:
        complain(f"{each.path}: {errors.one_line(each.why)}")
    return errors.FAILED if report.unreadable else errors.DONE


def _document(report: ImportReport) -> dict[str, Any]:
    return {
        **{name: getattr(report, name) for name in _COUNTS},
        "imported": report.imported,
        "unreadable": [{"path": str(each.path), "why": each.why} for each in report.unreadable],
        "dry_run": report.dry_run,
    }
