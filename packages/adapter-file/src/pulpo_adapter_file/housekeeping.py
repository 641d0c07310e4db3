"""What keeps a queue file small and its times right, in small portions between other work."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from .desk import Desk
from .timekeeping import TOLERANCE, Step, span
from .transaction import Transaction

#: Weight of transactions (about pages of log) after which the log is brought into the file.
CHECKPOINT_AFTER: Final = 1500

#: Seconds between two rounds of looking what is to be done.
ROUND: Final = 5.0
SOON: Final = 0.05  # after a round that left something to do

#: Free pages are given back to the file system when there are so many, and when they are so large a part of the file.
_FREE_PAGES: Final = 512
_FREE_PART: Final = 0.25
VACUUM_STEP: Final = 512  # pages; 2 MiB in one transaction

_ARCHIVE_CHUNK: Final = 2000

_TOO_OLD: Final = """
DELETE FROM archive WHERE id IN (
    SELECT id FROM archive INDEXED BY finished WHERE queue = ? AND finished < ? ORDER BY finished LIMIT ?
)
"""
_TOO_MANY: Final = """
DELETE FROM archive WHERE id IN (
    SELECT id FROM archive INDEXED BY finished WHERE queue = ?1 ORDER BY finished, id
    LIMIT min(?2, max(0, (SELECT count(*) FROM archive INDEXED BY finished WHERE queue = ?1) - ?3))
)
"""


# --- the archive ---


def prune_archive(transaction: Transaction, desk: Desk) -> int:
    """Forget a portion of the finished messages that are beyond the retention; how many were."""
    archive, queue = desk.settings.archive, transaction.find_queue(desk)
    if archive is None or queue is None:
        return 0
    pruned = 0
    if archive.age is not None:
        oldest = transaction.now(desk).wall - span(archive.age)
        pruned += transaction.change(_TOO_OLD, queue, oldest, _ARCHIVE_CHUNK)
    if archive.count is not None:
        pruned += transaction.change(_TOO_MANY, queue, _ARCHIVE_CHUNK, archive.count)
    return pruned


# --- free space ---


def _free_pages(connection: sqlite3.Connection) -> int:
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return free


def _has_room_to_give(connection: sqlite3.Connection, *, every_page: bool) -> bool:
    free = _free_pages(connection)
    total: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return free > 0 if every_page else free >= _FREE_PAGES and free > total * _FREE_PART


def give_room_back(transaction: Transaction, *, every_page: bool = False) -> bool:
    """Give a portion of the free pages back to the file system; whether there is more to give.

    Args:
        every_page: even if there are few: filling them again costs less than fetching new ones.
    """
    connection = transaction.connection
    if not _has_room_to_give(connection, every_page=every_page):
        return False
    portion = min(_free_pages(connection), VACUUM_STEP)
    for _ in range(portion):
        connection.execute("PRAGMA incremental_vacuum(1)")  # of one with N Python's module would do the first step only
    transaction.weight += portion
    return _has_room_to_give(connection, every_page=every_page)


# --- the clock ---

_MOVE_BACK: Final = """
UPDATE message SET due = due - (since - ?1), since = ?1 WHERE state = {state} AND since > ?1 + ?2
"""
_MOVE_FORWARD: Final = """
UPDATE message SET due = due + ?1, since = since + ?1 WHERE state = {state} AND since <= ?2 AND due > ?2
"""
_SPANS: Final = (1, 2)  # delayed, reserved: the states in which a span is running


def follow_the_clock(transaction: Transaction, desks: Iterable[Desk]) -> None:
    """Move the spans that are running with a wall clock that was set, once for all processes."""
    for desk in desks:
        now = transaction.now(desk).wall
        step = desk.time.step
        if step is None:
            continue
        if step.shift < 0:
            end_future_spans(transaction, now)
        elif not _is_known(transaction, step, now):
            for state in _SPANS:
                transaction.change(_MOVE_FORWARD.format(state=state), step.shift, step.before)
            transaction.change("UPDATE meta SET value = ? WHERE key = 'stepped'", now)
        transaction.stirred.update(queue for (queue,) in transaction.rows("SELECT id FROM queue"))


def _is_known(transaction: Transaction, step: Step, now: int) -> bool:
    """Whether another process has moved them for the same step."""
    found = transaction.row("SELECT value FROM meta WHERE key = 'stepped'")
    return found is not None and step.before < found[0] <= now


def end_future_spans(transaction: Transaction, now: int, states: Iterable[int] = _SPANS) -> None:
    """A span cannot have begun in the future: let those that did begin now."""
    for state in states:
        transaction.change(_MOVE_BACK.format(state=state), now, TOLERANCE)


def on_opening(transaction: Transaction, desk: Desk) -> bool:
    """What may have happened while nobody had the file open: the clock was set back; whether it was."""
    now = transaction.now(desk).wall
    found = transaction.row("SELECT value FROM meta WHERE key = 'seen'")
    was_set_back = found is not None and found[0] > now + TOLERANCE
    end_future_spans(transaction, now, _SPANS if was_set_back else (2,))
    return was_set_back


def round_of(transaction: Transaction, desks: Iterable[Desk]) -> bool:
    """A portion of all that is to be done; whether the next round should come soon."""
    more = False
    for desk in desks:
        more = prune_archive(transaction, desk) >= _ARCHIVE_CHUNK or more
        note_the_time(transaction, desk)
    return give_room_back(transaction) or more


def note_the_time(transaction: Transaction, desk: Desk) -> None:
    """Leave for the next one to open the file what time it was."""
    transaction.change("UPDATE meta SET value = ? WHERE key = 'seen'", transaction.now(desk).wall)
