"""Order: by priority, then by arrival, and within a group one after another, where declared."""

from __future__ import annotations

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.message import DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY
from pulpo_core.domain.settlement import Bury, Release
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import ARRIVAL_ORDER, DELAYS, GROUPS, LEASES_END, PRIORITIES


def bodies(deliveries: list[Delivery]) -> list[bytes]:
    """What came, in order."""
    return [delivery.envelope.body for delivery in deliveries]


async def one_by_one(bench: Bench, number: int) -> list[bytes]:
    """Receive and acknowledge one after another."""
    came = []
    for _ in range(number):
        delivery = await bench.take_one()
        came.append(delivery.envelope.body)
        await bench.ack(delivery)
    return came


@clause("C110", needs=[PRIORITIES])
async def urgent_ones_come_first(bench: Bench) -> None:
    """Ready messages come in the order of their priority numbers, over the whole range of them."""
    numbers = [DEFAULT_PRIORITY, LAST_PRIORITY, FIRST_PRIORITY, DEFAULT_PRIORITY + 1, 1, DEFAULT_PRIORITY - 1]
    await bench.publish(*[bench.envelope(priority=number) for number in numbers])

    came = [await bench.take_one() for _ in numbers]

    assert [delivery.envelope.priority for delivery in came] == sorted(numbers)


@clause("C111", needs=[ARRIVAL_ORDER])
async def equals_come_in_order_of_arrival(bench: Bench) -> None:
    """Messages of one priority come in the order in which they were published, however they are received."""
    sent = [b"%03d" % number for number in range(40)]
    await bench.publish_bodies(*sent[:20])
    for body in sent[20:]:
        await bench.publish_bodies(body)

    came = [*await one_by_one(bench, 10), *bodies(await bench.take(30))]

    assert came == sent


@clause("C112", needs=[ARRIVAL_ORDER])
async def what_comes_back_comes_to_its_place(bench: Bench) -> None:
    """A message that was retried or released is handed out before those that arrived after it."""
    await bench.publish_bodies(b"1", b"2", b"3", b"4")
    first, second = await bench.take(2)
    await bench.must_settle([(second, Release())])
    await bench.retry_at_once(first)

    assert await one_by_one(bench, 4) == [b"1", b"2", b"3", b"4"]


@clause("C118", needs=[PRIORITIES, DELAYS])
async def the_urgent_overtake_when_due(bench: Bench) -> None:
    """A delayed message takes the place of its priority as soon as its delay is over."""
    await bench.publish(bench.envelope(b"plain"), bench.envelope(b"last", priority=LAST_PRIORITY))
    due = bench.delayed(bench.delay, b"urgent", priority=FIRST_PRIORITY)
    await bench.publish(due)
    await bench.advance(bench.delay + bench.tolerance)

    assert await one_by_one(bench, 3) == [b"urgent", b"plain", b"last"]


@clause("C117", needs=[GROUPS])
async def a_group_comes_in_its_order(bench: Bench) -> None:
    """Messages of a group come in the order in which they were published, also where one receive brings several."""
    for number in range(6):
        await bench.publish(bench.envelope(b"%d" % number, group="g"))

    came: list[bytes] = []
    while len(came) < 6:
        received = await bench.receive(10, wait=bench.delay)
        assert received, f"only {len(came)} of 6 messages came"
        came += bodies([*received])
        await bench.ack(*received)

    assert came == [b"%d" % number for number in range(6)]


@clause("C113", needs=[GROUPS])
async def a_group_is_handed_out_one_by_one(bench: Bench) -> None:
    """While one message of a group is in hand, nobody gets another of it; other groups go on."""
    await bench.publish(
        bench.envelope(b"a1", group="a"), bench.envelope(b"a2", group="a"), bench.envelope(b"b1", group="b")
    )

    first = await bench.take_one()
    rest = await bench.receive(10, queue=await bench.other())

    assert first.envelope.body == b"a1"
    assert bodies([*rest]) == [b"b1"]


@clause("C114", needs=[GROUPS])
async def a_group_goes_on(bench: Bench) -> None:
    """A group goes on when its message is acknowledged, buried, or lost and settled at last."""
    await bench.publish(*[bench.envelope(b"%d" % number, group="g") for number in range(4)])
    await bench.ack(await bench.take_one())
    await bench.must_settle([(await bench.take_one(), Bury("fatal"))])
    third = await bench.take_one()
    if bench.caps.lease is None:
        await bench.must_settle([(third, Release())])
    await bench.pass_lease()

    assert await one_by_one(bench, 2) == [b"2", b"3"]


@clause("C115", needs=[GROUPS])
async def a_failure_keeps_the_order_of_its_group(bench: Bench) -> None:
    """While a failed message of a group waits for its retry, nothing after it in the group is handed out."""
    await bench.publish(*[bench.envelope(b"%d" % number, group="g") for number in range(3)])
    await bench.retry(await bench.take_one(), bench.delay)
    await bench.nothing_comes("the first of the group waits for its retry")

    await bench.advance(bench.delay + bench.tolerance)

    assert await one_by_one(bench, 3) == [b"0", b"1", b"2"]


@clause("C116", needs=[GROUPS])
async def a_released_message_stays_head_of_its_group(bench: Bench) -> None:
    """A message of a group that was given back comes before the next of its group."""
    await bench.publish(*[bench.envelope(b"%d" % number, group="g") for number in range(3)])
    await bench.must_settle([(await bench.take_one(), Release())])

    assert await one_by_one(bench, 3) == [b"0", b"1", b"2"]


@clause("C119", needs=[GROUPS, LEASES_END])
async def a_group_survives_a_crash_in_order(bench: Bench) -> None:
    """A message of a group that was lost comes again before the next of its group."""
    await bench.publish(*[bench.envelope(b"%d" % number, group="g") for number in range(3)])
    await bench.take_one()
    await bench.nothing_comes("the first of the group is in hand", queue=await bench.other())
    await bench.pass_lease()

    assert await one_by_one(bench, 3) == [b"0", b"1", b"2"]
