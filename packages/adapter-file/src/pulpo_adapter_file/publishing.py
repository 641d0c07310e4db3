"""Storing messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .codec import NewRow
from .desk import Desk
from .operations import Publish
from .schema import DELAYED, READY
from .transaction import Transaction

_INSERT: Final = (
    "INSERT INTO message (id, queue, state, priority, due, published, expiration, uid, extra, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_BODY: Final = "INSERT INTO body (id, content) VALUES (?, ?)"
_PAGE: Final = 4096


def publish_all(transaction: Transaction, operations: Sequence[Publish]) -> list[Sequence[int]]:
    """Store what *operations* bring, in their order, all with one statement; the ids of each."""
    ids: list[Sequence[int]] = []
    values: list[tuple[Any, ...]] = []
    large: list[tuple[int, bytes]] = []
    for operation in operations:
        ids.append(_collect(transaction, operation.desk, operation.rows, values, large))
    _insert(transaction, values, large)
    return ids


def store(transaction: Transaction, desk: Desk, rows: Sequence[NewRow]) -> Sequence[int]:
    """Store *rows* in the desk's queue, in their order; their ids."""
    values: list[tuple[Any, ...]] = []
    large: list[tuple[int, bytes]] = []
    ids = _collect(transaction, desk, rows, values, large)
    _insert(transaction, values, large)
    return ids


def _collect(
    transaction: Transaction,
    desk: Desk,
    rows: Sequence[NewRow],
    values: list[tuple[Any, ...]],
    large: list[tuple[int, bytes]],
) -> Sequence[int]:
    """Give *rows* their ids, and add what is to be inserted to *values* and *large*."""
    queue, now = transaction.make_queue(desk), transaction.now(desk).wall
    transaction.stirred.add(queue)
    ids = transaction.take_ids(len(rows))
    for name, row in zip(ids, rows, strict=True):
        values.append(_values(name, queue, row, now))
        if row.is_large:
            large.append((name, row.body))
    return ids


def _insert(transaction: Transaction, values: list[tuple[Any, ...]], large: list[tuple[int, bytes]]) -> None:
    transaction.change_each(_INSERT, values)
    if large:
        transaction.change_each(_INSERT_BODY, large)
        transaction.weight += sum(len(body) for _, body in large) // _PAGE


def _values(name: int, queue: int, row: NewRow, now: int) -> tuple[Any, ...]:
    later = row.not_before is not None and row.not_before > now
    return (
        name,
        queue,
        DELAYED if later else READY,
        row.priority,
        row.not_before if later else None,
        now if row.published is None else row.published,
        row.expiration,
        row.uid,
        row.extra,
        None if row.is_large else row.body,
    )
