"""Burial: set aside with everything a person needs to know, until somebody kicks or deletes it."""

from __future__ import annotations

from datetime import timedelta

from pulpo_core.domain.errors import LeaseLost, MessageNotFound
from pulpo_core.domain.settlement import Ack, Bury, Reason
from pulpo_core.ports.adapter import Record
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import ARRIVAL_ORDER, DELAYS, LEASES_END, TRIABLE_LIMIT

_TEN_YEARS = 3650 * 86_400.0


async def bury(bench: Bench, *bodies: bytes, reason: str = Reason.FATAL.value, error: str = "ValueError: no") -> None:
    """Publish, receive and bury one message for each body, one after another."""
    for body in bodies:
        await bench.publish(bench.envelope(body))
        await bench.must_settle([(await bench.take_one(), Bury(reason, error))])


@clause("C090")
async def the_buried_stay_buried(bench: Bench) -> None:
    """A buried message is not handed out again, to anybody, however long one waits."""
    await bury(bench, b"dead")

    await bench.nothing_comes("it was buried")
    await bench.pass_lease()
    await bench.nothing_comes("it was buried", queue=await bench.other())
    if bench.harness.time != "real":
        await bench.advance(_TEN_YEARS)
        await bench.nothing_comes("it was buried")


@clause("C091")
async def burial_keeps_everything(bench: Bench) -> None:
    """A buried message tells its bytes, its reason, the last error, its attempts and when it was buried."""
    await bench.publish(bench.envelope(b"whole"))
    await bench.retry_at_once(await bench.take_one())
    await bench.must_settle([(await bench.take_one(), Bury("no-handler", "no handler for request type 'x'"))])

    (record,) = await bench.buried()

    assert record.envelope.body == b"whole"
    assert (record.reason, record.error) == ("no-handler", "no handler for request type 'x'")
    assert record.attempts == 2
    assert record.buried_at is not None
    assert abs(bench.clock.now() - record.buried_at) <= timedelta(seconds=5 + bench.tolerance)


@clause("C092", needs=[TRIABLE_LIMIT])
async def burial_needs_no_room(bench: Bench) -> None:
    """A message of the largest size can be buried with a long reason and error; its body stays whole."""
    body = b"y" * (bench.caps.max_body_bytes or 0)
    await bury(bench, body, reason="r" * 200, error="e" * 5000)

    (record,) = await bench.buried()

    assert record.envelope.body == body, "the body was changed"
    assert record.reason, "the reason is lost"


@clause("C093")
async def burial_ends_the_delivery(bench: Bench) -> None:
    """A delivery that was buried cannot be acknowledged any more: the message stays buried."""
    await bench.publish(bench.envelope())
    delivery = await bench.take_one()
    await bench.must_settle([(delivery, Bury("fatal"))])

    answer = await bench.settle(delivery, Ack())

    assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
    assert len(await bench.buried()) == 1


@clause("C094", needs=[LEASES_END])
async def a_stale_burial_is_refused(bench: Bench) -> None:
    """A holder whose lease went to another cannot bury the message: it stays with the other, unburied."""
    await bench.publish(bench.envelope())
    stale, other = await bench.take_one(), await bench.other()
    await bench.pass_lease()
    fresh = await bench.take_one(queue=other)

    answer = await bench.settle(stale, Bury("late"))

    assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
    await bench.ack(fresh, queue=other)
    assert not await bench.buried()


@clause("C095")
async def kicking_so_many(bench: Bench) -> None:
    """Kicking with a limit makes so many ready, the oldest burials first, and leaves the others buried."""
    await bury(bench, b"1", b"2", b"3")

    kicked = await bench.call(bench.queue.kick(limit=2))

    assert kicked == 2
    assert sorted(delivery.envelope.body for delivery in await bench.drain()) == [b"1", b"2"]
    assert [record.envelope.body for record in await bench.buried()] == [b"3"]


@clause("C105")
async def kicking_one(bench: Bench) -> None:
    """Kicking by id makes just that message ready."""
    await bury(bench, b"1", b"2", b"3")
    names = {record.envelope.body: record.id for record in await bench.buried()}

    assert await bench.call(bench.queue.kick([names[b"2"]])) == 1

    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"2"]
    assert sorted(record.envelope.body for record in await bench.buried()) == [b"1", b"3"]


