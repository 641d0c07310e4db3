"""Receiving: one connection waits, the others keep what they caught.

Theory of operation. beanstalkd serves the commands of a connection one after another, so on a
connection that waits in ``reserve`` nothing can be settled. Therefore

* while the tube is dry, one *clean* connection, with nothing in hand, waits. What it catches stays
  with it, and the next catch is made by another clean one: of those that became clean again, or a
  new one. No settlement ever waits behind a reserve, and nobody polls;
* catches that come at once mean a backlog: then jobs are taken in growing batches without waiting,
  on a connection that has jobs in hand, right behind their settlements in the same write;
* a batch that does not come back full means that the tube is dry again. DEADLINE_SOON says the
  same: it is answered only when nothing is ready.

With as many connections as are allowed and something in hand on each, the tube is polled.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
from collections.abc import Sequence
from datetime import timedelta
from operator import methodcaller
from typing import Any, Final

import greenstalk

from pulpo_core import AdapterError, Clock, Delivery, Lease

from .attempts import Count, Freshness, count, was_kicked
from .codec import envelope_of, told_lease
from .connection import Dialer, Lost
from .errors import BETRAYALS, Doing, checked, error_of
from .keeper import Keeper
from .lanes import Holding, Lane, Lanes, learn
from .pace import LARGEST_BATCH, Company, Pace
from .pipeline import RESERVE_NOW, Command
from .records import Records

#: Seconds between polls when no connection is free to wait.
POLL_PAUSE: Final = 0.01

#: Clean connections that are kept for the next catches.
SPARE_LANES: Final = 2

_FIRST: Final = Count(1, 0)

_NOTHING_READY: Final = (greenstalk.TimedOutError, greenstalk.DeadlineSoonError)

_log = logging.getLogger("pulpo.adapter.beanstalkd")


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
        self._company = Company()
        self._current: Lane | None = None
        self._strays: list[Holding] = []  # reserved for a receive that did not wait for them
        self._unheard: list[asyncio.Future[None]] = []  # of such receives, until their answers are in
        self._interrupted = asyncio.Event()
        self._warned = False

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`."""
        if limit < 1:
            return ()
        if self._strays or self._unheard:
            strays = await self._pick_up(limit)
            if strays:
                return await self._deliver(strays, self._clock.monotonic())
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
        lane = self._current
        if lane is None or lane.waiting or not lane.alive:
            lane = await self._lane_at_work()
        asked_at = self._clock.monotonic()
        self._look(lane, asked_at)
        jobs = self._jobs(await self._answers(lane, [RESERVE_NOW] * wanted, asked_at))
        self._pace.answered(self._clock.monotonic() - asked_at)
        self._pace.took(asked=wanted, got=len(jobs))
        return await self._deliver([self._held(lane, job, asked_at) for job in jobs], asked_at)

    async def _lane_at_work(self) -> Lane:
        """Another connection that does not wait: one with jobs in hand, else any."""
        idle = [lane for lane in self._lanes if not lane.waiting]
        self._current = max(idle, key=lambda lane: len(lane.in_hand), default=None) or await self._dial()
        return self._current

    async def _answers(self, lane: Lane, commands: list[Command], asked_at: float) -> list[Any]:
        """The answers to *commands*. If nobody waits for them any more, what they reserved is kept as strays."""
        asked: asyncio.Future[list[Any]] | None = None
        unheard: asyncio.Future[None] | None = None
        came = False

        def heard(answers: list[Any]) -> None:
            nonlocal came
            came = True
            lane.taking -= 1
            if asked is not None and asked.cancelled():
                self._keep_strays(lane, answers, asked_at)
            if unheard is not None:
                self._unheard.remove(unheard)
                unheard.set_result(None)

        lane.taking += 1
        asked = lane.connection.ask(commands, then=heard, at_once=True)
        try:
            return await asked
        except asyncio.CancelledError:  # the answers may have come in the same turn of the loop, before it or after it
            if not asked.cancelled():
                self._keep_strays(lane, asked.result(), asked_at)
            elif not came:
                unheard = asyncio.get_running_loop().create_future()
                self._unheard.append(unheard)
            raise

    def _keep_strays(self, lane: Lane, answers: list[Any], asked_at: float) -> None:
        self._strays += [self._held(lane, job, asked_at) for job in answers if isinstance(job, greenstalk.Job)]
        self._keeper.rouse()

    async def _pick_up(self, limit: int) -> list[Holding]:
        """What earlier receives left, unless its lease has ended meanwhile: the keeper sees that it comes again."""
        while self._unheard:
            await asyncio.shield(self._unheard[-1])
        now = self._clock.monotonic()
        ours = [stray for stray in self._strays if stray.ours and now < stray.deadline]
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
        asked_at = self._clock.monotonic()
        try:
            self._look(lane, asked_at)
            answers = await self._wait_on(lane, seconds)
        except asyncio.CancelledError:
            lane.connection.half_close()  # what it may have caught goes back at once; settlements are answered
            raise
        finally:
            lane.waiting = False
        now = self._clock.monotonic()
        jobs = self._jobs(answers)
        if not jobs or not lane.alive:
            return ()
        self._pace.caught(now - asked_at)
        self._current = lane
        return await self._deliver([self._held(lane, jobs[0], now)], now)

    async def _wait_on(self, lane: Lane, seconds: float) -> list[Any]:
        """The answer to a reserve on a lane that waits; none if it is not wanted any more.

        beanstalkd counts whole seconds. What is left of a second is counted here, and ended by
        half-closing the connection: a job that comes at that very moment goes back with it.
        """
        whole = math.ceil(seconds)
        commands: list[Command] = [methodcaller("reserve", whole)]
        if seconds == whole:
            answers = await lane.connection.ask(commands, patience=whole, at_once=True)
            return self._called_off(lane, answers) if self._interrupted.is_set() else answers
        answered = asyncio.Event()
        asked = lane.connection.ask(commands, patience=whole, then=lambda _: answered.set())
        if await self._clock.wait(answered, seconds) and not self._interrupted.is_set():
            return await asked
        lane.connection.half_close()
        return self._called_off(lane, await asked)

    def _called_off(self, lane: Lane, answers: list[Any]) -> list[Any]:
        """What counts of the answers on a half-closed lane: that there was none, unless we wanted none."""
        lane.connection.end("no longer waiting")
        return answers if isinstance(answers[-1], Lost) and not self._interrupted.is_set() else []

    async def _clean_lane(self) -> Lane | None:
        """A connection that may wait; `None` when there are as many as may be, all with something in hand."""
        for lane in self._lanes.surplus(SPARE_LANES):
            lane.connection.end("not needed any more")
            self._company.postpone_look(self._clock.monotonic())
        clean = self._lanes.clean()
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
        asked_at = self._clock.monotonic()
        try:
            connection = await self._dialer.dial(watch=self._tube, fatal=BETRAYALS)
        except Lost as lost:
            raise error_of(lost, Doing.RECEIVE) or lost from lost
        self._pace.answered(self._clock.monotonic() - asked_at)
        return self._lanes.add(connection)

    def _look(self, lane: Lane, now: float) -> None:
        """Ask, before a reserve and in the same write, who else takes from the tube; most of the time not."""
        if self._company.look_is_due(now):
            looking = methodcaller("stats_tube", self._tube)
            lane.connection.ask([looking], then=functools.partial(self._looked, now))

    def _looked(self, now: float, answers: list[Any]) -> None:
        if isinstance(answers[0], dict):
            self._company.looked(now, answers[0], ours=len(self._lanes))

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

    def _held(self, lane: Lane, job: greenstalk.Job[bytes], taken_at: float) -> Holding:
        holding = Holding(lane, job.id, job.body, taken_at, taken_at + self._lease)
        lane.hold(holding)
        return holding

    async def _deliver(self, came: list[Holding], reserved_at: float) -> Sequence[Delivery]:
        """The deliveries of jobs just reserved. Whatever keeps them from being delivered, they are not forgotten."""
        if not came:
            return ()
        self._keeper.rouse()
        shared = self._company.is_shared(reserved_at)
        suspects = [each for each in came if self._freshness.suspect(each.id, shared=shared)]
        if suspects:
            try:
                await self._look_at(suspects)
            except (AdapterError, asyncio.CancelledError):
                self._strays += [each for each in came if each.ours]
                raise
        return [self._delivery(each) for each in came if each.ours]

    async def _look_at(self, suspects: list[Holding]) -> None:
        """Ask for the statistics of jobs that may not be new, and for the records of those that were kicked."""
        error = await learn(suspects, Doing.RECEIVE)
        if error is not None:
            raise error
        kicked = [(each, each.stats) for each in suspects if each.stats is not None and was_kicked(each.stats)]
        if kicked:
            found = await self._records.find([(stats, each.body) for each, stats in kicked])
            for (each, _), record in zip(kicked, found, strict=True):
                each.record = record

    def _delivery(self, holding: Holding) -> Delivery:
        stats, record = holding.stats, holding.record
        tried = _FIRST if stats is None else count(stats, record.burial.baseline if record else None)
        return Delivery(
            id=str(holding.id),
            envelope=envelope_of(holding.id, holding.body, tube=self._tube, now=self._clock.now, stats=stats),
            attempt=tried.attempt,
            lost=tried.lost,
            lease=Lease(holding.deadline),
            receipt=holding,
        )
