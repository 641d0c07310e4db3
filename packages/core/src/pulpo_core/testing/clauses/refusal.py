"""What is not declared is refused, and what is wrong is told before anything happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from pulpo_core.domain.capabilities import Peek
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import (
    AdapterError,
    ConfigurationError,
    InvalidURL,
    LeaseLost,
    MessageTooLarge,
    Unsupported,
)
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.settlement import Ack, Release
from pulpo_core.ports.adapter import Settling
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause, lacks

from .needs import ATOMIC_FOLLOW_UPS, DELAYS, GROUPS, LEASES_END, PAUSE, PRIORITIES, TRIABLE_LIMIT


@clause("C131")
async def undeclared_peeks_are_refused(bench: Bench) -> None:
    """A kind of peek that the queue does not declare is `Unsupported`."""
    for kind in frozenset(Peek) - bench.caps.peek:
        await bench.refuses(bench.queue.peek(kind, "1"), Unsupported)


@clause("C170")
async def undeclared_purges_are_refused(bench: Bench) -> None:
    """Purging a state that the queue does not declare is `Unsupported`, and nothing is removed."""
    await bench.publish(bench.envelope())
    for state in {State.READY, State.DELAYED, State.RESERVED, State.BURIED} - bench.purgeable():
        await bench.refuses(bench.queue.purge(frozenset({state})), Unsupported)
    assert len(await bench.drain()) == 1


@clause("C171", needs=[lacks(PAUSE)])
async def an_undeclared_pause_is_refused(bench: Bench) -> None:
    """A queue that cannot be paused for everybody says `Unsupported`, and goes on handing out."""
    await bench.refuses(bench.queue.pause(timedelta(minutes=1)), Unsupported)
    await bench.publish(bench.envelope())
    await bench.take_one()


@clause("C172", needs=[lacks(PRIORITIES)])
async def an_undeclared_priority_is_refused(bench: Bench) -> None:
    """A priority other than the default is refused by a queue that honours none: it is not quietly ignored."""
    await _refused_at_publish(bench, priority=1)


@clause("C173", needs=[lacks(GROUPS)])
async def an_undeclared_group_is_refused(bench: Bench) -> None:
    """A group is refused by a queue that keeps no order within groups: it is not quietly ignored."""
    await _refused_at_publish(bench, group="g")


@clause("C174", needs=[lacks(DELAYS)])
async def an_undeclared_delay_is_refused(bench: Bench) -> None:
    """A delay is refused by a queue that has none: the message does not come too early instead."""
    await _refused_at_publish(bench, not_before=bench.clock.now() + timedelta(seconds=60))


async def _refused_at_publish(bench: Bench, **fields: Any) -> None:
    (answer,) = await bench.call(bench.queue.publish([bench.envelope(**fields)]))
    assert isinstance(answer, AdapterError), f"{sorted(fields)} was accepted: {answer!r}"
    assert not answer.temporary, "trying again would not help"
    await bench.nothing_comes("nothing was stored")


@clause("C175", needs=[lacks(ATOMIC_FOLLOW_UPS)])
async def undeclared_follow_ups_are_refused(bench: Bench) -> None:
    """An acknowledgement with follow-ups is refused by a queue that cannot do both at once, and does neither."""
    await bench.publish(bench.envelope(b"cause"))
    delivery = await bench.take_one()

    answer = await _settle_with(bench, delivery, b"effect")

    assert isinstance(answer, AdapterError), f"follow-ups were answered {answer!r}"
    await bench.must_settle([(delivery, Release())])
    assert [each.envelope.body for each in await bench.drain()] == [b"cause"]


@clause("C176", needs=[ATOMIC_FOLLOW_UPS])
async def follow_ups_come_with_their_ack(bench: Bench) -> None:
    """Follow-ups are published when their cause is acknowledged."""
    await bench.publish(bench.envelope(b"cause"))

    assert await _settle_with(bench, await bench.take_one(), b"one", b"two") is None

    assert sorted(each.envelope.body for each in await bench.drain()) == [b"one", b"two"]


@clause("C177", needs=[ATOMIC_FOLLOW_UPS, LEASES_END])
async def a_refused_ack_publishes_nothing(bench: Bench) -> None:
    """An acknowledgement that is refused publishes none of its follow-ups."""
    await bench.publish(bench.envelope(b"cause"))
    stale = await bench.take_one()
    await bench.pass_lease()
    fresh = await bench.take_one(queue=await bench.other())

    answer = await _settle_with(bench, stale, b"effect")

    assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
    await bench.nothing_comes("the acknowledgement was refused")
    assert fresh.id == stale.id


@clause("C178", needs=[ATOMIC_FOLLOW_UPS, TRIABLE_LIMIT])
async def a_bad_follow_up_keeps_its_cause(bench: Bench) -> None:
    """A follow-up that cannot be stored refuses the acknowledgement, and its neighbours are not stored either."""
    await bench.publish(bench.envelope(b"cause"))
    delivery = await bench.take_one()

    answer = await _settle_with(bench, delivery, b"fits", b"x" * ((bench.caps.max_body_bytes or 0) + 1))

    assert isinstance(answer, MessageTooLarge), f"expected MessageTooLarge, not {answer!r}"
    await bench.must_settle([(delivery, Release())])
    assert [each.envelope.body for each in await bench.drain()] == [b"cause"]


async def _settle_with(bench: Bench, delivery: Delivery, *bodies: bytes) -> AdapterError | None:
    follow_ups = [bench.envelope(body) for body in bodies]
    (answer,) = await bench.call(bench.queue.settle([Settling(delivery, Ack(), follow_ups)]))
    return answer


@clause("C180")
async def unknown_parameters_are_refused(bench: Bench) -> None:
    """A URL with a parameter that the adapter does not know is refused by name, before anything is opened."""
    adapter = bench.harness.adapter()
    joint = "&" if urlsplit(bench.url).query else "?"
    try:
        adapter.open(f"{bench.url}{joint}no_such_parameter=1", clock=bench.clock, jitter=bench.jitter)
    except InvalidURL as error:
        assert "no_such_parameter" in str(error), "the error names the parameter"
    else:
        raise AssertionError("an unknown parameter was accepted, or is only found on entering")


@clause("C181")
async def secrets_in_urls_are_refused(bench: Bench) -> None:
    """A URL that carries a password is refused, and the error does not repeat it."""
    scheme, _, rest = bench.url.partition("://")
    try:
        bench.harness.adapter().open(f"{scheme}://user:hunter2@{rest}", clock=bench.clock, jitter=bench.jitter)
    except ConfigurationError as error:
        assert "hunter2" not in str(error), "the error repeats the secret"
    else:
        raise AssertionError("a password in a URL was accepted")


@clause("C182")
async def a_queue_promises_no_more_than_its_adapter(bench: Bench) -> None:
    """An open queue declares nothing that its adapter does not declare at best, and all faces declare the same."""
    best, here = bench.harness.adapter().capabilities, bench.caps

    assert here.peek <= best.peek
    assert here.count_states <= best.count_states
    assert here.purge_states <= best.purge_states
    for name in ("priority", "exact_attempts", "prompt_interrupt", "atomic_follow_ups", "late_ack", "groups", "pause"):
        assert not getattr(here, name) or getattr(best, name), f"the queue declares {name}, its adapter does not"
    assert here.durability, "what a confirmed publish survives is said"


@clause("C183")
async def the_scheme_is_in_the_url(bench: Bench) -> None:
    """An adapter answers to the scheme of its URLs, and an open queue names itself."""
    scheme = bench.harness.adapter().scheme

    assert bench.url.startswith(f"{scheme}://")
    assert bench.queue.url.startswith(f"{scheme}://")


@clause("C184")
async def creating_says_what_was_done(bench: Bench) -> None:
    """Creating a queue says in one line what was done, or is `Unsupported` where none needs creating."""
    try:
        line = await bench.call(bench.harness.adapter().create(bench.url, {}))
    except Unsupported as error:
        line = str(error)
    assert line, "what was done, or why not, is said"
    assert "\n" not in line
