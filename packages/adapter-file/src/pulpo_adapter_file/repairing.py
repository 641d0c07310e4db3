"""What the inspector asks: counting, looking, kicking, deleting, purging, pausing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from pulpo_core import AdapterError, MessageNotFound, Page, Peek, QueueStats, Record, State

from .codec import ENVELOPE_COLUMNS, decode
from .desk import Desk
from .errors import not_found
from .receiving import outlook
from .schema import BURIED, DELAYED, READY, RESERVED
from .timekeeping import FOREVER, moment_of, span
from .transaction import Reading, Transaction, id_list

#: So many rows change in one transaction: others take their turn between two of them.
CHUNK: Final = 5000

_COUNTS: Final = """
SELECT (SELECT count(*) FROM message INDEXED BY ready    WHERE queue = ?1 AND state = 0),
       (SELECT count(*) FROM message INDEXED BY delayed  WHERE queue = ?1 AND state = 1 AND due > ?2),
       (SELECT count(*) FROM message INDEXED BY delayed  WHERE queue = ?1 AND state = 1 AND due <= ?2),
       (SELECT count(*) FROM message INDEXED BY reserved WHERE queue = ?1 AND state = 2 AND due > ?2),
       (SELECT count(*) FROM message INDEXED BY reserved WHERE queue = ?1 AND state = 2 AND due <= ?2),
       (SELECT count(*) FROM message INDEXED BY buried   WHERE queue = ?1 AND state = 3)
