"""Settling and extending: what a delivery may do, as long as its lease is its own.

One fence for everything: the message is reserved, its generation is that of the receipt, and the
lease has not ended by the holder's own monotonic clock. Setting the wall clock therefore takes
nothing from a living holder, and nothing that another may have can be settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from pulpo_core import Ack, Bury, Release, Retry, Settlement

from .codec import stored_text
from .operations import Extend, Receipt, Settle, SettleItem
from .publishing import store
from .schema import RESERVED
from .timekeeping import Now, span
from .transaction import Transaction, id_list

_HELD: Final = """
SELECT message.id, generation, state FROM json_each(?) AS asked CROSS JOIN message ON message.id = asked.value
"""
_EXTEND: Final = "UPDATE message SET due = max(due, ?), since = ? WHERE id = ?"
_ARCHIVE: Final = """
INSERT INTO archive (id, queue, finished, priority, attempts, published, expiration, uid, extra, body)
SELECT id, queue, ?, priority, attempts, published, expiration, uid, extra,
       coalesce(body, (SELECT content FROM body WHERE body.id = message.id))
FROM message WHERE id = ?
"""
_REMOVE: Final = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))"
_RETRY: Final = "UPDATE message SET state = 1, due = ?, since = ?, reason = NULL, error = ? WHERE id = ?"
_RETRY_NOW: Final = "UPDATE message SET state = 0, due = NULL, since = NULL, reason = NULL, error = ? WHERE id = ?"
_BURY: Final = "UPDATE message SET state = 3, due = ?, since = NULL, reason = ?, error = ? WHERE id = ?"
_RELEASE: Final = "UPDATE message SET state = 0, due = NULL, since = NULL, attempts = attempts - 1 WHERE id = ?"

#: A retry cannot be later than the last moment of the calendar, in microseconds.
_LATEST: Final = 253_402_300_799_999_999

_State = tuple[int, int]  # generation, state


def _states(transaction: Transaction, receipts: Sequence[Receipt]) -> Mapping[int, _State]:
    found = transaction.rows(_HELD, id_list(receipt.id for receipt in receipts))
    return {name: (generation, state) for name, generation, state in found}


def _is_held(receipt: Receipt, state: _State | None, now: Now) -> bool:
    return state == (receipt.generation, RESERVED) and receipt.settled is None and now.monotonic < receipt.until


def _was_settled_so(receipt: Receipt, state: _State | None, settlement: Settlement) -> bool:
    """Whether this very receipt was settled in this way before, and nobody has received the message since."""
    return receipt.settled is type(settlement) and (state is None or state[0] == receipt.generation)


def extend_all(transaction: Transaction, operations: Sequence[Extend]) -> list[list[bool]]:
    """Lengthen the leases that are still held."""
    states = _states(transaction, [receipt for operation in operations for receipt in operation.receipts])
    return [_extend(transaction, operation, states) for operation in operations]


def _extend(transaction: Transaction, operation: Extend, states: Mapping[int, _State]) -> list[bool]:
    now = transaction.now(operation.desk)
    held = [_is_held(receipt, states.get(receipt.id), now) for receipt in operation.receipts]
    until = now.wall + operation.desk.lease
    names = [receipt.id for receipt, is_held in zip(operation.receipts, held, strict=True) if is_held]
    transaction.change_each(_EXTEND, [(until, now.wall, name) for name in names])
    return held


@attrs.define(slots=True, eq=False)
class _Work:
    """What is to be done with the messages of one batch, by kind."""

    acks: list[tuple[SettleItem, Settle]] = attrs.field(factory=list)
    others: list[tuple[SettleItem, Settle]] = attrs.field(factory=list)
    settled: dict[Receipt, type[Settlement]] = attrs.field(factory=dict)

    def admit(self, item: SettleItem, operation: Settle, state: _State | None, now: Now) -> bool:
        """Whether *item* is settled, be it now or before."""
        receipt, settlement = item.receipt, item.settlement
        if receipt in self.settled:  # twice in one batch
            return self.settled[receipt] is type(settlement)
        if not _is_held(receipt, state, now):
            return _was_settled_so(receipt, state, settlement)
        self.settled[receipt] = type(settlement)
        (self.acks if type(settlement) is Ack else self.others).append((item, operation))
        return True


def settle_all(transaction: Transaction, operations: Sequence[Settle]) -> list[list[bool]]:
    """Settle what is still held."""
    states = _states(transaction, [item.receipt for operation in operations for item in operation.items])
    work = _Work()
    answers = [
        [
            work.admit(item, operation, states.get(item.receipt.id), transaction.now(operation.desk))
            for item in operation.items
        ]
        for operation in operations
    ]
    _acknowledge(transaction, work.acks)
    for item, operation in work.others:
        effect, now = _EFFECTS[type(item.settlement)], transaction.now(operation.desk)
        effect(transaction, item.receipt.id, item.settlement, now)
        _stir(transaction, item)
    return answers


def _acknowledge(transaction: Transaction, acks: Sequence[tuple[SettleItem, Settle]]) -> None:
    if not acks:
        return
    kept = [
        (transaction.now(operation.desk).wall, item.receipt.id)
        for item, operation in acks
        if operation.desk.settings.archive is not None
    ]
    transaction.change_each(_ARCHIVE, kept)
    transaction.change(_REMOVE, id_list(item.receipt.id for item, _ in acks))
    for item, operation in acks:
        if item.follow_ups:
            store(transaction, operation.desk, item.follow_ups)


def _retry(transaction: Transaction, message: int, retry: Retry, now: Now) -> None:
    delay = span(retry.delay) if retry.delay else 0
    error = stored_text(retry.error) or None
    if delay:
        transaction.change(_RETRY, min(now.wall + delay, _LATEST), now.wall, error, message)
    else:
        transaction.change(_RETRY_NOW, error, message)


def _bury(transaction: Transaction, message: int, burial: Bury, now: Now) -> None:
    transaction.change(_BURY, now.wall, stored_text(burial.reason), stored_text(burial.error), message)


def _release(transaction: Transaction, message: int, _: Release, __: Now) -> None:
    transaction.change(_RELEASE, message)


_EFFECTS: Final[Mapping[type[Settlement], Callable[[Transaction, int, Any, Now], None]]] = {
    Retry: _retry,
    Bury: _bury,
    Release: _release,
}


def _stir(transaction: Transaction, item: SettleItem) -> None:
    queue: Any = item.receipt.desk.queue_id
    if not isinstance(item.settlement, Bury):
        transaction.stirred.add(queue)
