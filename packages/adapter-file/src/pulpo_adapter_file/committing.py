"""Doing what was submitted: everything together in one transaction, or one by one where that fails."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from pulpo_core import PulpoError, Unavailable

from .errors import is_damage, translate
from .housekeeping import follow_the_clock
from .operations import Change, Extend, Look, Operation, Publish, Receive, Settle, must_be_flushed
from .publishing import publish_all
from .receiving import receive_all
from .settling import extend_all, settle_all
from .store import Store
from .transaction import Reading, Transaction

T = TypeVar("T")

_log: Final = logging.getLogger("pulpo.adapter.file")


def _change_all(transaction: Transaction, operations: Sequence[Change]) -> list[Any]:
    return [operation.action(transaction) for operation in operations]


#: In which order the kinds of one batch are done: what frees comes before what takes.
_KINDS: Final[Mapping[type, Callable[[Transaction, Sequence[Any]], Sequence[Any]]]] = {
    Extend: extend_all,
    Settle: settle_all,
    Publish: publish_all,
    Change: _change_all,
    Receive: receive_all,
}


#: The kinds that `Committer.do` does.
CHANGES: Final = tuple(_KINDS)


def _by_kind(batch: Sequence[Operation]) -> list[tuple[type, list[Operation]]]:
    """The operations of each kind that there is, in the order of `_KINDS`."""
    same: dict[type, list[Operation]] = {}
    for operation in batch:
        same.setdefault(type(operation), []).append(operation)
    return [(kind, same[kind]) for kind in _KINDS if kind in same]


def _do_kind(transaction: Transaction, kind: type, same: Sequence[Operation]) -> Iterable[tuple[Operation, Any]]:
    return zip(same, _KINDS[kind](transaction, same), strict=True)


class Committer:
    """Works on an open store; whoever calls holds the lock, save for `look`.

    Attributes:
        stirred: the queues that were stirred since somebody last emptied it.
        weight: about how many pages were added to the log since somebody last set it to 0.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stirred: set[int] = set()
        self.weight = 0

    def look(self, operation: Operation) -> Any:
        """The answer to a `Look`, an error as a value; needs no lock."""
        connection = self.store.connection
        assert isinstance(operation, Look), "whatever changes the file needs the lock"
        try:
            connection.execute("BEGIN")
            try:
                return operation.question(Reading(connection))
            finally:
                connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            return self.failed(error)

    def do_alone(self, operation: Operation) -> Any:
        """The answer to *operation*.

        Raises:
            sqlite3.Error: it was not done, unless that is in doubt.
        """
        [answer] = self._do_together([operation])
        return answer

    def do(self, batch: Sequence[Operation]) -> Sequence[Any]:
        """Do all of *batch* in one transaction; where that cannot be, whatever can be, one by one.

        Returns the answer to each, an error as a value.
        """
        try:
            return self._do_together(batch)
        except Exception as error:  # noqa: BLE001 - told to those who asked
            failure = self.failed(error)
        if self.store.damage is not None:
            return [translate(failure, self.store.path) for _ in batch]
        if len(batch) > 1:
            return [answer for operation in batch for answer in self.do([operation])]
        return self._do_with_more_room(batch, failure)

    def _do_with_more_room(self, batch: Sequence[Operation], failure: PulpoError) -> Sequence[Any]:
        """A full disk: what the log takes up can be used again once it is in the file."""
        if isinstance(failure, Unavailable) and not failure.in_doubt and self.checkpoint():
            try:
                return self._do_together(batch)
            except Exception as error:  # noqa: BLE001 - told to those who asked
                failure = self.failed(error)
        return [failure] * len(batch)

    def _do_together(self, batch: Sequence[Operation]) -> Sequence[Any]:
        desks = {operation.desk for operation in batch}

        def work(transaction: Transaction) -> Sequence[Any]:
            follow_the_clock(transaction, desks)
            answers = dict(answer for kind, same in _by_kind(batch) for answer in _do_kind(transaction, kind, same))
            return [answers[operation] for operation in batch]

        answers = self.commit(work, flush=any(map(must_be_flushed, batch)))
        for desk in desks:
            desk.time.forget()
        return answers

    def commit(self, work: Callable[[Transaction], T], *, flush: bool = False) -> T:
        """Do *work* in a transaction; what it returns.

        Args:
            flush: wait until it is on the disk.

        Raises:
            Exception: whatever *work* or SQLite raises; nothing was changed.
        """
        connection = self.store.connection
        self.undo()  # somebody's signal handler may have raised in the midst of the last one
        self.store.synchronous("FULL" if flush else "NORMAL")
        transaction = Transaction(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            if flush:
                self.store.room.make()
            result = work(transaction)
            connection.execute("COMMIT")
        except BaseException:
            self.undo()
            raise
        if flush:
            self.store.room.note()
        transaction.committed()
        self.weight += transaction.weight
        self.stirred |= transaction.stirred
        return result

    def undo(self) -> None:
        """Roll the transaction back that is open, if one is: some errors have rolled it back already."""
        if self.store.connection.in_transaction:
            self.store.connection.execute("ROLLBACK")

    def checkpoint(self) -> bool:
        """Bring the log into the file; whether that could be done now. Later will do as well."""
        self.weight = 0
        try:
            self.store.checkpoint()
        except sqlite3.Error as error:
            self.failed(error)
            return False
        return True

    def failed(self, error: Exception) -> PulpoError:
        """What *error* means; if that the file is damaged, nobody will touch it again."""
        meaning = translate(error, self.store.path)
        if is_damage(error):
            self.store.condemn(meaning)
        elif not isinstance(error, (PulpoError, sqlite3.Error, OSError)):
            _log.error("queue file %s: unexpected error", self.store.path, exc_info=error)
        return meaning
