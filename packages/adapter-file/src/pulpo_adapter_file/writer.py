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
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pulpo_core import ConfigurationError

from .committing import CHANGES, Committer
from .desk import Desk
from .errors import translate
from .housekeeping import CHECKPOINT_AFTER, ROUND, SOON, on_opening, round_of
from .locking import FileLock
from .operations import Look, Operation, Receive, makes_file
from .receiving import nothing_to_take
from .store import Store
from .submission import Answer, Submission, deliver
from .transaction import Reading, Transaction
from .wakeup import Bell

_log: Final = logging.getLogger(__name__)

#: So many operations share one transaction: beyond this others would wait longer than the flush saves.
_MOST: Final = 1000


class Writer:
    """See above. Making one is free: the thread starts, and the file is opened, with the first operation."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self.pid = os.getpid()
        self._timeout = timeout
        self._lock = FileLock(path)
        self._bell = Bell(path)
        self._inbox: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._mutex = threading.Lock()  # for taking and withdrawing, and for the start
        self._listeners: dict[object, tuple[Desk, asyncio.AbstractEventLoop, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._on_end: Callable[[], None] = _nothing
        # From here on the thread's alone.
        self._pending: deque[Submission] = deque()
        self._ending = False
        self._committer: Committer | None = None
        self._worked = False  # since the last round of housekeeping
        self._next_round = 0.0

    # --- from any loop ---

    def check_process(self) -> None:
        """Refuse to work for a forked child.

        Raises:
            ConfigurationError: this is a process that was forked from the one that opened the file.
        """
        if self.pid != os.getpid():
            raise ConfigurationError(
                f"queue file {self.path} was opened before this process was forked; open the queue in the child, "
                "or spawn it"
            )

    def submit(self, submission: Submission) -> None:
        """Let the thread do it; the answer comes to `Submission.on_answer`."""
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
        """Call *on_stir* in *loop* whenever this process has stirred the desk's queue."""
        self._listeners[key] = (desk, loop, on_stir)

    def stop_listening(self, key: object) -> None:
        """Undo `listen`."""
        self._listeners.pop(key, None)

    @property
    def is_damaged(self) -> bool:
        """Whether the file cannot be used any more as it was opened."""
        committer = self._committer
        return committer is not None and committer.store.damage is not None

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
        while not self._ending:
            self._accept(self._inbox.get())
            self._gather()
            while self._pending:
                self._work()
        self._close()
        self._on_end()

    def _gather(self) -> None:
        """Move what was submitted meanwhile to the pending."""
        while not self._inbox.empty():  # nobody else takes from it
            self._accept(self._inbox.get_nowait())

    def _accept(self, submission: Submission | None) -> None:
        if submission is None:
            self._ending = True
        else:
            self._pending.append(submission)

    def _work(self) -> None:
        try:
            committer = self._opened()
            self._answer_looks(committer)
            if self._pending:
                self._answer_changes(committer)
            self._keep_house(committer)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and the thread lives
            deliver([(submission, translate(error, self.path)) for submission in self._take()])

    def _opened(self) -> Committer:
        if self._committer is None:
            desk = self._pending[0].operation.desk
            create = any(makes_file(submission.operation) for submission in self._pending)
            committer = Committer(Store.open(self.path, self._lock, create=create, timeout=self._timeout))
            self._alone(committer, lambda transaction: on_opening(transaction, desk))
            self._committer = committer
        return self._committer

    def _take(self, *kinds: type) -> list[Submission]:
        """The pending of *kinds*, or of all: from now on they cannot be withdrawn."""
        taken: list[Submission] = []
        rest: deque[Submission] = deque()
        with self._mutex:
            for submission in self._pending:
                if len(taken) == _MOST or (kinds and not isinstance(submission.operation, kinds)):
                    rest.append(submission)
                elif submission.is_wanted:
                    submission.taken = True
                    taken.append(submission)
        self._pending = rest
        return taken

    # --- looking: needs no lock, and stands in nobody's way ---

    def _answer_looks(self, committer: Committer) -> None:
        if not any(_is_worth_a_look(submission.operation) for submission in self._pending):
            return
        committer.store.check(locked=False)
        kinds = {type(submission.operation) for submission in self._pending}
        if Look in kinds:
            deliver([(submission, committer.look(submission)) for submission in self._take(Look)])
        if kinds <= {Look, Receive}:  # else the lock is taken anyway
            deliver(self._take_nothing(Reading(committer.store.connection)))

    def _take_nothing(self, reading: Reading) -> list[Answer]:
        """The answers to the pending receives that find nothing."""
        answers: list[Answer] = []
        for submission in list(self._pending):
            operation = submission.operation
            nothing = nothing_to_take(reading, operation) if isinstance(operation, Receive) else None
            if nothing is not None:
                self._pending.remove(submission)
                answers.append((submission, nothing))
        return answers

    # --- changing: under the lock, everything pending in one transaction ---

    def _answer_changes(self, committer: Committer) -> None:
        with self._lock:
            self._gather()
            committer.store.check(locked=True)
            answers = committer.do(self._take(*CHANGES))
        self._worked = True
        stirred, committer.stirred = committer.stirred, set()
        listeners = list(self._listeners.values())
        deliver(answers, [(loop, on_stir) for desk, loop, on_stir in listeners if desk.queue_id in stirred])
        if stirred:
            self._bell.ring(stirred)

    # --- keeping house: after the answers ---

    def _keep_house(self, committer: Committer) -> None:
        if committer.weight >= CHECKPOINT_AFTER:
            with self._lock:
                committer.store.check(locked=True)
                committer.checkpoint()
        if self._worked and time.monotonic() >= self._next_round:
            self._worked = False
            desks = [desk for desk, _, _ in list(self._listeners.values())]
            more = self._alone(committer, lambda transaction: round_of(transaction, desks))
            self._next_round = time.monotonic() + (SOON if more else ROUND)

    def _alone(self, committer: Committer, work: Callable[[Transaction], bool]) -> bool:
        """Do something that nobody waits for; where it cannot be done now, later will do."""
        try:
            with self._lock.within(self._timeout):
                return committer.commit(work)
        except Exception as error:  # noqa: BLE001 - as above
            committer.failed(error)
            return False

    def _close(self) -> None:
        committer, self._committer = self._committer, None
        if committer is not None:
            try:
                with self._lock:  # however long others hold it: who closes without it checkpoints without it
                    committer.store.close()
            except Exception:  # noqa: BLE001 - nothing that was confirmed depends on it
                _log.warning("queue file %s was not closed in order", self.path, exc_info=True)
        self._bell.close()
        self._lock.close()


def _is_worth_a_look(operation: Operation) -> bool:
    return isinstance(operation, Look) or (isinstance(operation, Receive) and not operation.desk.is_rich)


def _nothing() -> None:
    """Nobody waits for the end."""
