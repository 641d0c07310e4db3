"""`pulpo resume`: undo `pulpo pause`."""

from __future__ import annotations

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.pausing import Turn, subject_options


@click.command(cls=Command)
@subject_options
@json_option
def resume(route: str | None, *, queue: str | None, as_json: bool) -> int:
    """Receive again from a route, or a queue, that was paused."""
    resumed = Turn(do="resume", done="resumed", on_queue=lambda opened: opened.resume(), as_json=as_json)
    return resumed.take(route, queue)
