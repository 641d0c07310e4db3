"""A real beanstalkd that restarts, stops, drains, fills up, loses its log or is cut off; and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import greenstalk
import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Delivery,
    Envelope,
    LeaseLost,
    Queue,
    Release,
    Retry,
    Settlement,
    Settling,
    Unavailable,
)
from pulpo_core.testing import ManualClock, SeededJitter
from tests.proxy import Proxy
from tests.servers import HOST, BeanstalkdServer, beanstalkd_program

Opener = Callable[..., AbstractAsyncContextManager[Queue]]

NO_WAIT = timedelta()
WAIT = timedelta(seconds=5)
SECOND = timedelta(seconds=1)


async def publish(queue: Queue, body: bytes) -> str | AdapterError:
    """Publish one envelope."""
    (answer,) = await queue.publish([Envelope(body=body)])
    return answer


async def settle(queue: Queue, delivery: Delivery, settlement: Settlement) -> AdapterError | None:
    """Settle one delivery."""
    (error,) = await queue.settle([Settling(delivery, settlement)])
    return error


async def take(queue: Queue, wait: timedelta = WAIT) -> Delivery:
    """Receive one delivery, as soon as the broker is there."""
    while True:
        with contextlib.suppress(Unavailable):
            if deliveries := await queue.receive(1, wait):
                return deliveries[0]
        await asyncio.sleep(0.02)


async def drained(queue: Queue) -> list[bytes]:
    """The bodies of everything that is ready, acknowledged."""
    bodies = []
    while deliveries := await queue.receive(100, NO_WAIT):
        bodies += [each.envelope.body for each in deliveries]
        assert not any(await queue.settle([Settling(each, Ack()) for each in deliveries]))
    return bodies


class TestARestart:
    """beanstalkd is stopped, or dies, and comes back with its log."""

    @pytest.mark.parametrize("how", ["stop", "kill"])
    async def test_what_was_confirmed_is_there_afterwards(
        self, mortal: BeanstalkdServer, opened: Opener, how: str
    ) -> None:
        async with opened(mortal.url("t")) as queue:
            await publish(queue, b"dead")
            await settle(queue, await take(queue), Bury("bad", "why"))
            await publish(queue, b"held")
            held = await take(queue)
            await publish(queue, b"ready")

            await asyncio.to_thread(getattr(mortal, how))
            with pytest.raises(Unavailable, match=r"no connection|closed|lost"):
                await queue.receive(1, NO_WAIT)
            error = await publish(queue, b"not confirmed")
            await asyncio.to_thread(mortal.start)

            assert isinstance(error, Unavailable)
            assert not error.in_doubt, "there was nobody to send it to"
            assert sorted(await drained(queue)) == [b"held", b"ready"]
            assert isinstance(await settle(queue, held, Ack()), LeaseLost)
            (record,) = (await queue.buried()).records
            assert (record.envelope.body, record.reason, record.error) == (b"dead", "bad", "why")

    async def test_a_retry_is_remembered_and_so_is_what_a_kick_begins_afresh(
        self, mortal: BeanstalkdServer, opened: Opener
    ) -> None:
        async with opened(mortal.url("t")) as queue:
            await publish(queue, b"x")
            await settle(queue, await take(queue), Retry(SECOND))
            await asyncio.to_thread(mortal.restart)
            second = await take(queue)
            await settle(queue, second, Bury("bad"))
            await asyncio.to_thread(mortal.restart)
            await asyncio.sleep(0.1)
            await queue.kick()
            await asyncio.to_thread(mortal.restart)
            third = await take(queue)

        assert (second.attempt, third.attempt) == (2, 1)

    async def test_a_waiting_receive_says_so_and_the_next_one_waits_again(
        self, mortal: BeanstalkdServer, opened: Opener
    ) -> None:
        async with opened(mortal.url("t")) as queue, asyncio.TaskGroup() as group:
            waiting = group.create_task(_error_of(queue.receive(1, WAIT)))
            await asyncio.sleep(0.05)
            await asyncio.to_thread(mortal.restart)

            assert isinstance(await waiting, Unavailable)
            assert not isinstance(await publish(queue, b"x"), AdapterError)
            assert (await take(queue)).envelope.body == b"x"

    async def test_a_job_of_the_largest_size_is_one_that_its_log_can_be_read_past(
        self, mortal: BeanstalkdServer, opened: Opener
    ) -> None:
        """beanstalkd 1.12 takes two bytes more, and after a restart it has lost that job and all that came after it."""
        async with opened(mortal.url("t")) as queue:
            largest = queue.capabilities.max_body_bytes or 0
            await queue.publish([Envelope(body=b"x" * largest), Envelope(body=b"after")])
            too_large = await publish(queue, b"x" * (largest + 1))
            await asyncio.to_thread(mortal.restart)
            first = await take(queue)

            assert isinstance(too_large, AdapterError)
            assert len(first.envelope.body) == largest
            assert (await take(queue)).envelope.body == b"after"

    async def test_a_record_of_a_burial_is_one_that_the_log_can_be_read_past_too(
        self, tmp_path: Path, opened: Opener, caplog: pytest.LogCaptureFixture
    ) -> None:
        with BeanstalkdServer(binlog=tmp_path / "log", options=["-z", "1000"]) as server:
            async with opened(server.url("t")) as queue:
                for length in range(815, 835):  # of the error: the record grows past what the log can be read past
                    await publish(queue, b"x")
                    assert await settle(queue, await take(queue), Bury("bad", "e" * length)) is None
            await asyncio.to_thread(server.restart)
            async with opened(server.url("t")) as queue:
                assert (await queue.stats()).buried == 20
                recorded = [record for record in (await queue.buried()).records if record.reason]

        assert 0 < len(recorded) < 20
        assert "without a record" in caplog.text


async def _error_of(receiving: object) -> AdapterError | None:
    try:
        await receiving  # type: ignore[misc] # a coroutine of some receive
    except AdapterError as error:
        return error
    return None


class TestASilentBroker:
    """It is stopped by a signal, or behind a dead router: connections are open, and nothing comes."""

    @pytest.fixture
    def stopped(self) -> Iterator[BeanstalkdServer]:
        with BeanstalkdServer() as server:
            yield server
            os.kill(server.pid, signal.SIGCONT)

    async def test_every_call_ends_and_the_next_ones_work_when_it_goes_on(
        self, stopped: BeanstalkdServer, opened: Opener
    ) -> None:
        async with opened(stopped.url("t") + "?timeout=300ms&connect_timeout=300ms") as queue:
            await publish(queue, b"held")
            held = await take(queue)
            os.kill(stopped.pid, signal.SIGSTOP)
            begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                calls = [
                    group.create_task(publish(queue, b"maybe")),
                    group.create_task(_error_of(queue.receive(1, NO_WAIT))),
                    group.create_task(_error_of(queue.stats())),
                    group.create_task(settle(queue, held, Ack())),
                ]
            errors = [call.result() for call in calls]
            waited = time.monotonic() - begun
            os.kill(stopped.pid, signal.SIGCONT)

            assert all(isinstance(error, Unavailable) for error in errors)
            assert [error.in_doubt for error in errors if isinstance(error, AdapterError)] == [True, False, False, True]
            assert waited < 5
            assert not isinstance(await publish(queue, b"surely"), AdapterError)
            bodies = [(await take(queue)).envelope.body for _ in range(2)]
            assert set(bodies) <= {b"maybe", b"surely", b"held"}

    async def test_many_who_wait_for_a_connection_do_not_wait_one_after_another(
        self, stopped: BeanstalkdServer, opened: Opener
    ) -> None:
        async with opened(stopped.url("t") + "?timeout=300ms&connect_timeout=300ms") as queue:
            os.kill(stopped.pid, signal.SIGSTOP)
            await publish(queue, b"ends the connection")
            begun = time.monotonic()
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(publish(queue, b"x")) for _ in range(20)]

            assert time.monotonic() - begun < 3
            assert {type(call.result()) for call in calls} == {Unavailable}
            os.kill(stopped.pid, signal.SIGCONT)
            assert not isinstance(await publish(queue, b"y"), AdapterError)

    async def test_another_broker_is_not_kept_waiting(
        self, stopped: BeanstalkdServer, server: BeanstalkdServer, tube: str, opened: Opener
    ) -> None:
        async with (
            opened(stopped.url("t") + "?timeout=2s") as stuck,
            opened(server.url(tube)) as queue,
            asyncio.TaskGroup() as group,
        ):
            os.kill(stopped.pid, signal.SIGSTOP)
            waiting = group.create_task(_error_of(stuck.receive(1, WAIT)))
            for n in range(50):
                await publish(queue, b"%d" % n)
                assert await settle(queue, await take(queue), Ack()) is None
            assert not waiting.done()
            os.kill(stopped.pid, signal.SIGCONT)
            stuck.interrupt()

    async def test_a_connection_that_is_half_open_is_noticed(
        self, server: BeanstalkdServer, tube: str, opened: Opener
    ) -> None:
        with Proxy(server.address) as proxy:
            async with opened(f"beanstalkd://{HOST}:{proxy.port}/{tube}?timeout=300ms") as queue:
                await publish(queue, b"x")
                delivery = await take(queue)
                proxy.hold()
                extended, error = (await queue.extend([delivery]))[0], await publish(queue, b"y")
                with pytest.raises(Unavailable, match="no answer"):
                    await queue.receive(1, SECOND)
                proxy.go_on()
                proxy.cut()

                assert isinstance(extended, LeaseLost)
                assert isinstance(error, Unavailable)
                assert (await take(queue)).id == delivery.id

    async def test_closing_does_not_wait_for_it(self, stopped: BeanstalkdServer, opened: Opener) -> None:
        async with opened(stopped.url("t")) as queue:
            await publish(queue, b"x")
            await take(queue)
            os.kill(stopped.pid, signal.SIGSTOP)
            begun = time.monotonic()

        assert time.monotonic() - begun < 3

    async def test_an_interrupt_does_not_wait_for_it(self, stopped: BeanstalkdServer, opened: Opener) -> None:
        async with opened(stopped.url("t") + "?timeout=500ms") as queue, asyncio.TaskGroup() as group:
            waiting = group.create_task(queue.receive(1, WAIT))
            await asyncio.sleep(0.05)
            os.kill(stopped.pid, signal.SIGSTOP)
            queue.interrupt()
            begun = time.monotonic()

            assert not await waiting
            assert time.monotonic() - begun < 3


class TestCuts:
    """Connections are cut in the middle of things."""

    @pytest.mark.parametrize("size", [0, 3, 9, 10, 20, 36])
    async def test_half_a_reply_is_no_reply(
        self, server: BeanstalkdServer, tube: str, opened: Opener, size: int
    ) -> None:
        with Proxy(server.address) as proxy:
            async with opened(f"beanstalkd://{HOST}:{proxy.port}/{tube}") as queue:
                assert not await queue.receive(1, NO_WAIT), "a connection is at work, and has said all it had to say"
                await publish(queue, b"a body of some length")
                proxy.cut_in_reply(size)
                with pytest.raises(Unavailable):
                    await queue.receive(1, NO_WAIT)
                delivery = await take(queue)

                assert delivery.envelope.body == b"a body of some length"
                assert await settle(queue, delivery, Ack()) is None

    async def test_cuts_in_a_flow_of_jobs_lose_none(self, mortal: BeanstalkdServer, opened: Opener) -> None:
        with Proxy(mortal.address) as proxy:
            async with opened(f"beanstalkd://{HOST}:{proxy.port}/t") as queue, asyncio.TaskGroup() as group:
                accounts = Accounts(queue)
                producing = group.create_task(accounts.produce(400))
                consuming = group.create_task(accounts.consume())
                for _ in range(10):
                    await asyncio.sleep(0.05)
                    proxy.cut()
                await producing
                accounts.enough = True
                await consuming

        accounts.check()


class Accounts:
    """What was confirmed, and what was handled."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.confirmed: set[bytes] = set()
        self.doubtful: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.handled: list[bytes] = []
        self.enough = False

    async def produce(self, number: int) -> None:
        """Publish *number* envelopes, each once, whatever comes of it."""
        for n in range(0, number, 5):
            bodies = [b"%d" % each for each in range(n, n + 5)]
            answers = await self.queue.publish([Envelope(body=body) for body in bodies])
            for body, answer in zip(bodies, answers, strict=True):
                refused = isinstance(answer, AdapterError)
                kind = self.confirmed if not refused else self.doubtful if answer.in_doubt else self.refused
                kind.add(body)
            await asyncio.sleep(0.001)

    async def consume(self) -> None:
        """Handle until there is *enough* and nothing comes any more."""
        while True:
            try:
                deliveries = await self.queue.receive(10, timedelta(seconds=1))
            except Unavailable:
                await asyncio.sleep(0.01)
                continue
            if not deliveries and self.enough:
                return
            self.handled += [each.envelope.body for each in deliveries]
            await self.queue.settle([Settling(each, Ack()) for each in deliveries])

    def check(self) -> None:
        """Nothing that was confirmed is missing, and nothing came that nobody sent."""
        handled = set(self.handled)
        assert self.confirmed <= handled, f"lost: {sorted(self.confirmed - handled)[:20]}"
        assert handled <= self.confirmed | self.doubtful, "a refused publish must not have been carried out"
        assert self.confirmed


