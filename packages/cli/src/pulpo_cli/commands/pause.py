"""`pulpo pause`: let a route of the workers on this host, or a queue, hand nothing out."""

from __future__ import annotations

from datetime import timedelta

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.options import SPAN, json_option
from pulpo_cli.pausing import Turn, subject_options


@click.command(cls=Command)
@subject_options
@click.option("--for", "duration", type=SPAN, help="With --queue: how long.  [default: until it is resumed]")
@json_option
def pause(route: str | None, *, queue: str | None, duration: timedelta | None, as_json: bool) -> int:
    """Receive no more from a route, in all workers of this user on this host.

    What runs goes on, what waits is given back, and other workers may take it. With --queue nobody anywhere gets
    anything from that queue any more; SQS cannot do that.
    """
    if duration is not None and queue is None:
        raise click.UsageError("--for goes with --queue; a route stays paused until it is resumed, or its worker ends")
    paused = Turn(do="pause", done="paused", on_queue=lambda opened: opened.pause(duration), as_json=as_json)
    return paused.take(route, queue)
