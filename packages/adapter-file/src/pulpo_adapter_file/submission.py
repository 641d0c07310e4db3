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


@attrs.define(slots=True, eq=False)
class Submission:
    """One operation on its way.

    Attributes:
        on_answer: called in *loop* with the answer, or with the error as a value, once.
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


def deliver(
    answers: Iterable[Answer], stirs: Iterable[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = ()
) -> None:
    """Give every answer to the one who asked, and call *stirs*, with one wake-up of each loop."""
    answers_of: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    stirs_of: dict[asyncio.AbstractEventLoop, list[Callable[[], None]]] = {}
    for answer in answers:
        answers_of.setdefault(answer[0].loop, []).append(answer)
    for loop, stir in stirs:
        stirs_of.setdefault(loop, []).append(stir)
    for loop in answers_of.keys() | stirs_of.keys():
        with contextlib.suppress(RuntimeError):  # it was closed: nobody waits there any more
            loop.call_soon_threadsafe(_arrive, answers_of.get(loop, ()), stirs_of.get(loop, ()))


def _arrive(answers: Sequence[Answer], stirs: Sequence[Callable[[], None]]) -> None:
    for submission, answer in answers:
        submission.on_answer(answer)
    for stir in stirs:
        stir()
