"""Brings a directory of pulpo-messaging into a queue file, once.

What was imported is noted in the same transaction, so an import that was interrupted, or is run
again, imports nothing twice. The directory is not changed unless that is asked for, and then a
file is removed only after its message is on the disk.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from pulpo_core import Clock, ConfigurationError, QueueNotFound, SystemClock

from . import legacy
from .calls import Calls
from .desk import Desk
from .filesystem import sync_directory
from .legacy import Found, Legacy, Place, Unreadable
from .operations import Change, Look
from .queue import open_calls
from .schema import BURIED, DELAYED, READY
from .settings import Settings
from .timekeeping import micros
from .transaction import Reading, Transaction

#: So many files are read, and stored in one transaction, at a time.
_CHUNK: Final = 200

_REASON: Final = "legacy-failure"
_ERROR: Final = "archived as a failure by pulpo-messaging, which noted no reason"

_KNOWN: Final = "SELECT source FROM imported WHERE source IN (SELECT value FROM json_each(?))"
_NOTE: Final = "INSERT INTO imported (source, message) VALUES (?, ?)"
_INSERT: Final = """
INSERT INTO message (
    id, queue, state, priority, due, attempts, lost, published, expiration, uid, extra, reason, error, body
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_BODY: Final = "INSERT INTO body (id, content) VALUES (?, ?)"


@attrs.frozen(kw_only=True)
class ImportReport:
    """What became of every file.

    Attributes:
        queued, delayed, locked, failed: messages that were imported, or would be, by where they were found.
        known: messages that an earlier import has brought over.
        finished: files of messages that were handled: they are left alone.
        unreadable: files that are not whole messages: they are left alone.
        removed: files that were removed, since that was asked for.
        dry_run: nothing was done.
    """

    queued: int = 0
    delayed: int = 0
    locked: int = 0
    failed: int = 0
    known: int = 0
    finished: int = 0
    unreadable: Sequence[Unreadable] = ()
    removed: int = 0
    dry_run: bool = False

    @property
    def imported(self) -> int:
        """Messages that were imported, or would be."""
        return self.queued + self.delayed + self.locked + self.failed


async def import_legacy(
    directory: Path | str, url: str, *, dry_run: bool = False, remove: bool = False, clock: Clock | None = None
) -> ImportReport:
    """Bring every unfinished message of pulpo-messaging's *directory* into the queue that *url* names.

    Stop its runners first: what one of them has in hand is imported too, as an attempt that was lost.

    Args:
        dry_run: read everything, change nothing, create nothing.
        remove: remove each file whose message is safely in the queue, now or since an earlier import.

    Raises:
        ConfigurationError: *directory* is not one of pulpo-messaging, or *url* names no file queue.
        Unavailable: the file is in use, or there is no room; what was imported so far stays imported.
    """
    directory, settings = Path(directory), Settings.of(url)
    if not await asyncio.to_thread(_is_legacy, directory):
        raise ConfigurationError(
            f"{directory} is not a directory of pulpo-messaging: it holds no *.message file, no lock and no archive"
        )
    async with open_calls(settings, clock or SystemClock()) as (calls, _):
        work = _Import(calls, dry_run=dry_run, remove=remove and not dry_run)
        return await work.run(directory)


def _is_legacy(directory: Path) -> bool:
    return directory.is_dir() and legacy.is_legacy(directory)


class _Import:
    """One run."""

    def __init__(self, calls: Calls, *, dry_run: bool, remove: bool) -> None:
        self._calls = calls
        self._dry_run = dry_run
        self._remove = remove
        self._counts: Counter[str] = Counter()
        self._unreadable: list[Unreadable] = []

    async def run(self, directory: Path) -> ImportReport:
        files = iter(await asyncio.to_thread(legacy.find, directory))
        while chunk := list(islice(files, _CHUNK)):
            await self._bring(await asyncio.to_thread(self._read, chunk))
        finished = await asyncio.to_thread(legacy.count_finished, directory)
        return ImportReport(
            finished=finished, unreadable=tuple(self._unreadable), dry_run=self._dry_run, **self._counts
        )

    def _read(self, chunk: Sequence[Found]) -> list[Legacy]:
        now = self._calls.desk.clock.now()
        messages: list[Legacy] = []
        for found in chunk:
            message = legacy.read(found, now=now)
            if isinstance(message, Unreadable):
                self._unreadable.append(message)
            elif message is not None:
                messages.append(message)
        return messages

    async def _bring(self, messages: Sequence[Legacy]) -> None:
        if self._dry_run:
            new = await self._unknown(messages)
        else:
            new = await self._calls.ask(
                Change(self._calls.desk, lambda t: _store(t, self._calls.desk, messages), stores=True, makes_file=True)
            )
        self._counts["known"] += len(messages) - len(new)
        self._counts.update(_kind(message, self._calls.desk) for message in new)
        if self._remove:
            self._counts["removed"] += await asyncio.to_thread(_remove, messages)

    async def _unknown(self, messages: Sequence[Legacy]) -> Sequence[Legacy]:
        with suppress(QueueNotFound):
            new: Sequence[Legacy] = await self._calls.ask(
                Look(self._calls.desk, lambda reading: list(_not_imported(reading, messages)))
            )
            return new
        return messages


def _not_imported(reading: Reading, messages: Sequence[Legacy]) -> Iterator[Legacy]:
    known = {source for (source,) in reading.rows(_KNOWN, json.dumps([message.source for message in messages]))}
    for message in messages:
        if message.source not in known:
            known.add(message.source)  # the same message may lie in two places, copied there by hand
            yield message


def _store(transaction: Transaction, desk: Desk, messages: Sequence[Legacy]) -> Sequence[Legacy]:
    queue, now = transaction.make_queue(desk), transaction.now(desk).wall
    new = list(_not_imported(transaction, messages))
    ids = transaction.take_ids(len(new))
    transaction.change_each(
        _INSERT, [_values(name, queue, message, now) for name, message in zip(ids, new, strict=True)]
    )
    large = [(name, message.row.body) for name, message in zip(ids, new, strict=True) if message.row.is_large]
    transaction.change_each(_INSERT_BODY, large)
    transaction.change_each(_NOTE, [(message.source, name) for name, message in zip(ids, new, strict=True)])
    transaction.stirred.add(queue)
    return new


def _values(name: int, queue: int, message: Legacy, now: int) -> tuple[Any, ...]:
    row, place = message.row, message.found.place
    failed, later = place is Place.FAILURE, _is_later(message, now)
    return (
        name,
        queue,
        BURIED if failed else DELAYED if later else READY,
        row.priority,
        message.since if failed else row.not_before if later else None,
        message.attempts,
        int(place is Place.LOCK),
        row.published,
        row.expiration,
        row.uid,
        row.extra,
        _REASON if failed else None,
        _ERROR if failed else None,
        None if row.is_large else row.body,
    )


def _is_later(message: Legacy, now: int) -> bool:
    return message.row.not_before is not None and message.row.not_before > now


def _kind(message: Legacy, desk: Desk) -> str:
    if message.found.place is Place.QUEUE:
        return "delayed" if _is_later(message, micros(desk.clock.now())) else "queued"
    return "locked" if message.found.place is Place.LOCK else "failed"


def _remove(messages: Sequence[Legacy]) -> int:
    removed = 0
    for message in messages:
        with suppress(FileNotFoundError):
            message.found.path.unlink()
            removed += 1
    for folder in {message.found.path.parent for message in messages}:
        sync_directory(folder)
    return removed
