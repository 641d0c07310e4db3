"""Leases: a delivery is ours until its deadline, no longer, and nobody else's meanwhile."""

from __future__ import annotations

from pulpo_core.domain.errors import AdapterError, LeaseLost
from pulpo_core.domain.settlement import Ack, Bury, Release, Retry, Settlement
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import LATE_ACK, LEASES_END
from .settling import all_settlements


@clause("C060", needs=[LEASES_END])
async def a_lost_delivery_comes_again(bench: Bench) -> None:
    """A delivery that is not settled comes again, to anybody, when its lease has ended."""
    await bench.publish(bench.envelope(b"orphan"))
    first = await bench.take_one()
    await bench.pass_lease()

    second = await bench.take_one(queue=await bench.other())

    assert (second.id, second.envelope.body) == (first.id, b"orphan")


@clause("C061", needs=[LEASES_END])
async def a_lease_is_not_cut_short(bench: Bench) -> None:
    """Nobody else gets a message before its lease has ended."""
    await bench.publish(bench.envelope())
    other = await bench.other()
    await bench.take_one()
    began = bench.clock.monotonic()
    await bench.nothing_comes("it is in hand", queue=other)

    await bench.advance(0.7 * bench.lease)

    await bench.none_before(began + 0.9 * bench.lease, "it is still in hand", queue=other)


@clause("C062", needs=[LEASES_END])
async def extending_keeps_it(bench: Bench) -> None:
    """An extended delivery stays ours beyond its first lease, and can be settled then."""
    await bench.publish(bench.envelope())
    delivery, other = await bench.take_one(), await bench.other()
    await bench.advance(bench.lease * 2 / 3)
    (deadline,) = await bench.extend(delivery)
    assert isinstance(deadline, float), f"the extension was refused: {deadline!r}"

    await bench.advance(bench.lease * 2 / 3)

    await bench.none_before(deadline, "it was extended", queue=other)
    if bench.clock.monotonic() < deadline:
        await bench.ack(delivery)
        await bench.pass_lease()
        await bench.nothing_comes("it was acknowledged", queue=other)


@clause("C063", needs=[LEASES_END])
async def extending_never_shortens(bench: Bench) -> None:
    """The deadline after an extension is never before the deadline that was told first."""
    await bench.publish(bench.envelope())
    delivery = await bench.take_one()

    (deadline,) = await bench.extend(delivery)

    assert isinstance(deadline, float), f"the extension was refused: {deadline!r}"
    assert deadline >= delivery.lease.deadline - bench.caps.granularity.total_seconds()


@clause("C064", needs=[LEASES_END])
async def a_lost_lease_cannot_be_extended(bench: Bench) -> None:
    """Extending a delivery that another holder has by now is `LeaseLost`, and does not touch the other's."""
    await bench.publish(bench.envelope())
    stale, other = await bench.take_one(), await bench.other()
    await bench.pass_lease()
    fresh = await bench.take_one(queue=other)

    (answer,) = await bench.extend(stale)

    assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
    await bench.ack(fresh, queue=other)


@clause("C065")
async def a_settled_delivery_cannot_be_extended(bench: Bench) -> None:
    """Extending a settled delivery is `LeaseLost` and undoes nothing: no retry delay is overwritten."""
    settlements = all_settlements(bench)
    await bench.publish(*[bench.envelope(b"%d" % number) for number in range(4)])
    taken = sorted(await bench.take(4), key=lambda delivery: delivery.envelope.body)
    await bench.must_settle(list(zip(taken, settlements, strict=True)))
    retried = bench.clock.monotonic()

    answers = await bench.extend(*taken)

    assert all(isinstance(answer, LeaseLost) for answer in answers), f"expected LeaseLost each time, not {answers}"
    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"3"], "the released one alone is ready"
    await bench.advance(0.95 * bench.delay - (bench.clock.monotonic() - retried))
    came = await bench.none_before(retried + 0.95 * bench.delay, "the delay is not over")
    await bench.advance(retried + bench.delay + bench.tolerance - bench.clock.monotonic())
    assert [delivery.envelope.body for delivery in [*came, *await bench.drain()]] == [b"1"], "the delay is over"


@clause("C067", needs=[LEASES_END])
async def extending_touches_no_other(bench: Bench) -> None:
    """Extending one delivery does not extend its neighbour."""
    await bench.publish(bench.envelope(b"extended"), bench.envelope(b"left"))
    taken = {delivery.envelope.body: delivery for delivery in await bench.take(2)}
    await bench.advance(0.7 * bench.lease)
    (deadline,) = await bench.extend(taken[b"extended"])

    await bench.advance(0.3 * bench.lease + bench.tolerance)

    came = {delivery.envelope.body for delivery in await bench.receive(2, queue=await bench.other())}
    assert b"left" in came, "the lease of the other has ended"
    assert isinstance(deadline, float), f"the extension was refused: {deadline!r}"
    assert came == {b"left"} or bench.clock.monotonic() >= deadline, "the extended one came too"


@clause("C068", needs=[LEASES_END])
async def deadlines_are_told_with_care(bench: Bench) -> None:
    """The deadline that a delivery tells is not after the end of its lease: until then it is safe to settle."""
    await bench.publish(bench.envelope())
    before = bench.clock.monotonic()
    delivery = await bench.take_one()

    assert delivery.lease.deadline <= bench.clock.monotonic() + bench.lease
    assert delivery.lease.deadline > before
    assert not delivery.lease_lost
    await bench.advance(delivery.lease.deadline - bench.clock.monotonic() - 0.1 * bench.lease)
    await bench.none_before(delivery.lease.deadline, "its deadline is not reached", queue=await bench.other())


