"""The one thread of this process that works on a queue file: everything pending goes into one commit.

All open queues of one file share a `Writer`. Tasks submit operations and wait; the thread takes
the lock, then takes everything that has been submitted by then, does it in one transaction, and
answers all of it with one wake-up of each loop. So the more there is to do, the less each costs,
without anybody having to ask for batches.

An operation that was not taken yet when its time is over is withdrawn: it is certain that it was
not done. One that was taken is in doubt.

A thread that would only wait for the answer may do its operation itself while nobody else is at the
file (`Writer.do_here`): with nothing to share a commit with, the way to the writer's thread and back
would be all that it gets.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pulpo_core import ConfigurationError

from .committing import CHANGES, Committer
from .errors import translate
from .operations import Look, Operation, Receive, makes_file
from .receiving import nothing_to_take
from .submission import Answer, Submission, deliver
from .transaction import Reading
from .workplace import Workplace

#: So many operations share one transaction: beyond this others would wait longer than the flush saves.
_MOST: Final = 1000


class Writer:
    """See above. Making one is free: the thread starts, and the file is opened, with the first operation."""

    def __init__(self, path: Path, *, timeout: float) -> None:
        self.path = path
        self.pid = os.getpid()
        self.workplace = Workplace(path, timeout=timeout)
        self._inbox: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()  # `None`: look what there is to do
        self._mutex = threading.Lock()  # for taking and withdrawing, and for the start
        self._thread: threading.Thread | None = None
        self._on_end: Callable[[], None] = _nothing
        self._ending = False
        self._pending: deque[Submission] = deque()  # the thread's alone

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
        """Let the thread do it; the answer comes to `Submission.arrive`."""
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

    def stop(self, on_end: Callable[[], None]) -> None:
        """Let the thread finish what is pending, close the file, end, and call *on_end*."""
        self._on_end = on_end
        if self._thread is None:
            on_end()
        else:
            self._ending = True
            self._inbox.put(None)

    # --- in the thread of whoever asks ---

    def do_here(self, operation: Operation) -> Any:
        """The answer to *operation*, which changes the file, and is done in the calling thread; any will do.

        Returns `None`, with nothing done, where the writer's thread is needed: to open the file, to wait for others,
        to do together what several ask at once, to say what is wrong. What is begun takes as long as the disk takes.

        Whatever handlers of signals raise meanwhile passes through, and leaves it in doubt whether it was done.

        Raises:
            Unavailable: it is in doubt whether it was done.
            AdapterError: a signal handler asks for it, and its thread does something here already.
        """
        self.check_process()
        self.workplace.check_thread()
        if self._pending or not self._inbox.empty():
            return None
        try:
            answer = self.workplace.do_if_free(operation)
        except BaseException:
            self._inbox.put(None)  # the thread looks whether anything is left as it should not be
            raise
        if self.workplace.is_house_due:
            self._inbox.put(None)  # the caller has better things to do
        return answer

    # --- the thread ---

    def _main(self) -> None:
        while not (self._ending and self._inbox.empty()):
            self._accept(self._inbox.get())
            self._gather()
            self._work()
            while self._pending:
                self._work()
        self.workplace.close()
        self._on_end()

    def _gather(self) -> None:
        """Move what was submitted meanwhile to the pending."""
        while not self._inbox.empty():  # nobody else takes from it
            self._accept(self._inbox.get_nowait())

    def _accept(self, submission: Submission | None) -> None:
        if submission is not None:
            self._pending.append(submission)

    def _work(self) -> None:
        try:
            self.workplace.let_go()
            if self._pending:
                self._answer(self.workplace.committer or self._open())
            if self.workplace.committer is not None:
                self.workplace.keep_house(self.workplace.committer)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and the thread lives
            deliver([(submission, translate(error, self.path)) for submission in self._take()])

    def _answer(self, committer: Committer) -> None:
        if any(_is_worth_a_look(submission.operation) for submission in self._pending):
            with self.workplace.turn:
                self._answer_looks(committer)
        if self._pending:
            self._answer_changes(committer)

    def _open(self) -> Committer:
        create = any(makes_file(submission.operation) for submission in self._pending)
        return self.workplace.open(self._pending[0].operation.desk, create=create)

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
        committer.store.check(locked=False)
        kinds = {type(submission.operation) for submission in self._pending}
        if Look in kinds:
            deliver([(submission, committer.look(submission.operation)) for submission in self._take(Look)])
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
        with self.workplace.locked(committer):
            self._gather()
            taken = self._take(*CHANGES)
            answers = committer.do([submission.operation for submission in taken])
        self.workplace.tell(committer, list(zip(taken, answers, strict=True)))


def _is_worth_a_look(operation: Operation) -> bool:
    return isinstance(operation, Look) or (isinstance(operation, Receive) and not operation.desk.is_rich)


def _nothing() -> None:
    """Nobody waits for the end."""
