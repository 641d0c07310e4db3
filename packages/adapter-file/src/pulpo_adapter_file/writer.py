"""The one thread of this process that works on a queue file: everything pending goes into one commit.

All open queues of one file share a `Writer`. Tasks submit operations and wait; the thread takes
the lock, then takes everything that has been submitted by then, does it in one transaction, and
answers all of it with one wake-up of each loop. So the more there is to do, the less each costs,
without anybody having to ask for batches.

An operation that was not taken yet when its time is over is withdrawn: it is certain that it was
not done. One that was taken is in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from pulpo_core import ConfigurationError, PulpoError

from . import housekeeping
from .desk import Desk
from .errors import is_temporary, translate
from .locking import FileLock
from .operations import Change, Extend, Look, Operation, Publish, Receive, Settle, makes_file, must_be_flushed
from .publishing import publish_all
from .receiving import nothing_to_take, receive_all
from .settling import extend_all, settle_all
from .store import Store
from .transaction import Reading, Transaction
from .wakeup import Bell

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

#: So many operations share one transaction: beyond this others would wait longer than the flush saves.
_MOST: Final = 1000


def _change_all(transaction: Transaction, operations: Sequence[Change]) -> list[Any]:
    return [operation.action(transaction) for operation in operations]


#: In which order the kinds of one batch are done: what frees comes before what takes.
_KINDS: Final[Sequence[tuple[type, Callable[[Transaction, Sequence[Any]], Sequence[Any]]]]] = (
    (Extend, extend_all),
    (Settle, settle_all),
    (Publish, publish_all),
    (Change, _change_all),
    (Receive, receive_all),
)


@attrs.define(slots=True, eq=False)
class Submission:
    """One operation on its way.

    Attributes:
        on_answer: called in *loop* with the answer or the error, once.
        taken: the thread has begun with it: from here on withdrawing it leaves it in doubt.
        withdrawn: nobody waits for it any more.
        at: when it was submitted, in real seconds.
    """

    operation: Operation
    loop: asyncio.AbstractEventLoop
    on_answer: Callable[[Any], None]
    taken: bool = False
    withdrawn: bool = False
    at: float = attrs.field(factory=time.monotonic)


class Writer:
    """See above. Made free of cost: the thread starts, and the file is opened, with the first operation."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self.pid = os.getpid()
        self._timeout = timeout
        self._lock = FileLock(path)
        self._bell = Bell(path)
        self._inbox: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._pending: deque[Submission] = deque()
        self._mutex = threading.Lock()  # for taking and withdrawing
        self._listeners: dict[object, tuple[Desk, asyncio.AbstractEventLoop, Callable[[], None]]] = {}
        self._store: Store | None = None
        self._thread: threading.Thread | None = None
        self._weight = 0
        self._worked = False  # since the last round of housekeeping
        self._next_round = 0.0
        self._stirred: set[int] = set()
        self._on_end: Callable[[], None] = _nothing

    # --- from any loop ---

    def submit(self, submission: Submission) -> None:
        """Let the thread do it; the answer comes to `Submission.on_answer`.

        Raises:
            ConfigurationError: this is a process that was forked from the one that opened the file.
        """
        if self.pid != os.getpid():
            raise forked(self.path)
        if self._thread is None:
            self._start()
        self._inbox.put(submission)

    def _start(self) -> None:
        with self._mutex:
            if self._thread is None:
                # A daemon: a lock that another process never gives back must not keep this one from ending.
                self._thread = threading.Thread(target=self._main, name=f"pulpo {self.path.name}", daemon=True)
                self._thread.start()

    def withdraw(self, submission: Submission) -> bool:
        """Take *submission* back; `False` if it was begun already."""
        with self._mutex:
            submission.withdrawn = True
            return not submission.taken

    def listen(self, key: object, desk: Desk, loop: asyncio.AbstractEventLoop, on_stir: Callable[[], None]) -> None:
        """Call *on_stir* in *loop* whenever the desk's queue was stirred by this process."""
        self._listeners[key] = (desk, loop, on_stir)

    def stop_listening(self, key: object) -> None:
        """Undo `listen`."""
        self._listeners.pop(key, None)

    @property
    def is_damaged(self) -> bool:
        """Whether the file cannot be used any more as it was opened."""
        return self._store is not None and self._store.damage is not None

    def stop(self, on_end: Callable[[], None]) -> None:
        """Let the thread finish what is pending, close the file, end, and call *on_end*."""
        self._on_end = on_end
        if self._thread is None:
            on_end()
        else:
            self._inbox.put(None)

    def abandon(self) -> None:
        """In a forked child: never touch the file again, and hold none of its locks."""
        self._lock.close()

    # --- the thread ---

    def _main(self) -> None:
        going_on = True
        while going_on:
            going_on = self._gather(wait=True)
            while self._pending:
                self._work()
        self._close()
        self._on_end()

    def _gather(self, *, wait: bool = False) -> bool:
        """Move what was submitted to the pending; `False` once the thread is to end."""
        going_on = True
        with contextlib.suppress(queue.Empty):
            submission = self._inbox.get() if wait else self._inbox.get_nowait()
            while True:
                if submission is None:
                    going_on = False
                else:
                    self._pending.append(submission)
                submission = self._inbox.get_nowait()
        if not going_on and not wait:
            self._inbox.put(None)  # for the main loop to see
        return going_on

    def _work(self) -> None:
        try:
            store = self._opened()
            store.check()
            self._look(store)
            if self._pending:
                self._change(store)
            self._keep_house(store)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            self._fail(self._take(), error)

    def _opened(self) -> Store:
        if self._store is None:
            desk = self._pending[0].operation.desk
            create = any(makes_file(submission.operation) for submission in self._pending)
            self._store = Store.open(self.path, self._lock, create=create, timeout=self._timeout)
            self._stirred.clear()
            self._alone(self._store, lambda transaction: housekeeping.on_opening(transaction, desk))
        return self._store

    def _take(self, *kinds: type) -> list[Submission]:
        """The pending of *kinds*, or all: from now on they cannot be withdrawn."""
        taken: list[Submission] = []
        rest: list[Submission] = []
        with self._mutex:
            for submission in self._pending:
                wanted = not kinds or isinstance(submission.operation, kinds)
                if wanted and len(taken) < _MOST:
                    if not submission.withdrawn:
                        submission.taken = True
                        taken.append(submission)
                else:
                    rest.append(submission)
        self._pending = deque(rest)
        return taken

    # --- looking: no lock, no transaction of ours in anybody's way ---

    def _look(self, store: Store) -> None:
        if all(isinstance(submission.operation, Publish) for submission in self._pending):
            return
        answers: list[tuple[Submission, Any]] = []
        reading = Reading(store.connection)
        for submission in self._take(Look):
            answers.append((submission, self._answer_look(store, reading, submission)))
        for submission in list(self._pending):
            operation = submission.operation
            nothing = nothing_to_take(reading, operation) if isinstance(operation, Receive) else None
            if nothing is not None:
                self._pending.remove(submission)
                answers.append((submission, nothing))
        self._answer(answers)

    def _answer_look(self, store: Store, reading: Reading, submission: Submission) -> Any:
        operation = submission.operation
        assert isinstance(operation, Look)
        store.connection.execute("BEGIN")
        try:
            return operation.question(reading)
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            return self._translated(error)
        finally:
            store.connection.execute("COMMIT")

    # --- changing: under the lock, everything pending in one transaction ---

    def _change(self, store: Store) -> None:
        with self._lock.held():
            self._gather()
            store.check()
            batch = self._take(Extend, Settle, Publish, Change, Receive)
            answers = self._do(store, batch)
        self._tell(answers)

    def _do(self, store: Store, batch: Sequence[Submission]) -> list[tuple[Submission, Any]]:
        try:
            return self._do_together(store, batch)
        except Exception as error:  # noqa: BLE001 - told to those who asked
            self._look_for_damage(store, error)
            if len(batch) == 1 or store.damage is not None:
                return [(submission, self._translated(error)) for submission in batch]
            self._make_room(store, error)
        # One of them, or all of them together, cannot be done: what can be is done, one by one.
        return [answer for submission in batch for answer in self._do(store, [submission])]

    def _do_together(self, store: Store, batch: Sequence[Submission]) -> list[tuple[Submission, Any]]:
        flush = any(must_be_flushed(submission.operation) for submission in batch)
        answers: list[tuple[Submission, Any]] = []
        desks = {submission.operation.desk for submission in batch}

        def work(transaction: Transaction) -> None:
            for desk in desks:
                transaction.now(desk)
            housekeeping.follow_the_clock(transaction, desks)
            for kind, do_all in _KINDS:
                same = [submission for submission in batch if type(submission.operation) is kind]
                if same:
                    answers.extend(zip(same, do_all(transaction, [each.operation for each in same]), strict=True))

        self._commit(store, work, flush=flush)
        for desk in desks:
            desk.time.forget()
        return answers

    def _commit(self, store: Store, work: Callable[[Transaction], T], *, flush: bool = False) -> T:
        connection = store.connection
        store.synchronous("FULL" if flush else "NORMAL")
        transaction = Transaction(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(transaction)
            transaction.finish()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors have rolled back already
                connection.execute("ROLLBACK")
            raise
        transaction.committed()
        self._weight += transaction.weight
        self._stirred |= transaction.stirred
        self._worked = True
        return result

    def _look_for_damage(self, store: Store, error: Exception) -> None:
        if isinstance(error, sqlite3.Error):
            meaning = translate(error, self.path)
            if isinstance(meaning, ConfigurationError):
                store.damage = meaning

    def _make_room(self, store: Store, error: Exception) -> None:
        """A full disk: bring the log into the file, so that its room can be used again."""
        if isinstance(error, sqlite3.Error) and is_temporary(error, self.path):
            with contextlib.suppress(sqlite3.Error):
                store.checkpoint()

    # --- answering ---

    def _tell(self, answers: Sequence[tuple[Submission, Any]]) -> None:
        """Answer, and ring for everybody who waits for what was stirred."""
        stirred, self._stirred = self._stirred, set()
        if stirred:
            self._bell.ring(stirred)
        self._answer(answers, stirred)

    def _answer(self, answers: Iterable[tuple[Submission, Any]], stirred: set[int] | None = None) -> None:
        calls: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
        for submission, answer in answers:
            calls.setdefault(submission.loop, []).append(_bound(submission.on_answer, answer))
        if stirred:
            for desk, loop, on_stir in list(self._listeners.values()):
                if desk.queue_id in stirred:
                    calls.setdefault(loop, []).append(on_stir)
        _call(calls)

    def _fail(self, submissions: Sequence[Submission], error: Exception) -> None:
        if self._store is not None:
            self._look_for_damage(self._store, error)
        self._answer([(submission, self._translated(error)) for submission in submissions])

    def _translated(self, error: Exception) -> PulpoError:
        if not isinstance(error, (PulpoError, sqlite3.Error, OSError)):
            _log.error("queue file %s: unexpected error", self.path, exc_info=error)
        return translate(error, self.path)

    # --- keeping house ---

    def _keep_house(self, store: Store) -> None:
        if self._weight >= housekeeping.CHECKPOINT_AFTER:
            self._weight = 0
            with self._lock.held():
                store.checkpoint()
        if self._worked and time.monotonic() >= self._next_round:
            self._worked = False
            desks = [desk for desk, _, _ in list(self._listeners.values())]
            more = self._alone(store, lambda transaction: housekeeping.round_of(transaction, desks))
            self._next_round = time.monotonic() + (housekeeping.SOON if more else housekeeping.ROUND)

    def _alone(self, store: Store, work: Callable[[Transaction], bool]) -> bool:
        """Do something that nobody waits for; if it cannot be done now, later will do."""
        try:
            with self._lock.held():
                return self._commit(store, work)
        except sqlite3.Error as error:
            self._look_for_damage(store, error)
            return False

    def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            try:
                with self._lock.held(timeout=self._timeout):
                    store.close()
            except (PulpoError, sqlite3.Error, OSError):  # nothing confirmed depends on it
                _log.warning("queue file %s was not closed in order", self.path, exc_info=True)
        self._bell.close()
        self._lock.close()


def _nothing() -> None:
    """Nobody waits for the end."""


def _bound(function: Callable[[Any], None], argument: Any) -> Callable[[], None]:
    return lambda: function(argument)


def _call(calls: Mapping[asyncio.AbstractEventLoop, Sequence[Callable[[], None]]]) -> None:
    for loop, functions in calls.items():
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits for these any more
            loop.call_soon_threadsafe(_call_each, functions)


def _call_each(functions: Sequence[Callable[[], None]]) -> None:
    for function in functions:
        function()


def forked(path: Path) -> ConfigurationError:
    """The refusal to use in a child what its parent opened."""
    return ConfigurationError(
        f"queue file {path} was opened before this process was forked; open the queue in the child, or spawn it"
    )
