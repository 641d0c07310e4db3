"""Asking the writer from a task: the answer, or an error in bounded time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Final

from pulpo_core import AdapterError, Release, Unavailable

from .desk import Desk
from .operations import Operation, Receipt, Settle, SettleItem, Taken
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
        self._going_on: deque[Submission] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, operation: Operation) -> asyncio.Future[Any]:
        """Ask for *operation*; await what is returned for the answer. Who stops waiting withdraws it.

        Raises:
            AdapterError: it could not be done, or not in time; `in_doubt` where it may have been.
            ConfigurationError: the file is not what it should be.
        """
        self._check_open()
        self.writer.check_process()  # first: in a forked child asyncio knows of no running loop
        loop = asyncio.get_running_loop()
        submission = Submission(operation, loop.create_future(), self._give_back)
        self.writer.submit(submission)
        while self._going_on and self._going_on[0].future.done():
            self._going_on.popleft()  # it holds on to what was published
        self._going_on.append(submission)
        if self._timer is None:
            self._set_timer(loop)
        return submission.future

    def do_here(self, operation: Operation) -> Any:
        """As `Writer.do_here`."""
        self._check_open()
        return self.writer.do_here(operation)

    def _check_open(self) -> None:
        if self.closed:
            raise AdapterError(f"{self.desk.settings.url} was closed by its holder")

    def _give_back(self, answer: Any) -> None:
        """What was taken for somebody who does not wait any more goes back at once, and does not count."""
        if not isinstance(answer, Taken) or not answer.rows:
            return
        held = [Receipt(self.desk, row[0], row[-1], float("inf")) for row in answer.rows]
        release = Settle(self.desk, [SettleItem(receipt, Release()) for receipt in held])
        self.writer.submit(Submission(release, asyncio.get_running_loop().create_future(), _nothing))

    # --- deadlines ---

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._timeout / _LOOKS, self._look_for_overdue, loop)

    def _look_for_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        latest = time.monotonic() - self._timeout
        while self._going_on and (self._going_on[0].future.done() or self._going_on[0].at < latest):
            submission = self._going_on.popleft()
            if not submission.future.done():
                submission.future.set_exception(self._overdue(submission))
        if self._going_on:
            self._set_timer(loop)

    def _overdue(self, submission: Submission) -> Unavailable:
        in_doubt = not self.writer.withdraw(submission)
        what = "the disk did not answer" if in_doubt else "others held its lock"
        return Unavailable(f"queue file {self.desk.settings.path}: {what} for {self._timeout:g} s", in_doubt=in_doubt)

    def close(self) -> None:
        """Take no more calls; those that go on are answered."""
        self.closed = True


def _nothing(answer: Any) -> None:
    """If it was not released, the lease ends by itself."""