class TestABrokerThatTakesNothing:
    """It drains, or has no room."""

    async def test_draining_refuses_to_publish_and_goes_on_handing_out(self, opened: Opener) -> None:
        with BeanstalkdServer() as server:
            async with opened(server.url("t")) as queue:
                await publish(queue, b"before")
                os.kill(server.pid, signal.SIGUSR1)
                await asyncio.sleep(0.05)
                error = await publish(queue, b"after")

                assert isinstance(error, Unavailable)
                assert "draining" in str(error)
                assert not error.in_doubt
                delivery = await take(queue)
                unburied = await settle(queue, delivery, Bury("bad"))
                assert unburied is not None, "the reason could not be kept"
                assert unburied.temporary
                assert await settle(queue, delivery, Ack()) is None

    async def test_without_room_nothing_is_confirmed_and_nothing_lost(self, tmp_path: Path, opened: Opener) -> None:
        """A full log answers a delayed release OUT_OF_MEMORY when the job is nobody's already."""
        with BeanstalkdServer(binlog=tmp_path / "log", options=["-s", "4096"]) as server:
            async with opened(server.url("t")) as queue:
                await queue.publish([Envelope(body=b"%d" % n) for n in range(40)])
                deliveries = await queue.receive(40, NO_WAIT)
                assert len(deliveries) == 40
                _no_more_files(server.pid)
                refused = await _publish_until_refused(queue)
                answers = await queue.settle([Settling(each, Retry(SECOND)) for each in deliveries])
                errors = [answer for answer in answers if answer is not None]

                assert isinstance(refused, Unavailable)
                assert not refused.in_doubt
                assert errors, "the log is full"
                assert all(isinstance(error, LeaseLost) or error.in_doubt for error in errors)
            await asyncio.to_thread(server.restart)
            async with opened(server.url("t")) as queue:
                await asyncio.sleep(1.5)
                bodies = await drained(queue)

            assert {b"%d" % n for n in range(40)} <= set(bodies)

    async def test_a_log_that_has_stopped_is_noticed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """After an error of writing beanstalkd goes on in memory and tells nobody. We say so, once."""
        monkeypatch.setenv("PULPO_BEANSTALKD_BIN", str(_that_survives_file_limits(tmp_path)))
        clock = ManualClock()
        with BeanstalkdServer(binlog=tmp_path / "log") as server:
            async with BeanstalkdAdapter().open(server.url("t"), clock=clock, jitter=SeededJitter()) as queue:
                await publish(queue, b"logged")
                await clock.advance(2.5)
                await publish(queue, b"logged too")
                assert "a crash of beanstalkd" in queue.capabilities.durability

                resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, 1))
                first = await publish(queue, b"in doubt")
                for _ in range(4):
                    await clock.advance(2.5)
                    await publish(queue, b"in memory only")

                assert isinstance(first, Unavailable)
                assert first.in_doubt
                assert "has stopped" in queue.capabilities.durability
                (line,) = [record for record in caplog.records if "has stopped" in record.message]
                assert line.name == "pulpo.adapter.beanstalkd"


def _no_more_files(pid: int) -> None:
    """From now on the process *pid* can open nothing, which to its log is the same as a full disk."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))


async def _publish_until_refused(queue: Queue) -> str | AdapterError:
    for _ in range(200):
        answer = await publish(queue, b"filler " * 20)
        if isinstance(answer, AdapterError):
            return answer
    return "never"


def _that_survives_file_limits(folder: Path) -> Path:
    """A beanstalkd whose writes fail when they pass a limit of size, instead of being killed for it."""
    program = folder / "beanstalkd"
    program.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {beanstalkd_program()} \"$@\"\n")
    program.chmod(0o755)
    return program


async def test_given_back_jobs_are_ready_at_once_when_a_queue_is_closed(
    server: BeanstalkdServer, tube: str, opened: Opener
) -> None:
    with greenstalk.Client(server.address, encoding=None, use=tube, watch=tube) as other:
        for n in range(3):
            other.put(b"%d" % n)
        async with opened(server.url(tube)) as queue:
            first, _, _ = [await take(queue) for _ in range(3)]
            assert await settle(queue, first, Release()) is None

        assert [other.reserve(timeout=2).body for _ in range(3)] == [b"0", b"1", b"2"]
