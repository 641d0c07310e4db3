"""An event loop that runs what is ready in an order drawn by a seed, and threads that live in its virtual time."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from itertools import count
from typing import Any

import attrs

from pulpo_core.application.places import Places
from pulpo_core.application.threads import Job
from pulpo_core.testing import START, Stuck, VirtualLoop

from .fate import Fate

#: No life is longer, in virtual time: more means that something is tried for ever.
LIFETIME = timedelta(days=3)

#: No life takes more rounds of the loop; most take a few thousand. More means that something goes round in circles.
MOST_ROUNDS = 40_000


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have one order in every process."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, loop: SeededLoop, **options: Any) -> None:
        self.number = next(loop.numbers)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class SeededLoop(VirtualLoop):
    """Virtual time, and a seed that says which of the tasks that are ready goes first.

    Only the order among tasks is drawn: callbacks keep theirs, as asyncio promises.

    Attributes:
        on_step: called after each round of whatever was ready.
    """

    def __init__(self, seed: int, on_step: Callable[[], None] = lambda: None) -> None:
        self.numbers = count(1)
        self.on_step = on_step
        self._rounds = 0
        self._chance = random.Random(f"order {seed}")
        super().__init__(START, LIFETIME)
        self.set_task_factory(lambda loop, coro, **options: NumberedTask(coro, loop=self, **options))

    def _run_once(self) -> None:
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            self._rounds = 0  # as many again to clean up
            raise Stuck(f"{MOST_ROUNDS:,} rounds of the loop, and {self.elapsed()} of virtual time")
        self._mix()
        super()._run_once()  # type: ignore[misc] # the one place where the order of what is ready can be drawn
        self.on_step()

    def _mix(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined] # as above
        places = [place for place, handle in enumerate(ready) if _is_step(handle)] if len(ready) > 1 else []
        if len(places) > 1:
            steps = [ready[place] for place in places]
            self._chance.shuffle(steps)
            for place, step in zip(places, steps, strict=True):
                ready[place] = step


def _is_step(handle: asyncio.Handle) -> bool:
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)  # type: ignore[attr-defined] # there is no other way to tell


@attrs.define(eq=False)
class SimulatedThreads:
    """Takes the place of `pulpo_core.application.threads.Threads`: threads whose time is virtual, so that runs repeat.

    A call is made at the end of the time that its thread takes, all at once.
    """

    fate: Fate
    size: int
    on_exhausted: Callable[[], None]
    abandoned: int = 0
    closed: bool = False
    places: Places = attrs.field(init=False, default=attrs.Factory(lambda self: Places(self.size), takes_self=True))
    _busy: int = 0
    _waiting: deque[Job] = attrs.field(factory=deque)

    @property
    def exhausted(self) -> bool:
        return self.abandoned >= self.size

    def submit(self, call: Callable[[], Any], context: contextvars.Context) -> Job:
        job = Job(call, context, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._begin()
        return job

    def abandon(self) -> None:
        self.abandoned += 1
        self.places.keep()
        if self.exhausted:
            self.on_exhausted()

    def close(self) -> None:
        self.closed = True

    def _begin(self) -> None:
        while self._waiting and self._busy < self.size:
            job = self._waiting.popleft()
            if job.begin():
                self._busy += 1
                seconds = 10_000.0 if self.fate.happens("thread hangs") else self.fate.span(0.01, 1, 5)
                asyncio.get_running_loop().call_later(seconds, self._end, job)

    def _end(self, job: Job) -> None:
        if self.closed and self.fate.chance(0.5):
            return  # the process has ended before
        job.run()
        self._busy -= 1
        job.deliver()
        self._begin()
