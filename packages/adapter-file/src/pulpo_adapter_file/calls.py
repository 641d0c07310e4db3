"""Asking the writer from a task: the answer, or an error in bounded time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from typing import Any, Final

from pulpo_core import AdapterError, Release, Unavailable

from .desk import Desk
from .operations import Operation, Receipt, Receive, Settle, SettleItem, Taken
from .submission import Submission
from .writer import Writer

#: Overdue calls are looked for so often in their time: one timer for all, instead of one for each.
_LOOKS: Final = 4


class Calls:
    """The way from the tasks of one open queue to the thread that works on the file."""

    def __init__(self, desk: Desk, writer: Writer) -> None:
        self.desk = desk
        self.writer = writer
        self.closed = False
        self._timeout = desk.settings.timeout.total_seconds()
        self._going_on: deque[tuple[Submission, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, operation: Operation) -> Any:
        """The answer to *operation*.

        Raises:
            AdapterError: it could not be done, or not in time; `in_doubt` where it may have been.
            ConfigurationError: the file is not what it should be.
        """
        if self.closed:
            raise AdapterError(f"{self.desk.settings.url} was closed by its holder")
        self.writer.check_process()  # first: in a forked child asyncio knows of no running loop
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        submission = Submission(operation, loop, partial(self._answered, future, operation))
        self.writer.submit(submission)
        self._going_on.append((submission, future))
        if self._timer is None:
            self._set_timer(loop)
        try:
            return await future
        except asyncio.CancelledError:
            self.writer.withdraw(submission)
            raise

    def _answered(self, future: asyncio.Future[Any], operation: Operation, answer: Any) -> None:
        if future.done():  # cancelled, or overdue
            self._give_back(operation, answer)
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _give_back(self, operation: Operation, answer: Any) -> None:
        """What was taken for somebody who does not wait any more goes back at once, and does not count."""
        if not isinstance(operation, Receive) or not isinstance(answer, Taken) or not answer.rows:
            return
        held = [Receipt(self.desk, row[0], row[-1], float("inf")) for row in answer.rows]
        release = Settle(self.desk, [SettleItem(receipt, Release()) for receipt in held])
        self.writer.submit(Submission(release, asyncio.get_running_loop(), _not_waited_for))

    # --- deadlines ---

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._timeout / _LOOKS, self._look_for_overdue, loop)

    def _look_for_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        latest = time.monotonic() - self._timeout
        while self._going_on and (self._going_on[0][1].done() or self._going_on[0][0].at < latest):
            submission, future = self._going_on.popleft()
            if not future.done():
                future.set_exception(self._overdue(submission))
        if self._going_on:
            self._set_timer(loop)

    def _overdue(self, submission: Submission) -> Unavailable:
        in_doubt = not self.writer.withdraw(submission)
        what = "the disk did not answer" if in_doubt else "other processes held its lock"
        return Unavailable(f"queue file {self.desk.settings.path}: {what} for {self._timeout:g} s", in_doubt=in_doubt)

    def close(self) -> None:
        """Take no more calls; those that go on are answered."""
        self.closed = True


def _not_waited_for(answer: Any) -> None:
    """If it was not released, the lease ends by itself."""