"""
#: Ids are in order of arrival, so the lowest is the oldest; what a publisher dated back is not looked for.
_OLDEST: Final = """
SELECT published FROM message WHERE id = (
    SELECT min(id) FROM (
        SELECT min(id) AS id FROM message INDEXED BY ready WHERE queue = ?1 AND state = 0
        UNION ALL SELECT min(id) FROM message INDEXED BY delayed WHERE queue = ?1 AND state = 1 AND due <= ?2
        UNION ALL SELECT min(id) FROM message INDEXED BY reserved WHERE queue = ?1 AND state = 2 AND due <= ?2
    )
)
"""

_RECORD: Final = f"SELECT {ENVELOPE_COLUMNS}, state, due, attempts, reason, error FROM message"
_BY_ID: Final = f"{_RECORD} WHERE id = ? AND queue = ?"
_NEXT_READY: Final = f"""
{_RECORD} WHERE id IN (
    SELECT id FROM (SELECT id FROM message INDEXED BY ready
                    WHERE queue = ?1 AND state = 0 ORDER BY priority, id LIMIT 1)
    UNION ALL SELECT id FROM (SELECT id FROM message INDEXED BY delayed
                              WHERE queue = ?1 AND state = 1 AND due <= ?2 ORDER BY priority, id LIMIT 1)
    UNION ALL SELECT id FROM (SELECT id FROM message INDEXED BY reserved
                              WHERE queue = ?1 AND state = 2 AND due <= ?2 ORDER BY priority, id LIMIT 1)
) ORDER BY priority, id LIMIT 1
"""
_NEXT_DELAYED: Final = f"""
{_RECORD} INDEXED BY delayed WHERE queue = ?1 AND state = 1 AND due > ?2 ORDER BY due, id LIMIT 1
"""
_OLDEST_BURIED: Final = f"{_RECORD} INDEXED BY buried WHERE queue = ?1 AND state = 3 ORDER BY due, id LIMIT ?2"
_FINISHED: Final = """
SELECT id, priority, published, expiration, uid, extra, body, attempts FROM archive WHERE id = ? AND queue = ?
"""


# --- looking ---


def stats(reading: Reading, desk: Desk) -> QueueStats:
    """Count every message at one instant; what is due by now counts as ready."""
    queue, now = reading.need_queue(desk), reading.now(desk).wall
    ready, delayed, due, reserved, lapsed, buried = reading.one(_COUNTS, queue, now)
    oldest = reading.row(_OLDEST, queue, now)
    return QueueStats(
        ready=ready + due + lapsed,
        delayed=delayed,
        reserved=reserved,
        buried=buried,
        oldest_age=timedelta(microseconds=max(0, now - oldest[0])) if oldest else None,
        paused=outlook(reading, queue).is_paused(now),
    )


def peek(reading: Reading, desk: Desk, kind: Peek, name: str | None) -> Record | None:
    """One message, finished ones included as far as they are kept."""
    queue, now = reading.need_queue(desk), reading.now(desk).wall
    if kind is Peek.ID:
        return _by_id(reading, queue, name or "", now)
    if kind is Peek.BURIED:
        row = reading.row(_OLDEST_BURIED, queue, 1)
    else:
        row = reading.row(_NEXT_READY if kind is Peek.READY else _NEXT_DELAYED, queue, now)
    return None if row is None else _record(row, now)


def _by_id(reading: Reading, queue: int, name: str, now: int) -> Record | None:
    number = id_of(name)
    if number is None:
        return None
    row = reading.row(_BY_ID, number, queue)
    if row is not None:
        return _record(row, now)
    finished = reading.row(_FINISHED, number, queue)
    if finished is None:
        return None
    return Record(id=name, state=State.GONE, envelope=decode(finished), attempts=finished[7])


def _record(row: tuple[Any, ...], now: int) -> Record:
    state, due, attempts, reason, error = row[7:]
    delayed = state == DELAYED and due > now
    return Record(
        id=str(row[0]),
        state=_state(state, due, now),
        envelope=decode(row, not_before=due if delayed else None),
        attempts=attempts,
        reason=reason,
        error=error,
        buried_at=moment_of(due) if state == BURIED else None,
        ready_at=moment_of(due) if delayed else None,
    )


_STATES: Final = {READY: State.READY, DELAYED: State.DELAYED, RESERVED: State.RESERVED, BURIED: State.BURIED}


def _state(state: int, due: int | None, now: int) -> State:
    """The state a receive would find it in: nobody rewrites a row just because its time has come."""
    if state in {DELAYED, RESERVED} and due is not None and due <= now:
        return State.READY
    return _STATES[state]


def buried(reading: Reading, desk: Desk, limit: int) -> Page:
    """The oldest burials."""
    queue, now = reading.need_queue(desk), reading.now(desk).wall
    rows = reading.rows(_OLDEST_BURIED, queue, limit + 1)
    partial = len(rows) > limit
    records = [_record(row, now) for row in rows[:limit]]
    return Page(records=records, partial=partial, note="more are buried than are shown" if partial else "")


def id_of(name: str) -> int | None:
    """The number that *name* is; `None` if it cannot name any message."""
    return int(name) if name.isascii() and name.isdecimal() and len(name) < 19 else None


# --- repairing ---

_KICK: Final = """
UPDATE message SET state = 0, due = NULL, since = NULL, attempts = 0, lost = 0, reason = NULL, error = NULL
WHERE id IN (SELECT value FROM json_each(?))
"""
_BURIED_IDS: Final = "SELECT id FROM message INDEXED BY buried WHERE queue = ? AND state = 3 ORDER BY due, id LIMIT ?"
_STATES_OF: Final = """
SELECT message.id, state, due FROM json_each(?) AS asked CROSS JOIN message ON message.id = asked.value WHERE queue = ?
"""
_DELETE: Final = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"

_PURGES: Final = {
    State.READY: (
        "SELECT id FROM message INDEXED BY ready WHERE queue = ? AND state = 0 AND ? LIMIT ?",
        "SELECT id FROM message INDEXED BY delayed WHERE queue = ? AND state = 1 AND due <= ? LIMIT ?",
        "SELECT id FROM message INDEXED BY reserved WHERE queue = ? AND state = 2 AND due <= ? LIMIT ?",
    ),
    State.DELAYED: ("SELECT id FROM message INDEXED BY delayed WHERE queue = ? AND state = 1 AND due > ? LIMIT ?",),
    State.BURIED: ("SELECT id FROM message INDEXED BY buried WHERE queue = ? AND state = 3 AND ? LIMIT ?",),
}

PURGEABLE: Final = frozenset(_PURGES)


def kick(transaction: Transaction, desk: Desk, names: Sequence[str]) -> int:
    """Make exactly these buried messages ready.

    Raises:
        MessageNotFound: one of them is not buried here; nothing was kicked.
    """
    queue = transaction.need_queue(desk)
    numbers = {name: id_of(name) for name in names}
    found = {
        number: state
        for number, state, _ in transaction.rows(
            _STATES_OF, id_list(n for n in numbers.values() if n is not None), queue
        )
    }
    for name, number in numbers.items():
        if found.get(number) != BURIED:
            raise MessageNotFound(f"no message {name} is buried here; nothing was kicked")
    return _kick(transaction, queue, [number for number in numbers.values() if number is not None])


def kick_oldest(transaction: Transaction, desk: Desk, limit: int) -> int:
    """Make the *limit* oldest burials ready."""
    queue = transaction.need_queue(desk)
    return _kick(transaction, queue, [number for (number,) in transaction.rows(_BURIED_IDS, queue, limit)])


def _kick(transaction: Transaction, queue: int, numbers: Sequence[int]) -> int:
    transaction.stirred.add(queue)
    return transaction.change(_KICK, id_list(numbers))


def delete(transaction: Transaction, desk: Desk, names: Sequence[str]) -> list[AdapterError | None]:
    """Remove messages that nobody is handling."""
    queue, now = transaction.need_queue(desk), transaction.now(desk).wall
    numbers = [id_of(name) for name in names]
    rows = transaction.rows(_STATES_OF, id_list(n for n in numbers if n is not None), queue)
    found = {number: _state(state, due, now) for number, state, due in rows}
    answers: list[AdapterError | None] = []
    doomed: set[int] = set()
    for name, number in zip(names, numbers, strict=True):
        if number is None or number in doomed or number not in found:
            answers.append(not_found(name))
        elif found[number] is State.RESERVED:
            answers.append(AdapterError(f"message {name} is being handled; try again when it is not", temporary=True))
        else:
            doomed.add(number)
            answers.append(None)
    transaction.change(_DELETE, id_list(doomed))
    return answers


def purge(transaction: Transaction, desk: Desk, state: State) -> int:
    """Remove up to `CHUNK` messages of *state*; how many were."""
    queue, now = transaction.need_queue(desk), transaction.now(desk).wall
    for statement in _PURGES[state]:
        doomed = [number for (number,) in transaction.rows(statement, queue, now, CHUNK)]
        if doomed:
            return transaction.change(_DELETE, id_list(doomed))
    return 0


def pause(transaction: Transaction, desk: Desk, duration: timedelta | None) -> None:
    """Hand nothing out for *duration*; `None` for until `resume`."""
    until = FOREVER if duration is None else min(transaction.now(desk).wall + span(duration), FOREVER)
    transaction.change("UPDATE queue SET paused_until = ? WHERE id = ?", until, transaction.make_queue(desk))


def resume(transaction: Transaction, desk: Desk) -> None:
    """Hand out again."""
    queue = transaction.make_queue(desk)
    transaction.change("UPDATE queue SET paused_until = 0 WHERE id = ?", queue)
    transaction.stirred.add(queue)
