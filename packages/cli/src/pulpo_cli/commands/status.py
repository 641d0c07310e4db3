"""`pulpo status`: what the workers on this host are doing."""

from __future__ import annotations

from typing import Any

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.control_client import ask_workers
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.output import note, say_json
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import number

_COUNTS = ("received", "acked", "retried", "buried", "in_hand")

_COLUMNS = (
    Column("worker", number=True),
    Column("phase"),
    Column("route", fold=True),
    Column("paused"),
    *(Column(name.replace("_", " "), number=True) for name in _COUNTS),
)


@click.command(cls=Command)
@json_option
def status(*, as_json: bool) -> int:
    """Show the workers of this user on this host: their routes, what became of deliveries, what is paused.

    With --json one line for each worker.
    """
    workers = ask_workers("status")
    if as_json:
        for worker in workers:
            say_json(worker)
    elif workers:
        print_table(_COLUMNS, [_row(worker, route) for worker in workers for route in worker["routes"]])
    else:
        note("no worker is running")
    return errors.DONE


def _row(worker: dict[str, Any], route: dict[str, Any]) -> tuple[str, ...]:
    ledger = route["ledger"] or dict.fromkeys(_COUNTS, 0)
    return (
        str(worker["pid"]),
        worker["phase"],
        route["name"],
        "paused" if route["paused"] else "",
        *(number(ledger[name]) for name in _COUNTS),
    )
