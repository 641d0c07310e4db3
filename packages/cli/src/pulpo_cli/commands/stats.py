"""`pulpo stats`: how many messages are where."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import rich_click as click

from pulpo_cli.documents import seconds
from pulpo_cli.errors import one_line
from pulpo_cli.frame import Command
from pulpo_cli.options import interval_option, json_option, queues_of_settings, queues_option
from pulpo_cli.output import at_terminal, complain, say_json
from pulpo_cli.tables import Column, print_facts, print_table
from pulpo_cli.units import NOTHING, number, span
from pulpo_core import AdapterError, Queue, QueueStats, SystemClock, open_queue

_CLEAR: Final = "\x1b[H\x1b[J"  # to the top left corner, and forget what is below

_STATES: Final = ("ready", "delayed", "reserved", "buried")

_COLUMNS: Final = (
    Column("queue", fold=True),
    *(Column(state, number=True) for state in _STATES),
    Column("oldest ready", number=True),
    Column("note", fold=True),
)

#: What was counted in the queue of that URL, or why nothing was.
Counted = tuple[str, QueueStats | AdapterError]


@click.command(cls=Command)
@queues_option
@click.option("--watch", is_flag=True, help="Look again and again, every --interval, until Ctrl-C.")
@interval_option
@json_option
def stats(queues: Sequence[str], *, watch: bool, interval: timedelta, as_json: bool) -> None:
    """Count the messages of queues.

    How many are ready, delayed, reserved and buried, and how long the oldest ready one has waited. Nothing is received.
    With --json one queue is an object, and several are a list of them.
    """
    urls = list(dict.fromkeys(queues)) or queues_of_settings()
    if not watch:
        asyncio.run(_look(urls, as_json=as_json))
        return
    with suppress(KeyboardInterrupt):  # that is how watching ends
        asyncio.run(_watch(urls, interval, as_json=as_json))


async def _look(urls: Sequence[str], *, as_json: bool) -> None:
    async with _opened(urls) as queues:
        _show([(queue.url, await queue.stats()) for queue in queues], as_json=as_json)


async def _watch(urls: Sequence[str], interval: timedelta, *, as_json: bool) -> None:
    async with _opened(urls) as queues:
        while True:
            counted = [(queue.url, await _count(queue)) for queue in queues]
            if at_terminal(sys.stdout) and not as_json:
                click.echo(_CLEAR, nl=False)
            _show(counted, as_json=as_json)
            sys.stdout.flush()
            await SystemClock().sleep(interval.total_seconds())


@asynccontextmanager
async def _opened(urls: Sequence[str]) -> AsyncGenerator[list[Queue]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_queue(url)) for url in urls]


async def _count(queue: Queue) -> QueueStats | AdapterError:
    """What is in *queue*; a broker that is away for now is no reason to end."""
    try:
        return await queue.stats()
    except AdapterError as error:
        if not error.temporary:
            raise
        return error


def _show(counted: Sequence[Counted], *, as_json: bool) -> None:
    if as_json:
        documents = [_document(*each) for each in counted]
        say_json(documents[0] if len(documents) == 1 else documents)
    elif len(counted) > 1:
        print_table(_COLUMNS, [_row(*each) for each in counted])
    else:
        [(url, stats)] = counted
        if isinstance(stats, AdapterError):
            complain(_problem(stats))
        else:
            print_facts(_facts(url, stats))


def _problem(error: AdapterError) -> str:
    return one_line(str(error))


def _row(url: str, counted: QueueStats | AdapterError) -> list[str]:
    if isinstance(counted, AdapterError):
        return [url, *[NOTHING] * (len(_STATES) + 1), _problem(counted)]
    counts = [number(getattr(counted, state)) for state in _STATES]
    notes = [text for text, holds in (("paused", counted.paused), ("approximate", not counted.exact)) if holds]
    return [url, *counts, span(counted.oldest_age), ", ".join(notes)]


def _document(url: str, counted: QueueStats | AdapterError) -> dict[str, Any]:
    if isinstance(counted, AdapterError):
        return {"queue": url, "error": _problem(counted)}
    return {
        "queue": url,
        **{state: getattr(counted, state) for state in _STATES},
        "oldest_age_seconds": seconds(counted.oldest_age),
        "exact": counted.exact,
        "paused": counted.paused,
    }


def _facts(url: str, counted: QueueStats) -> dict[str, str]:
    counts = [number(getattr(counted, state)) for state in _STATES]
    width = max(map(len, counts))
    lines = {"queue": url} | {name: count.rjust(width) for name, count in zip(_STATES, counts, strict=True)}
    if counted.oldest_age is not None:
        lines["oldest ready"] = span(counted.oldest_age)
    if not counted.exact:
        lines["note"] = "numbers are the broker's approximation"
    if counted.paused:
        lines["paused"] = "nothing is handed out"
    return lines
