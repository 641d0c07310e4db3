"""Makes times to run keep what was told about them, both ways.

*Not too short.* The time to run of a job is its publisher's choice, and costs a round trip to ask
for. So every delivery is told the lease of the queue's URL, and jobs that are still in hand after a
moment are asked for theirs. Where it is shorter than the lease, the job is touched until the lease
that was told is over. Jobs that are done at once, which are nearly all, cost nothing.

*Not too long.* beanstalkd ends a time to run by a timer of the connection, and up to 1.12 that timer
is lost when it fires within the very microsecond of the deadline, which is often: then a job stays
reserved for as long as its connection says nothing. So a connection that holds something whose time
is over says something, which sets the timer anew.
"""

from __future__ import annotations

import asyncio
import functools
from operator import methodcaller
from typing import Any, Final

import greenstalk

from pulpo_core import Clock

from .lanes import Holding, Lanes, by_lane, note_stats

#: Seconds between looks; a quarter of the shortest time to run that beanstalkd knows.
TICK: Final = 0.25

#: A job is touched once this part of its time to run has passed.
TOUCH_AFTER: Final = 1 / 3

#: Seconds after its time to run at which a job is given up, whatever beanstalkd says about it.
GIVE_UP_AFTER: Final = 2.0


class Keeper:
    """Looks after what is in hand; at rest while there is nothing."""

    def __init__(self, *, ttr: float, clock: Clock, lanes: Lanes) -> None:
        self._ttr = ttr
        self._clock = clock
        self._lanes = lanes
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def rouse(self, seconds: float = TICK) -> None:
        """Look in so many *seconds*, or earlier if that is planned."""
        if self._loop is None:  # asked once: finding the running loop costs a system call on Python 3.11
            self._loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > self._loop.time() + seconds:
            self.close()
            self._timer = self._loop.call_later(seconds, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        for holding in self._lanes.holdings():
            if now >= self._end_of(holding) + GIVE_UP_AFTER:
                holding.lose()
        in_hand = self._lanes.holdings()
        self._ask([each for each in in_hand if not each.being_asked and now - each.taken_at >= TICK])
        self._ask([each for each in in_hand if now >= self._end_of(each)])
        self._touch([each for each in in_hand if self._is_due(each, now)], now)
        if in_hand:
            self.rouse(max(TICK, min(self._next_look(each) for each in in_hand) - now))

    def _end_of(self, holding: Holding) -> float:
        """When its time to run is over, as far as it is known, unless it is touched."""
        return holding.taken_at + (self._ttr if holding.ttr is None else holding.ttr)

    def _next_look(self, holding: Holding) -> float:
        unclear = holding.ttr is None or holding.ttr < self._ttr
        return holding.taken_at if unclear else self._end_of(holding)

    def _is_due(self, holding: Holding, now: float) -> bool:
        ttr = holding.ttr
        if ttr is None or ttr >= self._ttr or now >= holding.deadline:
            return False
        return now - holding.taken_at >= ttr * TOUCH_AFTER

    def _ask(self, holdings: list[Holding]) -> None:
        for lane, group in by_lane(holdings).items():
            commands = [methodcaller("stats_job", each.id) for each in group]
            lane.connection.ask(commands, then=functools.partial(_learned, group))
            for each in group:
                each.being_asked = True

    def _touch(self, holdings: list[Holding], now: float) -> None:
        for lane, group in by_lane(holdings).items():
            commands = [methodcaller("touch", each.job) for each in group]
            lane.connection.ask(commands, then=functools.partial(_touched, group))
            for each in group:
                each.taken_at = now  # if it fails, the connection is gone, or the job is


def _learned(group: list[Holding], answers: list[Any]) -> None:
    for holding, answer in zip(group, answers, strict=True):
        note_stats(holding, answer)


def _touched(group: list[Holding], answers: list[Any]) -> None:
    for holding, answer in zip(group, answers, strict=True):
        if isinstance(answer, greenstalk.NotFoundError):
            holding.lose()
