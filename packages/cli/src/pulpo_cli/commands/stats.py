"""`pulpo stats`: how many messages are where."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.options import SPAN, json_option, queue_option
from pulpo_cli.output import at_terminal, say_json
from pulpo_cli.tables import print_facts
from pulpo_cli.units import number, span
from pulpo_core import Queue, QueueStats, SystemClock, open_queue

_CLEAR: Final = "\x1b[H\x1b[J"  # to the top left corner, and forget what is below


@click.command(cls=Command)
@queue_option
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option("--interval", type=SPAN, default="1s", show_default=True, help="How often to look, with --watch.")
@json_option
def stats(queue: str, *, watch: bool, interval: timedelta, as_json: bool) -> None:
    """Count the messages of a queue.

    How many are ready, delayed, reserved and buried, and how long the oldest ready one has waited.
    """
    if not watch:
        asyncio.run(_look(queue, as_json=as_json))
        return
    with suppress(KeyboardInterrupt):  # that is how watching ends
        asyncio.run(_watch(queue, interval, as_json=as_json))


async def _look(url: str, *, as_json: bool) -> None:
    async with open_queue(url) as queue:
        _show(queue, await queue.stats(), as_json=as_json)


async def _watch(url: str, interval: timedelta, *, as_json: bool) -> None:
    async with open_queue(url) as queue:
        while True:
            counted = await queue.stats()
            if at_terminal(sys.stdout) and not as_json:
                click.echo(_CLEAR, nl=False)
            _show(queue, counted, as_json=as_json)
            sys.stdout.flush()
            await SystemClock().sleep(interval.total_seconds())


def _show(queue: Queue, counted: QueueStats, *, as_json: bool) -> None:
    if as_json:
        say_json(_document(queue.url, counted))
    else:
        print_facts(_facts(queue.url, counted))


def _document(url: str, counted: QueueStats) -> dict[str, Any]:
    return {
        "queue": url,
        "ready": counted.ready,
        "delayed": counted.delayed,
        "reserved": counted.reserved,
        "buried": counted.buried,
        "oldest_age_seconds": None if counted.oldest_age is None else counted.oldest_age.total_seconds(),
        "exact": counted.exact,
        "paused": counted.paused,
    }


def _facts(url: str, counted: QueueStats) -> dict[str, str]:
    counts = [number(each) for each in (counted.ready, counted.delayed, counted.reserved, counted.buried)]
    width = max(map(len, counts))
    names = ("ready", "delayed", "reserved", "buried")
    lines = {"queue": url} | {name: count.rjust(width) for name, count in zip(names, counts, strict=True)}
    if counted.oldest_age is not None:
        lines["oldest ready"] = span(counted.oldest_age)
    if not counted.exact:
        lines["note"] = "numbers are the broker's approximation"
    if counted.paused:
        lines["paused"] = "nothing is handed out"
    return lines
