"""Receiving: one connection waits, the others keep what they caught.

Theory of operation. beanstalkd serves the commands of a connection one after another, so on a
connection that waits in ``reserve`` nothing can be settled. Therefore

* while the tube is dry, one *clean* connection, with nothing in hand, waits. What it catches stays
  with it, and the next catch is made by another clean one: of those that became clean again, or a
  new one. No settlement ever waits behind a reserve, and nobody polls;
* two catches in quick succession mean a backlog: then jobs are taken in growing batches without
  waiting, on a connection that has jobs in hand, right behind their settlements in the same write;
* a batch that does not come back full means that the tube is dry again. DEADLINE_SOON says the
  same: it is answered only when nothing is ready.

With as many connections as are allowed and something in hand on each, the tube is polled.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import timedelta
from operator import methodcaller
from typing import Any, Final

import attrs
import greenstalk

from pulpo_core import AdapterError, Clock, Delivery, Lease

from .attempts import Count, Freshness, count, was_kicked
from .codec import envelope_of, told_lease
from .connection import Dialer, Lost
from .errors import BETRAYALS, Doing, checked, error_of
from .keeper import Keeper
from .lanes import Holding, Lane, Lanes, learn
from .pipeline import Command
from .records import RESERVE_NOW, Records

#: Batches while a backlog is worked off: small at first, since what is asked for in vain costs time too.
FIRST_BATCH: Final = 4
LARGEST_BATCH: Final = 256

#: Seconds between two catches that mean a backlog.
BACKLOG_GAP: Final = 0.002

#: Seconds between polls when no connection is free to wait.
POLL_PAUSE: Final = 0.01

#: Clean connections that are kept for the next catches.
SPARE_LANES: Final = 2

#: Seconds between looks at who else takes from the tube, and for how long one such look is believed.
WATCH_EVERY: Final = 1.0
SHARED_FOR: Final = 60.0

_FIRST: Final = Count(1, 0)

_NOTHING_READY: Final = (greenstalk.TimedOutError, greenstalk.DeadlineSoonError)

_log = logging.getLogger(__name__)


@attrs.define(slots=True)
class Pace:
    """How many jobs to ask for at once; 0 while the tube is dry."""

    batch: int = 0
    _last: float = -math.inf

    def caught(self, now: float) -> None:
        """A job was waited for, and came."""
        self.batch = FIRST_BATCH if now - self._last < BACKLOG_GAP else 0
        self._last = now

    def took(self, now: float, *, asked: int, got: int) -> None:
        """*asked* jobs were asked for at once, and *got* were there."""
        self.batch = min(asked * 4, LARGEST_BATCH) if got == asked else 0
        if got:
            self._last = now


@attrs.define(slots=True)
class _Stray:
    """A job that was reserved for a receive that did not wait for it."""

    holding: Holding
    job: greenstalk.Job[bytes]


class Reception:
    """Takes jobs out of one tube."""

    def __init__(
        self,
        *,
        tube: str,
        ttr: float,
        most_lanes: int,
        freshness: Freshness,
        dialer: Dialer,
        clock: Clock,
        lanes: Lanes,
        records: Records,
        keeper: Keeper,
    ) -> None:
        self._tube = tube
        self._lease = told_lease(ttr)
        self._most_lanes = most_lanes
        self._freshness = freshness
        self._dialer = dialer
        self._clock = clock
        self._lanes = lanes
        self._records = records
        self._keeper = keeper
        self._pace = Pace()
        self._current: Lane | None = None
        self._strays: list[_Stray] = []
        self._cut_short: list[tuple[Lane, float, asyncio.Future[list[Any]]]] = []
        self._interrupted = asyncio.Event()
        self._next_watch = -math.inf
        self._shared_until = -math.inf
        self._warned = False

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`."""
        if limit < 1:
            return ()
        strays = await self._pick_up(limit)
        if strays:
            return await self._deliver(strays)
        if self._interrupted.is_set():
            return ()
        seconds = wait.total_seconds()
        if seconds <= 0:
            return await self._take(min(limit, LARGEST_BATCH))
        if self._pace.batch:
            taken = await self._take(min(limit, self._pace.batch))
            if taken or self._interrupted.is_set():
                return taken
        return await self._catch(seconds)

    def interrupt(self) -> None:
        """See `Provider.interrupt`."""
        self._interrupted.set()
        for lane in self._lanes:
            if lane.waiting:
                lane.connection.half_close()

    # --------------------------------------------------------------------------------------- without waiting

    async def _take(self, wanted: int) -> Sequence[Delivery]:
        lane = await self._lane_at_work()
        asked_at = self._clock.monotonic()
        looks = self._look_around(asked_at)
        answers = await self._answers(lane, [*looks, *[RESERVE_NOW] * wanted], asked_at)
        self._note_watchers(answers[: len(looks)])
        jobs = self._jobs(answers[len(looks) :])
        self._pace.took(self._clock.monotonic(), asked=wanted, got=len(jobs))
        return await self._deliver([self._held(lane, job, asked_at) for job in jobs])

    async def _lane_at_work(self) -> Lane:
        """A connection that does not wait: the one used last, else one with jobs in hand, else any."""
        if self._current is not None and self._current.alive and not self._current.waiting:
            return self._current
        idle = [lane for lane in self._lanes if not lane.waiting]
        self._current = max(idle, key=lambda lane: len(lane.in_hand), default=None) or await self._dial()
        return self._current

    async def _answers(self, lane: Lane, commands: list[Any], asked_at: float) -> list[Any]:
        lane.taking += 1
        asked = lane.connection.ask(commands)
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            self._cut_short.append((lane, asked_at, asked))
            raise
        finally:
            lane.taking -= 1

    async def _pick_up(self, limit: int) -> list[_Stray]:
        """What earlier receives left, unless its lease has ended meanwhile: then it comes again by itself."""
        while self._cut_short:
            lane, asked_at, asked = cut_short = self._cut_short.pop()
            try:
                answers = await asyncio.shield(asked)
            except asyncio.CancelledError:
                self._cut_short.append(cut_short)
                raise
            self._strays += [self._held(lane, job, asked_at) for job in answers if isinstance(job, greenstalk.Job)]
        now = self._clock.monotonic()
        for stray in self._strays:
            if now >= stray.holding.deadline:
                stray.holding.lose()
        ours = [stray for stray in self._strays if stray.holding.ours]
        self._strays = ours[limit:]
        return ours[:limit]

    # ---------------------------------------------------------------------------------------------- waiting

    async def _catch(self, seconds: float) -> Sequence[Delivery]:
        lane = await self._clean_lane()
        if lane is None:
            return await self._poll(seconds)
        if self._interrupted.is_set():
            return ()
        lane.waiting = True
        try:
            answers = await self._wait_on(lane, seconds)
        except asyncio.CancelledError:
            lane.connection.end("the receive was cancelled")  # what it may have caught goes back at once
            raise
        finally:
            lane.waiting = False
        self._note_watchers(answers[:-1])
        now = self._clock.monotonic()
        jobs = self._jobs(answers[-1:])
        if not jobs or not lane.alive:
            return ()
        self._pace.caught(now)
        self._current = lane
        return await self._deliver([self._held(lane, jobs[0], now)])

    async def _wait_on(self, lane: Lane, seconds: float) -> list[Any]:
        """The answers on a lane that waits; the last one is to the reserve.

        beanstalkd counts whole seconds. What is left of a second is counted here, and ended by
        half-closing the connection: a job that comes at that very moment goes back with it.
        """
        connection, whole = lane.connection, math.floor(seconds)
        commands = self._look_around(self._clock.monotonic())
        commands.append(methodcaller("reserve", math.ceil(seconds)))
        asked = connection.ask(commands, patience=math.ceil(seconds))
        if whole < seconds:
            answered = asyncio.Event()
            asked.add_done_callback(lambda _: answered.set())
            if not await self._clock.wait(answered, seconds):
                return await self._call_off(lane, asked)
        answers = await asyncio.shield(asked)
        if self._interrupted.is_set():
            return await self._call_off(lane, asked)
        return answers

    async def _call_off(self, lane: Lane, asked: asyncio.Future[list[Any]]) -> list[Any]:
        lane.connection.half_close()
        answers = await asyncio.shield(asked)
        lane.connection.end("no longer waiting")
        return answers if isinstance(answers[-1], Lost) and not self._interrupted.is_set() else []

    async def _clean_lane(self) -> Lane | None:
        """A connection that may wait; `None` when there are as many as may be, all with something in hand."""
        for lane in self._lanes.surplus(SPARE_LANES):
            lane.connection.end("not needed any more")
            self._next_watch = self._clock.monotonic() + WATCH_EVERY  # until then it would be taken for somebody else
        clean = self._lanes.surplus(0)
        if clean:
            return self._current if self._current in clean else clean[0]
        if len(self._lanes) < self._most_lanes:
            return await self._dial()
        if not self._warned:
            self._warned = True
            _log.warning(
                "tube %s: %d connections have jobs in hand, so it is polled; connections= in the URL allows more",
                self._tube,
                self._most_lanes,
            )
        return None

    async def _poll(self, seconds: float) -> Sequence[Delivery]:
        deadline = self._clock.monotonic() + seconds
        while True:
            taken = await self._take(1)
            left = deadline - self._clock.monotonic()
            if taken or left <= 0 or await self._clock.wait(self._interrupted, min(POLL_PAUSE, left)):
                return taken

    # ------------------------------------------------------------------------------------------- what came in

    async def _dial(self) -> Lane:
        try:
            connection = await self._dialer.dial(watch=self._tube, fatal=BETRAYALS)
        except Lost as lost:
            raise error_of(lost, Doing.RECEIVE) or lost from lost
        return self._lanes.add(connection)

    def _jobs(self, answers: list[Any]) -> list[greenstalk.Job[bytes]]:
        jobs = [answer for answer in answers if isinstance(answer, greenstalk.Job)]
        if len(jobs) < len(answers):
            self._check([answer for answer in answers if not isinstance(answer, (greenstalk.Job, *_NOTHING_READY))])
        return jobs

    def _check(self, answers: list[Any]) -> None:
        try:
            checked(answers, Doing.RECEIVE)
        except AdapterError:
            self._freshness.start_again()
            raise

    def _held(self, lane: Lane, job: greenstalk.Job[bytes], taken_at: float) -> _Stray:
        holding = Holding(lane, job.id, taken_at, taken_at + self._lease)
        lane.hold(holding)
        return _Stray(holding, job)

    async def _deliver(self, came: list[_Stray]) -> Sequence[Delivery]:
        """The deliveries of jobs just reserved. Whatever keeps them from being delivered, they are not forgotten."""
        shared = len(came) <= FIRST_BATCH and self._clock.monotonic() < self._shared_until
        suspects = [each for each in came if self._freshness.suspect(each.holding.id, shared=shared)]
        if suspects:
            try:
                await self._look_at(suspects)
            except (AdapterError, asyncio.CancelledError):
                self._strays.extend(each for each in came if each.holding.ours)
                raise
        if came:
            self._keeper.rouse()
        return [self._delivery(each) for each in came if each.holding.ours]

    async def _look_at(self, suspects: list[_Stray]) -> None:
        """Ask for the statistics of jobs that may not be new, and for the records of those that were kicked."""
        error = await learn([each.holding for each in suspects], Doing.RECEIVE)
        if error is not None:
            raise error
        for each in suspects:
            stats = each.holding.stats
            if stats is not None and was_kicked(stats):
                each.holding.record = await self._records.find(each.holding.id, each.job.body)

    def _delivery(self, came: _Stray) -> Delivery:
        holding, stats = came.holding, came.holding.stats
        tried = _FIRST if stats is None else count(stats, holding.record.burial.baseline if holding.record else None)
        return Delivery(
            id=str(holding.id),
            envelope=envelope_of(holding.id, came.job.body, tube=self._tube, now=self._clock.now, stats=stats),
            attempt=tried.attempt,
            lost=tried.lost,
            lease=Lease(holding.deadline),
            receipt=holding,
        )

    def _look_around(self, now: float) -> list[Command]:
        """What to ask before a reserve, to know who else takes from the tube; nothing most of the time."""
        return [methodcaller("stats_tube", self._tube)] if now >= self._next_watch else []

    def _note_watchers(self, answers: list[Any]) -> None:
        """Whether anybody else waits for jobs of this tube, which makes ids alone a poor guide."""
        now = self._clock.monotonic()
        for stats in answers:
            if isinstance(stats, dict):
                self._next_watch = now + WATCH_EVERY
                if stats["current-watching"] > len(self._lanes):
                    self._shared_until = now + SHARED_FOR
