"""Keeps jobs ours for the lease that was told, though their time to run is shorter.

The time to run of a job is its publisher's choice, and costs a round trip to ask for. So every
delivery is told the lease of the queue's URL, and jobs that are still in hand after a moment are
asked for theirs. Where it is shorter than the lease, the job is touched until the lease that was
told is over. Jobs that are done at once, which are nearly all, cost nothing.
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


class Keeper:
    """Looks after what is in hand; at rest while there is nothing to do."""

    def __init__(self, *, ttr: float, clock: Clock, lanes: Lanes) -> None:
        self._ttr = ttr
        self._clock = clock
        self._lanes = lanes
        self._timer: asyncio.TimerHandle | None = None

    def rouse(self) -> None:
        """Something came in."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        in_hand, now = self._lanes.holdings(), self._clock.monotonic()
        self._learn([each for each in in_hand if not each.being_asked and now - each.taken_at >= TICK])
        self._touch([each for each in in_hand if self._is_short(each) and _is_due(each, now)], now)
        if any(each.ttr is None or self._is_short(each) for each in in_hand):
            self.rouse()

    def _is_short(self, holding: Holding) -> bool:
        return holding.ttr is not None and holding.ttr < self._ttr

    def _learn(self, holdings: list[Holding]) -> None:
        for lane, group in by_lane(holdings).items():
            asked = lane.connection.ask([methodcaller("stats_job", each.id) for each in group])
            asked.add_done_callback(functools.partial(_learned, group))
            for each in group:
                each.being_asked = True

    def _touch(self, holdings: list[Holding], now: float) -> None:
        for lane, group in by_lane(holdings).items():
            asked = lane.connection.ask([methodcaller("touch", each.job) for each in group])
            asked.add_done_callback(functools.partial(_touched, group))
            for each in group:
                each.taken_at = now  # if it fails, the connection is gone, or the job is


def _is_due(holding: Holding, now: float) -> bool:
    return holding.ttr is not None and now - holding.taken_at >= holding.ttr * TOUCH_AFTER and now < holding.deadline


def _learned(group: list[Holding], asked: asyncio.Future[list[Any]]) -> None:
    for holding, answer in zip(group, asked.result(), strict=True):
        note_stats(holding, answer)


def _touched(group: list[Holding], asked: asyncio.Future[list[Any]]) -> None:
    for holding, answer in zip(group, asked.result(), strict=True):
        if isinstance(answer, greenstalk.NotFoundError):
            holding.lose()