@clause("C106")
async def kicking_all(bench: Bench) -> None:
    """Kicking without ids and limit makes every buried message ready; with none it kicks none."""
    assert await bench.call(bench.queue.kick()) == 0
    await bury(bench, b"1", b"2", b"3")

    assert await bench.call(bench.queue.kick()) == 3

    assert len(await bench.drain()) == 3
    assert not await bench.buried()


@clause("C096", needs=[ARRIVAL_ORDER])
async def the_kicked_come_in_order(bench: Bench) -> None:
    """Kicked messages of one priority come in the order of their arrival."""
    await bury(bench, b"1", b"2", b"3")
    await bench.call(bench.queue.kick())

    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"1", b"2", b"3"]


@clause("C097", needs=[DELAYS])
async def kicking_leaves_the_delayed_alone(bench: Bench) -> None:
    """Kicking touches buried messages only: what is delayed stays delayed, also when nothing is buried."""
    await bench.publish(bench.delayed(60 + bench.delay))

    assert await bench.call(bench.queue.kick()) == 0
    await bench.nothing_comes("it is delayed")
    await bury(bench, b"dead")
    assert await bench.call(bench.queue.kick(limit=10)) == 1

    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"dead"]


@clause("C083")
async def a_kick_gives_a_fresh_budget(bench: Bench) -> None:
    """A kicked message starts again with attempt 1 and nothing lost."""
    await bench.publish(bench.envelope())
    await bench.retry_at_once(await bench.take_one())
    await bench.must_settle([(await bench.take_one(), Bury("fatal"))])
    await bench.call(bench.queue.kick())

    delivery = await bench.take_one()

    assert (delivery.attempt, delivery.lost) == (1, 0)


@clause("C098")
async def the_buried_can_be_deleted(bench: Bench) -> None:
    """A buried message that is deleted is gone; the other stays."""
    await bury(bench, b"1", b"2")
    first, second = await bench.buried()

    answers = await bench.call(bench.queue.delete([first.id]))

    assert list(answers) == [None]
    assert [record.id for record in await bench.buried()] == [second.id]
    assert await bench.call(bench.queue.kick()) == 1


@clause("C101")
async def the_buried_are_counted(bench: Bench) -> None:
    """Buried messages are counted as buried, and as nothing else."""
    await bury(bench, b"1", b"2")

    await bench.counts(buried=2, ready=0, reserved=0, delayed=0)


@clause("C102")
async def kicking_nobody_kicks_nobody(bench: Bench) -> None:
    """Kicking an id that is not buried here is `MessageNotFound`, and nothing was kicked beside it."""
    await bury(bench, b"1")
    (record,) = await bench.buried()
    (ready,) = await bench.publish(bench.envelope(b"ready"))

    await bench.refuses(bench.queue.kick([record.id, ready]), MessageNotFound)

    assert [each.id for each in await bench.buried()] == [record.id]


@clause("C103")
async def a_second_burial_tells_its_own_reason(bench: Bench) -> None:
    """Buried, kicked and buried again, a message is still there, once, with the reason of the second burial."""
    await bury(bench, b"twice", reason="fatal", error="first error")
    await bench.call(bench.queue.kick())
    await bench.must_settle([(await bench.take_one(), Bury("expired", "second error"))])

    (record,) = await bench.buried()

    assert _told(record) == (b"twice", "expired", "second error")


def _told(record: Record) -> tuple[bytes, str | None, str | None]:
    return record.envelope.body, record.reason, record.error


@clause("C104")
async def pages_of_the_buried(bench: Bench) -> None:
    """Buried messages are told oldest burial first, up to a limit; a page that is not all says so."""
    await bury(bench, b"1", b"2", b"3")

    whole = await bench.call(bench.queue.buried(limit=3))
    part = await bench.call(bench.queue.buried(limit=2))

    assert [record.envelope.body for record in whole.records] == [b"1", b"2", b"3"]
    assert [record.envelope.body for record in part.records] == [b"1", b"2"]
    assert part.partial
    assert part.note, "why a page is not all is said in a sentence"
