"""Settling: each settlement does what it says, once, to its own message alone."""

from __future__ import annotations

import attrs

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import AdapterError, LeaseLost
from pulpo_core.domain.settlement import Ack, Bury, Release, Retry, Settlement
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import FREE_RELEASE, LEASES_END


def all_settlements(bench: Bench) -> tuple[Settlement, ...]:
    """One of each kind; the retry with a delay that the queue keeps."""
    return Ack(), Retry(bench.delay), Bury("asked"), Release()


@clause("C030")
async def acknowledged_is_gone(bench: Bench) -> None:
    """An acknowledged message is gone for everybody, also when its lease would have ended."""
    await bench.publish(bench.envelope())
    await bench.ack(await bench.take_one())

    await bench.nothing_comes("it was acknowledged")
    await bench.pass_lease()
    await bench.nothing_comes("it was acknowledged", queue=await bench.other())


@clause("C031")
async def settling_twice_alike_is_no_error(bench: Bench) -> None:
    """Settling a delivery again in the same way is not an error, and does nothing more."""
    settlements = all_settlements(bench)[:3]  # what is released may be somebody else's by then
    await bench.publish(*[bench.envelope() for _ in settlements])
    pairs = list(zip(await bench.take(3), settlements, strict=True))
    await bench.must_settle(pairs)

    await bench.must_settle(pairs)

    await bench.nothing_comes("none of them is ready")
    assert len(await bench.buried()) == 1
    await bench.advance(bench.delay + bench.tolerance)
    assert [delivery.id for delivery in await bench.drain()] == [pairs[1][0].id], "the retried one alone comes"


@clause("C032")
async def the_first_settlement_holds(bench: Bench) -> None:
    """A delivery that was settled cannot be settled otherwise: the second is `LeaseLost` and changes nothing."""
    await bench.publish(bench.envelope(b"retried"), bench.envelope(b"buried"), bench.envelope(b"acked"))
    taken = {delivery.envelope.body: delivery for delivery in await bench.take(3)}
    retried, buried, acked = taken[b"retried"], taken[b"buried"], taken[b"acked"]
    await bench.must_settle([(retried, Retry(bench.delay)), (buried, Bury("asked")), (acked, Ack())])

    answers = await bench.settle_all(
        [(retried, Ack()), (buried, Ack()), (retried, Bury("asked")), (buried, Release()), (acked, Release())]
    )

    assert all(isinstance(answer, LeaseLost) for answer in answers), f"expected LeaseLost each time, not {answers}"
    await bench.nothing_comes("none of them is ready")
    assert [record.envelope.body for record in await bench.buried()] == [b"buried"]
    await bench.advance(bench.delay + bench.tolerance)
    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"retried"]


@clause("C034", needs=[LEASES_END])
async def a_late_ack_is_told(bench: Bench) -> None:
    """Acknowledging after the lease ended either removes the message or is `LeaseLost`, as the queue declares."""
    await bench.publish(bench.envelope())
    delivery = await bench.take_one()
    await bench.pass_lease()

    answer = await bench.settle(delivery, Ack())

    if answer is None:
        assert bench.caps.late_ack, "a late acknowledgement was accepted, which the queue does not declare"
        await bench.nothing_comes("it was acknowledged, if late")
    else:
        assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
        assert (await bench.take_one()).id == delivery.id


@clause("C035")
async def partial_failure_is_told_item_by_item(bench: Bench) -> None:
    """One item of a batch that cannot be settled is an error in its place; the others are settled."""
    await bench.publish(bench.envelope())
    stale = await bench.take_one()
    await bench.settle(stale, Release())
    (again,) = await bench.take()
    await bench.publish(*[bench.envelope() for _ in range(3)])
    live = await bench.take(3)

    answers = await bench.settle_all([(live[0], Ack()), (stale, Bury("late")), (live[1], Ack()), (live[2], Ack())])

    assert isinstance(answers[1], LeaseLost), f"the settlement of a lost delivery was answered {answers[1]!r}"
    assert [answers[0], answers[2], answers[3]] == [None, None, None]
    await bench.ack(again)
    await bench.pass_lease()
    await bench.nothing_comes("all were acknowledged")


@clause("C036")
async def settling_at_the_same_time(bench: Bench) -> None:
    """Two tasks that acknowledge one delivery at once are both told that it is done."""
    await bench.publish(bench.envelope(), bench.envelope())
    delivery, other = await bench.take(2)

    answers = await bench.together(*[bench.settle(delivery, Ack()) for _ in range(2)])

    assert answers == [None, None]
    await bench.ack(other)
    await bench.pass_lease()
    await bench.nothing_comes("both were acknowledged")


