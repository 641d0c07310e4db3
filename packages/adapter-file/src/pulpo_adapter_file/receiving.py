"""Handing messages out, and what becomes ready by itself: delays that are over, leases that ran out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from .codec import ENVELOPE_COLUMNS
from .operations import Receive, Taken
from .timekeeping import SECOND, Now
from .transaction import Reading, Transaction, id_list

#: How many delays and leases that are over one receive makes ready: what a million of them cost is spread.
_CHUNK: Final = 1000

_OUTLOOK: Final = """
SELECT paused_until,
       EXISTS (SELECT 1 FROM message INDEXED BY ready WHERE queue = ?1 AND state = 0),
       (SELECT min(due) FROM message INDEXED BY delayed WHERE queue = ?1 AND state = 1),
       (SELECT min(due) FROM message INDEXED BY reserved WHERE queue = ?1 AND state = 2)
FROM queue WHERE id = ?1
"""
_END_DELAYS: Final = """
UPDATE message SET state = 0, due = NULL, since = NULL WHERE id IN (
    SELECT id FROM message INDEXED BY delayed WHERE queue = ? AND state = 1 AND due <= ? ORDER BY due LIMIT ?
)
"""
_END_LEASES: Final = """
UPDATE message SET state = 0, due = NULL, since = NULL, lost = lost + 1 WHERE id IN (
    SELECT id FROM message INDEXED BY reserved WHERE queue = ? AND state = 2 AND due <= ? ORDER BY due LIMIT ?
)
"""
_BEST: Final = f"""
SELECT {ENVELOPE_COLUMNS}, attempts + 1, lost, generation + 1
FROM message INDEXED BY ready WHERE queue = ? AND state = 0 ORDER BY priority, id LIMIT ?
"""
_RESERVE: Final = """
UPDATE message SET state = 2, due = ?, since = ?, generation = generation + 1, attempts = attempts + 1
WHERE id IN (SELECT value FROM json_each(?))
"""


@attrs.frozen(slots=True)
class Outlook:
    """What a receive would find, and when that changes by itself."""

    paused_until: int
    any_ready: bool
    delay_ends: int | None
    lease_ends: int | None

    def is_paused(self, now: int) -> bool:
        """Whether nothing is handed out."""
        return now < self.paused_until

    def has_any(self, now: int) -> bool:
        """Whether there is anything to hand out."""
        return not self.is_paused(now) and (self.any_ready or self.next_end <= now)

    @property
    def next_end(self) -> float:
        """When the next delay or lease ends; ``inf`` for never."""
        return min(
            float("inf") if self.delay_ends is None else self.delay_ends,
            float("inf") if self.lease_ends is None else self.lease_ends,
        )

    def pause(self, now: int) -> float:
        """Seconds until something becomes ready by itself; ``inf`` for never."""
        moment = self.paused_until if self.is_paused(now) else self.next_end
        return max(0.0, (moment - now) / SECOND)


def outlook(reading: Reading, queue: int) -> Outlook:
    """Three looks at the ends of indexes: as cheap with a million messages as with none."""
    paused_until, any_ready, delay_ends, lease_ends = reading.one(_OUTLOOK, queue)
    return Outlook(paused_until, bool(any_ready), delay_ends, lease_ends)


def nothing_to_take(reading: Reading, operation: Receive) -> Taken | None:
    """The answer to a receive that finds nothing, without a transaction; `None` when one is worth while."""
    desk = operation.desk
    queue = reading.find_queue(desk)
    if queue is None or desk.time.step is not None:
        return None
    now = reading.now(desk).wall
    seen = outlook(reading, queue)
    return None if seen.has_any(now) or desk.time.step is not None else Taken(pause=seen.pause(now))


def receive_all(transaction: Transaction, operations: Sequence[Receive]) -> list[Taken]:
    """Take for each of *operations* what is best, one after the other."""
    return [_receive(transaction, operation) for operation in operations]


def _receive(transaction: Transaction, operation: Receive) -> Taken:
    desk = operation.desk
    queue, now = transaction.make_queue(desk), transaction.now(desk)
    seen = outlook(transaction, queue)
    if not seen.has_any(now.wall):
        desk.is_rich = False
        return Taken(pause=seen.pause(now.wall))
    _make_ready(transaction, queue, seen, now.wall)
    rows = transaction.rows(_BEST, queue, operation.limit)
    desk.is_rich = len(rows) == operation.limit
    _reserve(transaction, rows, now, desk.lease)
    return Taken(rows=rows)


def _make_ready(transaction: Transaction, queue: int, seen: Outlook, now: int) -> None:
    if seen.delay_ends is not None and seen.delay_ends <= now:
        transaction.change(_END_DELAYS, queue, now, _CHUNK)
    if seen.lease_ends is not None and seen.lease_ends <= now:
        transaction.change(_END_LEASES, queue, now, _CHUNK)


def _reserve(transaction: Transaction, rows: Sequence[tuple[Any, ...]], now: Now, lease: int) -> None:
    transaction.change(_RESERVE, now.wall + lease, now.wall, id_list(row[0] for row in rows))
