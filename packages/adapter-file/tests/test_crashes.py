"""Publishers and workers killed at random instants: an account of every message."""

import asyncio
import random
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_core import Ack, Envelope, Settling, SystemClock, SystemJitter
from tests.soak import scaled

from .stage import Actor, stage

IN_HAND = 5  # deliveries that a worker asks for at a time
LEASE = timedelta(milliseconds=300)


@attrs.define
class Account:
    """What the actors of all rounds have said.

    Attributes:
        tried: messages that a publisher has begun to publish.
        confirmed: of these, those whose publishing was answered.
        acked: messages whose acknowledgement was answered.
        got: deliveries of each message.
    """

    tried: Counter[str] = attrs.field(factory=Counter)
    confirmed: Counter[str] = attrs.field(factory=Counter)
    acked: Counter[str] = attrs.field(factory=Counter)
    got: Counter[str] = attrs.field(factory=Counter)
    killed: int = 0

    def add(self, actor: Actor) -> None:
        """Book what *actor* has said before it was killed."""
        for word, book in {"try": self.tried, "ok": self.confirmed, "acked": self.acked, "got": self.got}.items():
            book.update(line[0] for line in actor.said(word))
        self.killed += actor.process.returncode == -9


async def drain(path: Path, account: Account) -> Counter[str]:
    """Handle what is left, once all leases of the killed have ended; each message once."""
    left: Counter[str] = Counter()
    url = f"file://{path}?lease=30s"
    async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        while True:
            deliveries = await queue.receive(500, timedelta())
            left.update(delivery.envelope.uid for delivery in deliveries)
            account.got.update(delivery.envelope.uid for delivery in deliveries)
            assert not any(await queue.settle([Settling(delivery, Ack()) for delivery in deliveries]))
            stats = await queue.stats()
            if not stats.ready and not stats.reserved:
                return left
            if not deliveries:
                await asyncio.sleep(0.02)


def is_sound(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        found: str = connection.execute("PRAGMA integrity_check").fetchone()[0]
        return found
    finally:
        connection.close()


async def kill_rounds(path: Path, rounds: int, seed: int) -> Account:
    """Two publishers and two workers; in each round one of each is killed at some instant, and replaced."""
    chance, account = random.Random(seed), Account()
    url = f"file://{path}?lease={LEASE.total_seconds()}s"
    async with stage() as start:

        async def publisher(number: int) -> Actor:
            if number % 2:  # one of them does not await: alone, it commits in its own thread
                return await start("publish_here", url, f"r{number}", 1 + number % 4)
            return await start("publish", url, f"r{number}", 8)

        async def worker() -> Actor:
            return await start("work", url, IN_HAND)

        publishers = [await publisher(-1), await publisher(-2)]
        workers = [await worker(), await worker()]
        for number in range(rounds):
            for actors in (publishers, workers):
                await actors[0].until("ok" if actors is publishers else "got")
            await asyncio.sleep(chance.uniform(0, 0.1))
            victims = publishers.pop(0), workers.pop(0)
            for victim in victims:
                victim.kill()
            publishers.append(await publisher(number))
            workers.append(await worker())
            await asyncio.sleep(0)
            for victim in victims:
                await victim.process.wait()
                account.add(victim)
        for actor in publishers + workers:
            actor.kill()
            await actor.process.wait()
            await asyncio.sleep(0.01)  # its last lines
            account.add(actor)
    return account


def check(account: Account, left: Counter[str]) -> None:
    """Published = handled + waiting, but for what a killed worker had in hand; nothing else was ever seen."""
    in_doubt = account.confirmed - account.acked - left
    assert not account.confirmed - account.got, "lost"
    assert in_doubt.total() <= IN_HAND * account.killed, "acknowledged by nobody, and gone"
    assert not set(account.got) - set(account.tried), "delivered, but never published"
    assert not set(left) & set(account.acked), "came back after its acknowledgement was confirmed"
    assert max(left.values(), default=1) == 1, "stored twice"
    assert max(account.acked.values(), default=1) == 1, "acknowledged twice"


@pytest.mark.parametrize("rounds", [12, pytest.param(scaled(300), marks=pytest.mark.soak)])
async def test_a_killed_process_loses_nothing(path: Path, rounds: int) -> None:
    account = await kill_rounds(path, rounds, seed=rounds)
    left = await drain(path, account)

    assert account.killed == 2 * rounds + 4
    assert len(account.confirmed) > rounds
    assert account.acked, "the account of a run in which nothing happened proves nothing"
    check(account, left)
    assert is_sound(path) == "ok"


@pytest.mark.parametrize("fault", ["lost", "came back", "stored twice"])
def test_the_account_would_notice(fault: str) -> None:
    """The control: an account that is wrong is not passed."""
    account = Account(tried=Counter("abc"), confirmed=Counter("abc"), acked=Counter("ab"), got=Counter("abc"), killed=1)
    check(account, Counter("c"))
    left = {"lost": Counter(), "came back": Counter("ac"), "stored twice": Counter("cc")}[fault]
    if fault == "lost":
        account.got -= Counter("c")

    with pytest.raises(AssertionError, match=fault):
        check(account, left)


@pytest.mark.parametrize("rounds", [6, pytest.param(scaled(150), marks=pytest.mark.soak)])
async def test_an_acknowledgement_and_its_follow_up_are_one(path: Path, rounds: int) -> None:
    """A chain of messages, each the follow-up of the one before, has one link at any time: never none, never two."""
    chains = 20
    url = f"file://{path}?lease={LEASE.total_seconds()}s"
    passed = 0
    async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}", uid=f"chain{number}-0") for number in range(chains)])
        async with stage() as start:
            for _ in range(rounds):
                relay = await start("relay", url)
                await relay.until("passed", 20)
                relay.kill()
                await relay.process.wait()
                passed += len(relay.said("passed"))
                stats = await queue.stats()

                assert (stats.ready or 0) + (stats.reserved or 0) == chains
    assert passed >= 20 * rounds


async def test_a_killed_worker_costs_an_attempt_and_is_counted_as_lost(path: Path) -> None:
    url = f"file://{path}?lease={LEASE.total_seconds()}s"
    async with stage() as start, FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}", uid="poison")])
        for _ in range(2):
            worker = await start("hold", url)
            await worker.until("got")
            worker.kill()
            await worker.process.wait()

        (delivery,) = await queue.receive(1, timedelta(seconds=20))

        assert (delivery.attempt, delivery.lost) == (3, 2)
        assert (await queue.stats()).reserved == 1