@clause("C037")
async def a_receipt_is_good_for_its_own_queue(bench: Bench) -> None:
    """Settling at one queue what another handed out touches no message of the first."""
    elsewhere = await bench.elsewhere()
    await bench.publish(bench.envelope(b"here"))
    await elsewhere.publish(bench.envelope(b"there"))
    here, there = await bench.take_one(), await elsewhere.take_one()

    await bench.settle(there, Ack())

    await bench.must_settle([(here, Release())])
    assert (await bench.take_one()).envelope.body == b"here"


@clause("C039")
async def another_holder_does_no_harm(bench: Bench) -> None:
    """A delivery that another holder of the queue settles is settled, or refused and still in hand; never half."""
    await bench.publish(bench.envelope())
    delivery = await bench.take_one()

    answer = await bench.settle(delivery, Ack(), queue=await bench.other())

    if answer is not None:
        await bench.ack(delivery)
    await bench.pass_lease()
    await bench.nothing_comes("it was acknowledged")


@clause("C038")
async def many_are_settled_at_once(bench: Bench) -> None:
    """A batch longer than what one call to the broker carries is settled whole."""
    number = min(2 * bench.caps.max_batch + 1, 501)
    await bench.publish(*[bench.envelope() for _ in range(number)])

    await bench.ack(*await bench.take(number))

    await bench.pass_lease()
    await bench.nothing_comes("all were acknowledged")


@clause("C051")
async def released_is_ready_at_once(bench: Bench) -> None:
    """A released message is ready for others at once, unchanged."""
    (name,) = await bench.publish(bench.envelope(b"given back"))
    await bench.must_settle([(await bench.take_one(), Release())])

    again = await bench.take_one(queue=await bench.other())

    assert (again.id, again.envelope.body) == (name, b"given back")


@clause("C052", needs=[FREE_RELEASE])
async def releasing_is_nobodys_fault(bench: Bench) -> None:
    """Giving back does not count as an attempt, where the queue declares no slack for it."""
    await bench.publish(bench.envelope())
    for _ in range(3):
        await bench.must_settle([(await bench.take_one(), Release())])

    delivery = await bench.take_one()

    assert (delivery.attempt, delivery.lost) == (1, 0)


@clause("C053")
async def one_delivery_twice_in_a_batch(bench: Bench) -> None:
    """A batch that names one delivery twice settles it once and answers for both."""
    await bench.publish(bench.envelope(), bench.envelope())
    first, second = await bench.take(2)

    await bench.must_settle([(first, Ack()), (second, Ack()), (first, Ack())])

    await bench.pass_lease()
    await bench.nothing_comes("both were acknowledged")


@clause("C054")
async def a_mixed_batch(bench: Bench) -> None:
    """Settlements of all kinds travel in one batch, each to its own message."""
    await bench.publish(*[bench.envelope(b"%d" % number) for number in range(4)])
    taken = sorted(await bench.take(4), key=lambda delivery: delivery.envelope.body)

    await bench.must_settle(list(zip(taken, all_settlements(bench), strict=True)))

    assert [delivery.envelope.body for delivery in await bench.take(1)] == [b"3"], "the released one is ready"
    await bench.nothing_comes("the others are gone, delayed and buried")
    assert [record.envelope.body for record in await bench.buried()] == [b"2"]
    await bench.advance(bench.delay + bench.tolerance)
    later = {delivery.envelope.body for delivery in await bench.drain()}
    assert b"1" in later, "the retried one comes after its delay"
    assert not later & {b"0", b"2"}, "acknowledged and buried ones never come"


@clause("C055")
async def an_answer_is_none_or_an_adapter_error(bench: Bench) -> None:
    """A delivery without a receipt is refused in its place: the call does not raise, and its neighbour is settled."""
    await bench.publish(bench.envelope(), bench.envelope())
    first, second = await bench.take(2)
    forged = _without_receipt(first)

    refused, settled = await bench.settle_all([(forged, Ack()), (second, Ack())])

    assert isinstance(refused, AdapterError), f"a delivery without a receipt was answered {refused!r}"
    assert settled is None
    await bench.must_settle([(first, Release())])
    assert (await bench.take_one()).id == first.id, "the forged settlement changed nothing"


def _without_receipt(delivery: Delivery) -> Delivery:
    return attrs.evolve(delivery, receipt=None)
