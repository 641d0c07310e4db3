"""Where a queue file is worked on, by one thread at a time: under its lock, and with everything that belongs to it.

Two threads meet here: the writer's, which does whatever was submitted to it, and any other that does
something of its own if it need not wait (`Workplace.do_if_free`). Between processes there is the file's
lock, between the threads there is the turn. The writer waits for the lock first and takes its turn then;
the others take their turn, and then the lock if it is free, by a descriptor of their own. So nobody waits
for the turn longer than the work of another takes, however long other processes keep the lock.

Beside the work itself: who waits is woken (`Workplace.tell`), and the file is kept small and quick
(`Workplace.keep_house`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pulpo_core import AdapterError, PulpoError, Unavailable

from .committing import Committer
from .desk import Desk
from .housekeeping import CHECKPOINT_AFTER, ROUND, SOON, on_opening, round_of
from .locking import FileLock
from .operations import Operation
from .store import Store
from .submission import Answer, deliver
from .transaction import Transaction
from .wakeup import Bell, Ear

_log: Final = logging.getLogger("pulpo.adapter.file")


class Workplace:
    """One queue file, as this process works on it.

    Attributes:
        turn: held by the thread that touches the open file.
        committer: does the work; `None` until `open`, and after `close`, which are the writer's.
    """

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self.turn = threading.Lock()
        self.committer: Committer | None = None
        self._timeout = timeout
        self._lock = FileLock(path)  # the writer's
        self._lock_here = FileLock(path)  # of all others, in their turn
        self._visitor: int | None = None  # which of them has the turn now
        self._bell = Bell(path)
        self._listeners: dict[object, tuple[Desk, asyncio.AbstractEventLoop, Ear]] = {}
        self._worked = False  # since the last round of housekeeping
        self._next_round = 0.0

    def open(self, desk: Desk, *, create: bool) -> Committer:
        """Open the file for *desk*; see `Store.open`."""
        committer = Committer(Store.open(self.path, self._lock, create=create, timeout=self._timeout))
        self._alone(committer, lambda transaction: on_opening(transaction, desk))
        self.committer = committer
        return committer

    @property
    def is_damaged(self) -> bool:
        """Whether the file cannot be used any more as it was opened."""
        committer = self.committer
        return committer is not None and committer.store.damage is not None

    # --- the writer's work ---

    @contextmanager
    def locked(self, committer: Committer) -> Iterator[None]:
        """Keep everybody else from writing; waits for other processes as long as it takes.

        Raises:
            ConfigurationError: the file is not the one that was opened any more.
        """
        with self._lock, self.turn:
            committer.store.check(locked=True)
            yield

    def let_go(self) -> None:
        """Undo what was begun by a thread that somebody's signal handler has torn away from here."""
        with self.turn:
            if self.committer is not None:
                self.committer.undo()
            if self._lock_here.is_held:
                self._lock_here.release()

    # --- the work of others ---

    def check_thread(self) -> None:
        """Refuse a signal handler that has interrupted its thread here: it would wait for itself.

        Raises:
            AdapterError: the calling thread does something here already.
        """
        if self._visitor == threading.get_ident():
            raise AdapterError(f"queue file {self.path}: a signal handler cannot publish while its thread does")

    def do_if_free(self, operation: Operation) -> Any:
        """The answer to *operation*, which changes the file.

        `None`, with nothing done, if somebody else works on it, or if something is wrong: whoever does it again in
        the ordinary way will hear what.

        Raises:
            Unavailable: it is in doubt whether it was done.
        """
        if self.turn.locked():
            return None
        with self.turn:  # no exception of a signal handler gets in between taking it and giving it back
            self._visitor = threading.get_ident()
            try:
                return None if self.committer is None else self._visit(self.committer, operation)
            finally:
                self._visitor = None

    def _visit(self, committer: Committer, operation: Operation) -> Any:
        try:
            answer = self._do_alone(committer, operation) if self._can_begin(committer) else None
        finally:
            self._lock_here.release()
        if answer is not None:
            self._tell(committer)
        return answer

    def _can_begin(self, committer: Committer) -> bool:
        try:
            if self._lock_here.take_if_free():
                committer.store.check(locked=True)
                return True
        except PulpoError:
            pass
        except OSError as error:
            if error.errno is None:  # not the system's: a signal handler has raised it, such as a `TimeoutError`
                raise
        return False

    def _do_alone(self, committer: Committer, operation: Operation) -> Any:
        try:
            return committer.do_alone(operation)
        except sqlite3.Error as error:
            failure = committer.failed(error)
            if isinstance(failure, Unavailable) and failure.in_doubt:
                raise failure from error
            return None

    # --- telling others ---

    def listen(self, key: object, desk: Desk, loop: asyncio.AbstractEventLoop, ear: Ear) -> None:
        """Let *ear* hear in *loop* whenever this process has stirred the desk's queue."""
        self._listeners[key] = (desk, loop, ear)

    def stop_listening(self, key: object) -> None:
        """Undo `listen`."""
        self._listeners.pop(key, None)

    def tell(self, committer: Committer, answers: Sequence[Answer]) -> None:
        """Deliver *answers* to work that was done, and wake those who wait for what it has stirred."""
        with self.turn:
            self._tell(committer, answers)

    def _tell(self, committer: Committer, answers: Sequence[Answer] = ()) -> None:
        self._worked = True
        stirred, committer.stirred = committer.stirred, set()
        listeners = list(self._listeners.values())
        # Whoever begins to wait looks into the file after that, and so sees what was stirred before.
        waiting = [(loop, ear.stir) for desk, loop, ear in listeners if ear.is_waiting and desk.queue_id in stirred]
        deliver(answers, waiting)
        if stirred:
            self._bell.ring(stirred)

    # --- keeping house: after the answers ---

    @property
    def is_house_due(self) -> bool:
        """Whether `keep_house` would find something to do."""
        committer = self.committer
        return committer is not None and (
            committer.weight >= CHECKPOINT_AFTER or (self._worked and time.monotonic() >= self._next_round)
        )

    def keep_house(self, committer: Committer) -> None:
        """Do what is due."""
        if committer.weight >= CHECKPOINT_AFTER:
            with self.locked(committer):
                committer.checkpoint()
        if self._worked and time.monotonic() >= self._next_round:
            self._worked = False
            desks = [desk for desk, _, _ in list(self._listeners.values())]
            more = self._alone(committer, lambda transaction: round_of(transaction, desks))
            self._next_round = time.monotonic() + (SOON if more else ROUND)

    def _alone(self, committer: Committer, work: Callable[[Transaction], bool]) -> bool:
        """Do something that nobody waits for; where it cannot be done now, later will do."""
        try:
            with self._lock.within(self._timeout), self.turn:
                return committer.commit(work)
        except Exception as error:  # noqa: BLE001 - later will do, and damage is told to those who ask next
            committer.failed(error)
            return False

    # --- the end ---

    def close(self) -> None:
        """Close the file, and let go of all that belongs to it."""
        committer, self.committer = self.committer, None
        if committer is not None:
            try:
                with self._lock, self.turn:  # however long others hold it: who closes without it checkpoints without it
                    committer.store.close()
            except Exception:  # noqa: BLE001 - nothing that was confirmed depends on it
                _log.warning("queue file %s was not closed in order", self.path, exc_info=True)
        self._bell.close()
        self.abandon()

    def abandon(self) -> None:
        """Hold none of its locks; all there is to do in a forked child, which never touches the file again."""
        self._lock.close()
        self._lock_here.close()