@clause("C069", hooks=["cut_connection"])
async def a_cut_connection_gives_back(bench: Bench) -> None:
    """What a holder had in hand when its connection was cut comes again, at once or when the lease ends."""
    await bench.publish(bench.envelope())
    holder = await bench.other()
    first = await bench.take_one(queue=holder)
    await bench.call(bench.harness.cut_connection(holder))

    await bench.pass_lease()

    assert (await bench.persist(bench.take_one)).id == first.id


@clause("C070", needs=[LEASES_END])
async def closing_leaks_no_lease(bench: Bench) -> None:
    """What a holder had in hand when it closed comes again, at once or when the lease ends, and is not lost."""
    await bench.publish(bench.envelope(), bench.envelope())
    async with bench.opened(bench.url) as holder:
        held = await bench.take(2, queue=holder)

    await bench.pass_lease()

    assert {delivery.id for delivery in await bench.take(2)} == {delivery.id for delivery in held}


@clause("C071")
async def waiting_holds_up_nothing(bench: Bench) -> None:
    """While a receive waits, the same holder can publish, settle and extend."""
    await bench.publish(bench.envelope(), bench.envelope())
    done, extended = await bench.take(2)
    waiting = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)

    await bench.finish(bench.begin(bench.ack(done)), within=2 * bench.tolerance)
    (deadline,) = await bench.finish(bench.begin(bench.extend(extended)), within=2 * bench.tolerance)

    assert isinstance(deadline, float), f"the extension was refused: {deadline!r}"
    (name,) = await bench.publish(bench.envelope())
    received = await bench.finish(waiting, within=2 * bench.caps.max_wait.total_seconds())
    assert [delivery.id for delivery in received] == [name]


@clause("C072", needs=[LEASES_END])
async def a_lease_near_its_end_disturbs_nobody(bench: Bench) -> None:
    """A delivery whose lease is about to end does not keep its holder from receiving others."""
    await bench.publish(bench.envelope())
    held = await bench.take_one()
    await bench.advance(0.8 * bench.lease)
    (name,) = await bench.publish(bench.envelope())

    received = await bench.receive(1, wait=bench.lease / 2)

    assert [delivery.id for delivery in received] in ([name], [held.id])
    assert received[0].id == name or bench.clock.monotonic() >= held.lease.deadline


@clause("C073", needs=[LEASES_END])
async def an_ended_lease_wakes_receives(bench: Bench) -> None:
    """A receive that waits gets a message whose lease ends meanwhile, not only at the end of its wait."""
    await bench.publish(bench.envelope())
    first, other = await bench.take_one(), await bench.other()
    latest = bench.clock.monotonic() + bench.lease + 3 * bench.tolerance
    received: list[str] = []
    while not received and bench.clock.monotonic() < latest:
        wait = bench.caps.max_wait.total_seconds()
        received = [delivery.id for delivery in await bench.receive(1, wait=wait, queue=other)]

    assert received == [first.id], "the lease has ended, but the message has not come"
    assert bench.clock.monotonic() <= latest, "the lease had ended long before the message came"


@clause("C033", needs=[LEASES_END, LATE_ACK])
async def a_late_ack_is_safe(bench: Bench) -> None:
    """A late acknowledgement removes its own message, also from the hands of another, or nothing at all."""
    await bench.publish(bench.envelope())
    stale, other = await bench.take_one(), await bench.other()
    await bench.pass_lease()
    fresh = await bench.take_one(queue=other)
    await bench.publish(bench.envelope(b"bystander"))

    answer = await bench.settle(stale, Ack())

    assert answer is None or isinstance(answer, LeaseLost), f"expected None or LeaseLost, not {answer!r}"
    await bench.settle(fresh, Ack(), queue=other)
    await bench.pass_lease()
    assert [delivery.envelope.body for delivery in await bench.drain()] == [b"bystander"]


@clause("C075", needs=[LEASES_END])
async def a_stale_delivery_settles_nothing(bench: Bench) -> None:
    """Once another holder has the message, no settlement of the first is accepted, and the other's holds."""
    other = await bench.other()
    acks: list[Settlement] = [] if bench.caps.late_ack else [Ack()]
    for settlement in (*acks, Retry(bench.delay), Bury("late"), Release()):
        await bench.publish(bench.envelope())
        stale = await bench.take_one()
        await bench.pass_lease()
        fresh = await bench.take_one(queue=other)

        answer = await bench.settle(stale, settlement)

        assert isinstance(answer, LeaseLost), f"a stale {type(settlement).__name__} was answered {answer!r}"
        await bench.nothing_comes("the other has it in hand")
        await bench.ack(fresh, queue=other)
    await bench.counts(ready=0, delayed=0, reserved=0, buried=0)


@clause("C076", needs=[LEASES_END])
async def extending_answers_item_by_item(bench: Bench) -> None:
    """One delivery of a batch that cannot be extended is an error in its place; the others are extended."""
    await bench.publish(*[bench.envelope() for _ in range(3)])
    one, settled, two = await bench.take(3)
    await bench.ack(settled)

    answers = await bench.extend(one, settled, two)

    assert isinstance(answers[1], AdapterError), f"a settled delivery was extended: {answers[1]!r}"
    assert isinstance(answers[0], float), f"the extension was refused: {answers[0]!r}"
    assert isinstance(answers[2], float), f"the extension was refused: {answers[2]!r}"
