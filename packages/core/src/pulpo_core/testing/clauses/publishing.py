"""Publishing and receiving: what goes in comes out, whole and once, to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError, ConfigurationError
from pulpo_core.ports.adapter import Queue
from pulpo_core.ports.offers import BlockingPublisher
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause


@clause("C001")
async def bodies_come_back(bench: Bench) -> None:
    """Every published envelope is received once, with its bytes, and under the id that publish gave."""
    envelopes = [bench.envelope() for _ in range(100)]

    ids = await bench.publish(*envelopes)
    taken = await bench.take(100)

    assert all(ids), "an id is never empty"
    assert len(set(ids)) == 100, "every message has an id of its own"
    sent = {name: envelope.body for name, envelope in zip(ids, envelopes, strict=True)}
    assert {delivery.id: delivery.envelope.body for delivery in taken} == sent
    await bench.nothing_comes("each message was received once")


@clause("C002")
async def confirmed_is_stored(bench: Bench) -> None:
    """What publish has confirmed is there for anybody who opens the queue later."""
    (name,) = await bench.publish(bench.envelope())

    later = await bench.other()

    assert (await bench.take_one(queue=later)).id == name


@clause("C003")
async def an_empty_queue_is_waited_for(bench: Bench) -> None:
    """Receiving from an empty queue returns nothing, not before the wait is over and soon after it."""
    wait = min(bench.delay, bench.caps.max_wait.total_seconds())
    began = bench.clock.monotonic()

    received = await bench.receive(1, wait=wait)

    waited = bench.clock.monotonic() - began
    assert not received
    assert waited >= 0.9 * wait, f"gave up after {waited:g} s of {wait:g} s"


@clause("C004")
async def a_waiting_receive_wakes(bench: Bench) -> None:
    """A receive that waits gets what another holder publishes, long before its wait is over."""
    wait = bench.caps.max_wait.total_seconds()
    publisher = await bench.other()
    receiving = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)
    (name,) = await bench.publish(bench.envelope(), queue=publisher)

    received = await bench.finish(receiving, within=max(wait / 2, bench.tolerance))

    assert [delivery.id for delivery in received] == [name]


@clause("C005")
async def the_limit_is_kept(bench: Bench) -> None:
    """A receive never hands out more than its limit, and leaves the rest for others."""
    await bench.publish(*[bench.envelope() for _ in range(12)])

    for limit in (1, 3, 5):
        received = await bench.receive(limit, wait=bench.delay)
        assert len(received) <= limit, f"{len(received)} came where at most {limit} were asked for"
        await bench.ack(*received)

    assert len(await bench.drain(queue=await bench.other())) >= 3


@clause("C006")
async def queues_are_apart(bench: Bench) -> None:
    """What is published to one queue never comes out of another."""
    elsewhere = await bench.elsewhere()
    await bench.publish(bench.envelope(b"here"))
    await elsewhere.nothing_comes("nothing was published there yet")
    await elsewhere.publish(bench.envelope(b"there"))

    here, there = await bench.take_one(), await elsewhere.take_one()

    assert (here.envelope.body, there.envelope.body) == (b"here", b"there")
    await bench.nothing_comes("nothing is left here")
    await elsewhere.nothing_comes("nothing is left there")


@clause("C007")
async def competitors_share(bench: Bench) -> None:
    """Several holders that receive at once get every message between them, each message once."""
    ids = await bench.publish(*[bench.envelope() for _ in range(bench.harness.volume)])
    holders = [bench.queue, *[await bench.other() for _ in range(3)]]

    shares = await bench.together(*[_work(bench, queue) for queue in holders])

    handled = sorted(name for share in shares for name in share)
    assert handled == sorted(ids), "each message is handled once"


async def _work(bench: Bench, queue: Queue) -> list[str]:
    handled: list[str] = []
    while received := await bench.receive(7, queue=queue):
        await asyncio.sleep(0)  # the others get their turn while this one has something in hand
        await bench.ack(*received, queue=queue)
        handled.extend(delivery.id for delivery in received)
    return handled


@clause("C009")
async def a_batch_has_no_size(bench: Bench) -> None:
    """A batch longer than what one call to the broker carries is published whole."""
    number = min(2 * bench.caps.max_batch + 1, 1001)

    ids = await bench.publish(*[bench.envelope() for _ in range(number)])

    assert len(set(ids)) == number
    assert {delivery.id for delivery in await bench.drain()} == set(ids)


@clause("C010")
async def ids_are_never_given_twice(bench: Bench) -> None:
    """The id of a message that is gone is not given to another."""
    seen: set[str] = set()
    for _ in range(5):
        ids = await bench.publish(bench.envelope(), bench.envelope())
        assert not seen.intersection(ids), "an id was given again"
        seen.update(ids)
        await bench.ack(*await bench.take(2))


@clause("C011", hooks=["missing_url"])
async def a_missing_queue_is_told(bench: Bench) -> None:
    """A queue that does not exist is a configuration error on entering or at the first use, never an empty queue."""
    await bench.refuses(_use(bench, bench.harness.missing_url()), ConfigurationError)


async def _use(bench: Bench, url: str) -> object:
    async with bench.opened(url) as queue:
        return await queue.receive(1, timedelta())


@clause("C014")
async def what_is_there_comes_at_once(bench: Bench) -> None:
    """A receive returns as soon as there is anything; it does not wait for its limit to be reached."""
    await bench.publish(bench.envelope())
    wait = bench.caps.max_wait.total_seconds()
    began = bench.clock.monotonic()

    received = await bench.receive(10, wait=wait)

    assert len(received) == 1
    assert bench.clock.monotonic() - began <= max(wait / 2, bench.tolerance)


@clause("C015")
async def a_long_wait_is_shortened(bench: Bench) -> None:
    """A wait over the longest that the queue declares is shortened to it, not refused."""
    if bench.harness.time == "real":
        await bench.publish(bench.envelope())  # nobody waits that long for nothing

    longest = bench.caps.max_wait
    waiting = bench.begin(bench.queue.receive(1, 10 * longest))

    await bench.finish(waiting, within=longest.total_seconds() + 2 * bench.tolerance)


@clause("C016")
async def what_a_delivery_says_is_true(bench: Bench) -> None:
    """A delivery tells the publisher's uid or the queue's own name for it, and aware moments."""
    envelope = bench.envelope()
    (name,) = await bench.publish(envelope)

    received = (await bench.take_one()).envelope

    foreign = f"{bench.harness.adapter().scheme}:{name}"
    assert received.uid in {envelope.uid, foreign}, f"uid {received.uid!r} is neither its own nor {foreign!r}"
    assert received.published_at is None or received.published_at.tzinfo is not None, "published_at must be aware"
    assert received.not_before is None or received.not_before <= bench.clock.now()


@clause("C017")
async def empty_batches_are_no_work(bench: Bench) -> None:
    """Publishing, settling and extending nothing answers nothing."""
    assert list(await bench.call(bench.queue.publish([]))) == []
    assert list(await bench.call(bench.queue.settle([]))) == []
    assert list(await bench.call(bench.queue.extend([]))) == []


@clause("C027", hooks=["publish_raw"])
async def foreign_messages_are_received(bench: Bench) -> None:
    """What a foreign producer has put into the queue comes out byte for byte, named after the queue's own id."""
    await bench.harness.publish_raw(bench.url, b"not one of ours: {]")

    delivery = await bench.take_one()

    assert delivery.envelope.body == b"not one of ours: {]"
    assert delivery.envelope.uid.startswith(f"{bench.harness.adapter().scheme}:")
    await bench.ack(delivery)


@clause("C018", offer=BlockingPublisher)
async def blocking_is_publishing(bench: Bench) -> None:
    """What is published in the calling thread is stored like any other, and wakes whoever waits for it."""
    sent = [bench.envelope() for _ in range(3)]
    ids = await _publish_blocking(bench, *sent)
    taken = await bench.take(3)
    receiving = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)
    later = await _publish_blocking(bench, bench.envelope())
    received = await bench.finish(receiving, within=bench.caps.max_wait.total_seconds() / 2)

    bodies = {delivery.id: delivery.envelope.body for delivery in taken}
    assert bodies == {str(name): envelope.body for name, envelope in zip(ids, sent, strict=True)}
    assert [delivery.id for delivery in received] == later
    await bench.nothing_comes("everything was published once")


async def _publish_blocking(bench: Bench, *envelopes: Envelope) -> Sequence[str | AdapterError]:
    """The ids; whoever else works on the queue is soon done."""
    assert isinstance(bench.queue, BlockingPublisher)
    for _ in range(100):
        if (answers := bench.queue.publish_blocking(envelopes)) is not None:
            return answers
        await bench.advance(bench.tolerance / 100)
    raise AssertionError("nobody else is at the queue, and it publishes nothing at once")
