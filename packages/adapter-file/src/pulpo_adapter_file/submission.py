"""One operation on its way from a task to the thread, and its answer on the way back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from .operations import Operation

Answer = tuple["Submission", Any]
Stir = tuple[asyncio.AbstractEventLoop, Callable[[], None]]


@attrs.define(slots=True, eq=False)
class Submission:
    """One operation on its way.

    Attributes:
        future: of the task that waits for the answer; cancelled when that waits no more.
        unwanted: called in the future's loop with an answer for which nobody waits any more.
        taken: the thread has begun with it: from here on withdrawing it leaves it in doubt.
        withdrawn: its time was over before it was taken.
        at: when it was submitted, in real seconds.
    """

    operation: Operation
    future: asyncio.Future[Any]
    unwanted: Callable[[Any], None]
    taken: bool = False
    withdrawn: bool = False
    at: float = attrs.field(factory=time.monotonic)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits for the answer."""
        return not self.withdrawn and not self.future.cancelled()

    def arrive(self, answer: Any) -> None:
        """The answer, or the error as a value, has come; called in the future's loop."""
        if self.future.done():  # cancelled, or overdue
            self.unwanted(answer)
        elif isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


def deliver(answers: Iterable[Answer], stirs: Iterable[Stir] = ()) -> None:
    """Give every answer to the one who asked, and call *stirs*, with one wake-up of each loop."""
    calls: dict[asyncio.AbstractEventLoop, tuple[list[Answer], list[Callable[[], None]]]] = {}
    for answer in answers:
        calls.setdefault(answer[0].future.get_loop(), ([], []))[0].append(answer)
    for loop, stir in stirs:
        calls.setdefault(loop, ([], []))[1].append(stir)
    for loop, (arrivals, rings) in calls.items():
        with contextlib.suppress(RuntimeError):  # it was closed: nobody waits there any more
            loop.call_soon_threadsafe(_arrive, arrivals, rings)


def _arrive(answers: Sequence[Answer], stirs: Sequence[Callable[[], None]]) -> None:
    for submission, answer in answers:
        submission.arrive(answer)
    for stir in stirs:
        stir()
