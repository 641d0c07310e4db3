"""The supervisor, with workers that end as they are told to."""

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from pulpo_cli.supervisor.account import Account
from pulpo_cli.supervisor.crew import Crew
from pulpo_cli.supervisor.leash import Orders
from pulpo_cli.supervisor.verdict import GIVE_UP_AFTER, Ending
from pulpo_core import Clock, Ledger, SystemClock

KILLED = -9


class Hasty(SystemClock):
    """Every wait is over soon: a thousand times as much time passes."""

    def monotonic(self) -> float:
        return super().monotonic() * 1000

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        return await super().wait(event, seconds / 1000)


@attrs.define(eq=False, slots=False)
class FakeWorker:
    """Ends with *status*, at once or when it is stopped."""

    account: Account
    status: int
    at_once: bool = True
    told: list[str] = attrs.field(factory=list)
    _ended: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    async def end(self) -> Ending:
        if not self.at_once:
            await self._ended.wait()
        self.account.status = self.status
        return Ending(status=self.status, age=timedelta())

    def stop(self, *, now: bool) -> None:
        self.told.append("now" if now else "drain")
        if now:
            self._ended.set()

    def kill(self) -> None:
        self.told.append("kill")
        self.status = KILLED
        self._ended.set()


@attrs.define(eq=False)
class Stage:
    """Starts workers that end as *statuses* say, one after the other; the last goes on for all that follow."""

    statuses: Sequence[int]
    at_once: bool = True
    facts: dict = attrs.field(factory=dict)
    workers: list[FakeWorker] = attrs.field(factory=list)
    orders: list[Orders] = attrs.field(factory=list)

    async def start(self, orders: Orders, arguments: Sequence[str], clock: Clock) -> FakeWorker:
        await asyncio.sleep(0)
        account = Account(place=orders.place + 1, pid=len(self.workers) + 1)
        account.take(self.facts)
        status = self.statuses[min(len(self.workers), len(self.statuses) - 1)]
        self.orders.append(orders)
        self.workers.append(FakeWorker(account, status, self.at_once))
        return self.workers[-1]

    def crew(self, count: int = 1, **options) -> Crew:
        return Crew(("run",), count, clock=Hasty(), start=self.start, **options)


async def test_one_that_is_killed_again_and_again_is_given_up():
    stage = Stage([KILLED])
    report = await stage.crew().run()

    assert len(stage.workers) == GIVE_UP_AFTER
    assert (report.status, str(report.error)) == (1, "worker 1 was killed by SIGKILL 10 times in a row")


async def test_one_that_comes_to_its_end_is_not_replaced():
    stage = Stage([KILLED, KILLED, 0])
    report = await stage.crew().run()

    assert len(stage.workers) == 3
    assert (report.status, report.error) == (0, None)


async def test_a_broker_that_is_away_is_waited_for_by_those_who_have_seen_it():
    stage = Stage([3, 3, 0], facts={"ledgers": {"mail": {"received": 1, "acked": 1}}})
    report = await stage.crew().run()

    assert len(stage.workers) == 3
    assert report.status == 0
    assert report.ledgers == {"mail": Ledger(received=3, acked=3)}


async def test_wrong_settings_stop_all_with_what_the_first_has_said():
    stage = Stage([2], facts={"failure": "unknown key 'quque'"})
    report = await stage.crew(3).run()

    assert len(stage.workers) == 3
    assert (report.status, str(report.error)) == (2, "unknown key 'quque'")


async def test_the_next_in_a_place_gets_what_is_left_of_its_share_and_is_paused_as_the_last_was():
    facts = {"ledgers": {"mail": {"received": 3, "acked": 1, "in_hand": 2}}, "paused": ["mail"]}
    stage = Stage([KILLED, 0], facts=facts)
    await stage.crew(max_messages=10).run()

    assert [(each.max_messages, each.paused, each.first) for each in stage.orders] == [
        (10, (), True),
        (7, ("mail",), False),
    ]


async def test_one_that_cannot_be_started_is_tried_again_while_the_others_go_on():
    stage, tried = Stage([0]), []

    async def start(orders, arguments, clock):
        tried.append((orders.place, orders.paused))
        if len(tried) <= 3:
            raise BlockingIOError("Resource temporarily unavailable")
        return await stage.start(orders, arguments, clock)

    crew = Crew(("run",), 2, clock=Hasty(), start=start)
    report = await crew.run()

    assert sorted(worker.account.place for worker in stage.workers) == [1, 2]
    assert (len(tried), report.status, report.error) == (5, 0, None)


async def test_when_none_can_ever_be_started_that_is_told():
    async def start(orders, arguments, clock):
        raise FileNotFoundError("no such interpreter")

    report = await Crew(("run",), 1, clock=Hasty(), start=start).run()

    assert (report.status, str(report.error)) == (1, "cannot be started: no such interpreter")


async def test_nobody_is_started_for_a_share_of_nothing():
    stage = Stage([0])
    await stage.crew(3, max_messages=2).run()

    assert [orders.place for orders in stage.orders] == [0, 1]


async def test_the_first_signal_drains_the_second_cuts_and_the_third_kills(caplog: pytest.LogCaptureFixture):
    stage = Stage([0], at_once=False, facts={"ledgers": {"mail": {"received": 2, "in_hand": 2}}})
    crew = stage.crew(2)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(crew.run())
        for told in (["drain"], ["drain", "now"]):
            await until(lambda: len(stage.workers) == 2)
            for worker in stage.workers:
                worker.told.clear()
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda told=told: all(worker.told for worker in stage.workers))
            assert [worker.told for worker in stage.workers] == [told[-1:]] * 2

    assert run.result().status == 130, "they ended without an account that is final, with messages in hand"
    assert [record.levelno for record in caplog.records if "in hand" in record.getMessage()] == [logging.ERROR] * 2


async def test_one_that_has_no_queue_open_yet_is_killed_by_the_second_signal():
    stage = Stage([0], at_once=False)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(stage.crew().run())
        await until(lambda: stage.workers)
        os.kill(os.getpid(), signal.SIGTERM)
        await until(lambda: stage.workers[0].told == ["drain"])
        os.kill(os.getpid(), signal.SIGTERM)

    assert stage.workers[0].told == ["drain", "kill"]
    assert run.result().status == 0


async def test_a_signal_that_is_sent_twice_in_no_time_counts_once():
    stage = Stage([0], at_once=False)
    crew = Crew(("run",), 1, start=stage.start)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(crew.run())
        await until(lambda: stage.workers)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await until(lambda: stage.workers[0].told)
        await asyncio.sleep(0.05)
        assert stage.workers[0].told == ["drain"]
        stage.workers[0].stop(now=True)

    assert run.result().status == 0


async def test_after_the_third_signal_the_status_is_130_whatever_is_known():
    stage = Stage([0], at_once=False, facts={"ledgers": {"mail": {}}})
    crew = stage.crew()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(crew.run())
        await until(lambda: stage.workers)
        stage.workers[0].stop = lambda now: stage.workers[0].told.append("nothing")
        for count in range(1, 4):
            os.kill(os.getpid(), signal.SIGINT)
            await until(lambda count=count: len(stage.workers[0].told) == count)

    assert stage.workers[0].told == ["nothing", "nothing", "kill"]
    assert run.result().status == 130


async def until(happened):
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - whatever makes it happen has no event
            await asyncio.sleep(0.01)
