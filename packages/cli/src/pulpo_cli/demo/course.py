"""The course of a demo: publish, run to the end or until somebody stops it, and add everything up."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from pulpo_core import (
    Ack,
    Backoff,
    Dispatcher,
    Manager,
    Message,
    Policy,
    PulpoError,
    QueueStats,
    Record,
    Report,
    Route,
    Tally,
    Until,
    open_publisher_sync,
    open_queue,
)
from pulpo_core.events import Event, Settled

from .book import Book
from .sources import SourceFile
from .work import handlers

#: Parsing holds Python's global lock: more at once would only wait for each other.
_AT_ONCE: Final = 4

_POLICY: Final = Policy(
    max_attempts=5, backoff=Backoff(base=timedelta(milliseconds=400), factor=2, cap=timedelta(seconds=2))
)

#: Short, so that what a killed run had in hand comes back soon.
_LEASE: Final = "10s"

#: When nothing comes for 15 s, longer than the lease and than any backoff, what is missing is in other hands.
_PATIENCE: Final = Until(max_empty_polls=75, poll_interval=timedelta(milliseconds=200))

_BURIED_SHOWN: Final = 1000


@attrs.frozen
class Folder:
    """Where a demo keeps its things."""

    path: Path

    @property
    def url(self) -> str:
        """Its queue."""
        return f"file://{quote(str(self.path))}/demo.db?queue=demo"

    @property
    def book(self) -> Path:
        """What was counted."""
        return self.path / "counted.ndjson"

    @property
    def _note(self) -> Path:
        return self.path / "demo.json"

    def remember(self, files: int) -> None:
        """Note that so many files are in the queue: from now on the demo can be resumed."""
        self._note.write_text(json.dumps({"files": files}), encoding="utf-8")

    def files(self) -> int | None:
        """How many files are in the demo; `None` when there is none to resume."""
        try:
            return int(json.loads(self._note.read_text(encoding="utf-8"))["files"])
        except FileNotFoundError:
            return None


@attrs.frozen(kw_only=True)
class Standing:
    """What has come of a demo so far.

    Attributes:
        files: that were published.
        report: of this run.
        left: messages that are still to be handled.
    """

    files: int
    book: Book
    report: Report
    stats: QueueStats
    buried: Sequence[Record]
    elapsed: timedelta

    @property
    def left(self) -> int:
        """Messages that are still to be handled."""
        return left_in(self.stats)

    @property
    def done(self) -> int:
        """Files that are counted or buried."""
        return len(self.book) + (self.stats.buried or 0)

    @property
    def adds_up(self) -> bool:
        """Whether every delivery is in the ledger, and every file was counted, buried, or is still in the queue."""
        missing = self.files - self.done
        return self.report.ledger.balanced and (missing == 0 if self.left == 0 else 0 <= missing <= self.left)


def left_in(stats: QueueStats) -> int:
    """Messages that are still to be handled."""
    return (stats.ready or 0) + (stats.delayed or 0) + (stats.reserved or 0)


def publish(folder: Folder, files: Sequence[SourceFile]) -> None:
    """Put one job for each of *files* into the queue."""
    jobs = [Message(request_type="parse", body=attrs.asdict(file)) for file in files]
    with open_publisher_sync(folder.url) as publisher:
        failed = [answer for answer in publisher.publish_many(jobs) if isinstance(answer, PulpoError)]
    if failed:
        raise failed[0]
    folder.remember(len(files))


async def look(folder: Folder) -> tuple[QueueStats, Sequence[Record]]:
    """What is in the queue, and what was set aside."""
    async with open_queue(folder.url) as queue:
        stats = await queue.stats()
        page = await queue.buried(limit=_BURIED_SHOWN)
        return stats, page.records


class Countdown:
    """Counts what is still to be handled, follow-ups included, and says when there is nothing left."""

    def __init__(self, left: int, on_change: Callable[[Countdown], None]) -> None:
        self.left = left
        self.counted = self.buried = self.retried = 0
        self._on_change = on_change

    def __call__(self, event: Event) -> None:
        """Take note of *event*."""
        if not isinstance(event, Settled):
            return
        match event.tally:
            case Tally.ACKED:
                follow_ups = event.settlement.follow_ups if isinstance(event.settlement, Ack) else ()
                self.left += len(follow_ups) - 1
                self.counted += event.request_type == "count"
            case Tally.BURIED:
                self.left -= 1
                self.buried += 1
            case Tally.RETRIED:
                self.retried += 1
            case _:
                return
        self._on_change(self)


def run(folder: Folder, book: Book, *, left: int, show: Callable[[Countdown], None]) -> Report:
    """Handle the *left* messages, until there is none or somebody stops it by a signal."""
    warnings.simplefilter("ignore", SyntaxWarning)  # of the code that is parsed, which is not ours
    warnings.simplefilter("ignore", DeprecationWarning)

    def on_change(countdown: Countdown) -> None:
        show(countdown)
        if countdown.left <= 0:
            dispatcher.stop()

    route = Route(f"{folder.url}&lease={_LEASE}", handlers(book), name="demo", policy=_POLICY, concurrency=_AT_ONCE)
    dispatcher = Dispatcher(route, until=_PATIENCE, observers=(Countdown(left, on_change),))
    return Manager(dispatcher).execute()
