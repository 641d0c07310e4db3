"""Delays: never early, late by no more than the grain, in nobody's way."""

from __future__ import annotations

from datetime import timedelta

from pulpo_core.domain.errors import AdapterError
from pulpo_core.domain.settlement import Ack
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import DELAYS, LIMITED_DELAY, PRIORITIES, UNLIMITED_DELAY


@clause("C040")
async def a_retry_comes_again(bench: Bench) -> None:
    """A retried message comes again under the same id, with the same bytes, as the next attempt."""
    (name,) = await bench.publish(bench.envelope(b"again"))
    first = await bench.take_one()
    await bench.retry_at_once(first)

    second = await bench.take_one()

    assert (second.id, second.envelope.body) == (name, b"again")
    assert second.attempt > first.attempt


@clause("C041")
async def a_retry_keeps_its_delay(bench: Bench) -> None:
    """A retried message does not come before its delay has passed, and comes soon after."""
    await bench.publish(bench.envelope())
    delivery = await bench.take_one()
    began = bench.clock.monotonic()
    await bench.retry(delivery, bench.delay)

    await _comes_after(bench, began, bench.delay)


@clause("C044", needs=[DELAYS])
async def a_delayed_message_waits(bench: Bench) -> None:
    """A message with a delay does not come before the delay has passed, and comes soon after."""
    began = bench.clock.monotonic()
    await bench.publish(bench.delayed(bench.delay))

    await _comes_after(bench, began, bench.delay)


async def _comes_after(bench: Bench, began: float, delay: float) -> None:
    due = began + delay
    came = await bench.none_before(due, "the delay has just begun")
    await bench.advance(0.95 * delay - (bench.clock.monotonic() - began))
    came += await bench.none_before(due, "the delay is not over")
    await bench.advance(due + bench.tolerance - bench.clock.monotonic())
    came += await bench.drain()
    assert len(came) == 1, "the delay is over, but the message has not come"


@clause("C045", needs=[DELAYS, LIMITED_DELAY])
async def the_longest_delay_is_kept(bench: Bench) -> None:
    """A delay of the declared limit is stored; a longer one is refused, never cut short."""
    longest = bench.caps.max_delay or timedelta()
    fits = bench.delayed(longest.total_seconds())
    over = bench.delayed(longest.total_seconds() + 60)

    stored, refused = await bench.call(bench.queue.publish([fits, over]))

    assert isinstance(stored, str), f"a delay of {longest} was refused: {stored!r}"
    assert isinstance(refused, AdapterError), f"a delay over {longest} was answered {refused!r}"
    assert not refused.temporary, "trying again would not help"
    await bench.counts(delayed=1, ready=0)


@clause("C059", steered=True, needs=[UNLIMITED_DELAY])
async def years_are_kept(bench: Bench) -> None:
    """A delay of years is kept like one of seconds."""
    year = 365 * 86_400.0
    await bench.publish(bench.delayed(year))
    await bench.advance(0.99 * year)
    await bench.nothing_comes("the year is not over")

    await bench.advance(0.01 * year + bench.tolerance)

    await bench.take_one()


@clause("C042", needs=[PRIORITIES])
async def a_retry_keeps_its_priority(bench: Bench) -> None:
    """A retried message comes back with the priority that it was published with."""
    await bench.publish(bench.envelope(priority=7))
    await bench.retry_at_once(await bench.take_one())
    await bench.publish(bench.envelope(b"between", priority=8), bench.envelope(b"before", priority=6))

    taken = [await bench.take_one() for _ in range(3)]

    assert [delivery.envelope.priority for delivery in taken] == [6, 7, 8]


@clause("C048", needs=[DELAYS])
async def the_delayed_are_in_nobodys_way(bench: Bench) -> None:
    """A delayed message does not hold up those published after it."""
    await bench.publish(bench.delayed(bench.delay, b"later"), bench.envelope(b"now"))

    assert (await bench.take_one()).envelope.body == b"now"


@clause("C049", needs=[DELAYS])
async def fractions_are_rounded_up(bench: Bench) -> None:
    """A delay of a fraction of the queue's grain is rounded up, never down."""
    grain = bench.caps.granularity.total_seconds()
    delay = 1.5 * grain if grain >= 0.1 else 0.35
    began = bench.clock.monotonic()
    await bench.publish(bench.delayed(delay))

    (delivery,) = await bench.take()

    assert bench.clock.monotonic() - began >= 0.99 * delay, "it came before its delay was over"
    await bench.ack(delivery)


@clause("C050")
async def a_storm_of_retries_loses_nothing(bench: Bench) -> None:
    """A hundred messages, received by three holders and all retried, are all there afterwards."""
    ids = await bench.publish(*[bench.envelope() for _ in range(100)])
    holders = [bench.queue, await bench.other(), await bench.other()]
    for holder, number in zip(holders, (34, 33, 33), strict=True):
        for delivery in await bench.take(number, queue=holder):
            await bench.retry(delivery, queue=holder)
    await bench.advance(bench.caps.min_retry_delay.total_seconds() + bench.tolerance)

    again = await bench.take(100)

    assert sorted(delivery.id for delivery in again) == sorted(ids)


@clause("C056")
async def a_past_moment_is_now(bench: Bench) -> None:
    """A message that was not to come before a moment in the past comes at once."""
    await bench.publish(bench.delayed(-3600, b"late already"))

    assert (await bench.take_one()).envelope.body == b"late already"


@clause("C057", steered=True, needs=[DELAYS])
async def clocks_may_step(bench: Bench) -> None:
    """A wall clock that is set back or forward by an hour loses no message, delayed, reserved or ready."""
    ids = await bench.publish(bench.envelope(), bench.envelope(), bench.delayed(bench.delay))
    held, handled = await bench.take_one(), set[str]()
    for step in (bench.clock.set_forward, bench.clock.set_back, bench.clock.set_back, bench.clock.set_forward):
        step(3600)
        handled |= {delivery.id for delivery in await bench.drain()}
        await bench.advance(1)
    await bench.advance(bench.delay + bench.tolerance)
    if await bench.settle(held, Ack()) is None:
        handled.add(held.id)
    await bench.pass_lease()

    handled |= {delivery.id for delivery in await bench.drain()}

    assert handled == set(ids)


@clause("C058", steered=True, needs=[DELAYS])
async def due_messages_wake_receives(bench: Bench) -> None:
    """A receive that waits gets a delayed message when it falls due, not at the end of its wait."""
    wait = bench.caps.max_wait.total_seconds()
    due = wait / 4
    began = bench.clock.monotonic()
    await bench.publish(bench.delayed(due))

    received = await bench.receive(1, wait=wait)

    assert len(received) == 1
    assert due <= bench.clock.monotonic() - began + 1e-6
    assert bench.clock.monotonic() - began <= due + max(wait / 4, bench.tolerance)
