"""Looking changes nothing, counting counts, and repairing does what it says."""

from __future__ import annotations

from datetime import timedelta

from pulpo_core.domain.capabilities import Peek
from pulpo_core.domain.errors import AdapterError, MessageNotFound
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.settlement import Ack, Bury, Release
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .burial import bury
from .needs import ARRIVAL_ORDER, COUNTS, DELAYS, PAUSE, PEEK_ANYTHING, PEEK_ID


async def one_of_each(bench: Bench) -> dict[State, str]:
    """Put one message into each state that a peek can ask for; their ids."""
    await bury(bench, b"buried")
    (buried,) = await bench.buried()
    (delayed,) = await bench.publish(bench.delayed(bench.long_delay, b"delayed"))
    (reserved,) = await bench.publish(bench.envelope(b"reserved"))
    await bench.take_one()
    (ready,) = await bench.publish(bench.envelope(b"ready"))
    return {State.READY: ready, State.DELAYED: delayed, State.RESERVED: reserved, State.BURIED: buried.id}


@clause("C130", needs=[PEEK_ANYTHING, DELAYS])
async def looking_changes_nothing(bench: Bench) -> None:
    """Peeking shows the next message of a state, and changes neither states nor attempts."""
    names = await one_of_each(bench)
    for kind in bench.caps.peek - {Peek.ID}:
        for _ in range(2):
            record = await bench.call(bench.queue.peek(kind))
            assert record is not None, f"peek {kind} shows nothing"
            assert (record.state, record.id) == (State(kind.value), names[State(kind.value)])
            assert record.envelope.body == kind.value.encode()

    await bench.counts(ready=1, delayed=1, reserved=1, buried=1)
    delivery = await bench.take_one()
    assert (delivery.id, delivery.attempt) == (names[State.READY], 1)


@clause("C129", needs=[PEEK_ANYTHING])
async def looking_at_nothing(bench: Bench) -> None:
    """Peeking at a state in which there is no message shows none; so does an id that there is not."""
    for kind in bench.caps.peek:
        assert await bench.call(bench.queue.peek(kind, "999999999")) is None


@clause("C139", needs=[PEEK_ID, DELAYS])
async def looking_by_id(bench: Bench) -> None:
    """Peeking by id tells the state of a message, whatever it is, and what belongs to that state."""
    names = await one_of_each(bench)
    records = {state: await bench.call(bench.queue.peek(Peek.ID, name)) for state, name in names.items()}

    for state, record in records.items():
        assert record is not None, f"the {state} message is not shown"
        assert (record.state, record.envelope.body) == (state, state.value.encode())
    delayed, buried = records[State.DELAYED], records[State.BURIED]
    assert delayed is not None
    assert buried is not None
    latest = bench.clock.now() + timedelta(seconds=bench.long_delay + bench.tolerance)
    assert delayed.ready_at is None or bench.clock.now() < delayed.ready_at <= latest
    assert (buried.reason, buried.attempts) == ("fatal", 1)


@clause("C138", needs=[PEEK_ANYTHING, ARRIVAL_ORDER])
async def the_next_is_the_next(bench: Bench) -> None:
    """What peeking at the ready shows is what is received next."""
    await bench.publish_bodies(b"1", b"2")
    for expected in (b"1", b"2"):
        record = await bench.call(bench.queue.peek(Peek.READY)) if Peek.READY in bench.caps.peek else None
        delivery = await bench.take_one()
        assert delivery.envelope.body == expected
        assert record is None or record.id == delivery.id


@clause("C134", needs=[COUNTS, DELAYS])
async def every_state_is_counted(bench: Bench) -> None:
    """Each message is counted in its own state, as it moves from one to the other."""
    await bench.counts(ready=0, delayed=0, reserved=0, buried=0)
    await bench.publish(*[bench.envelope() for _ in range(4)], bench.delayed(bench.long_delay))
    await bench.counts(ready=4, delayed=1, reserved=0, buried=0)
    one, two, three = await bench.take(3)
    await bench.counts(ready=1, delayed=1, reserved=3, buried=0)
    await bench.must_settle([(one, Ack()), (two, Bury("fatal")), (three, Release())])

    await bench.counts(ready=2, delayed=1, reserved=0, buried=1)


@clause("C128")
async def what_cannot_be_counted_is_none(bench: Bench) -> None:
    """A state that the queue does not declare to count is told as `None`, never as a made-up number."""
    await bench.publish(bench.envelope())
    stats = await bench.call(bench.queue.stats())
    for name in ("ready", "delayed", "reserved", "buried"):
        number = getattr(stats, name)
        assert (number is not None) == (name in bench.caps.count_states), f"{name} is told as {number}"


@clause("C127")
async def the_oldest_tells_its_age(bench: Bench) -> None:
    """The age of the oldest ready message grows with time, and is `None` without one, or where it is not known."""
    assert (await bench.call(bench.queue.stats())).oldest_age in {None, timedelta()}
    await bench.publish(bench.envelope())
    await bench.advance(bench.delay)

    age = (await bench.call(bench.queue.stats())).oldest_age

    assert age is None or abs(age.total_seconds() - bench.delay) <= 1 + bench.tolerance


@clause("C132", needs=[DELAYS])
async def purging_one_state(bench: Bench) -> None:
    """Purging removes every message of the named states and none of the others, and tells how many."""
    for state in sorted(bench.purgeable()):
        fresh = await bench.elsewhere()
        names = await one_of_each(fresh)
        assert await bench.call(fresh.queue.purge(frozenset({state}))) == 1, f"one message is {state}"
        await fresh.counts(**{name.value: int(name is not state) for name in names})


@clause("C126", needs=[DELAYS])
async def purging_all(bench: Bench) -> None:
    """Purging every state that can be purged leaves alone what is in hand, and the queue works on."""
    names = await one_of_each(bench)
    states = bench.purgeable()

    assert await bench.call(bench.queue.purge(states)) == len(states)

    await bench.counts(reserved=1, **{state.value: 0 for state in states})
    (name,) = await bench.publish(bench.envelope())
    assert name not in names.values()


@clause("C133", needs=[DELAYS, PEEK_ID])
async def deleting_by_id(bench: Bench) -> None:
    """Deleting removes by id what nobody is handling; what is in hand is refused for now, and no id is made up."""
    names = await one_of_each(bench)
    wanted = [names[State.READY], names[State.RESERVED], names[State.DELAYED], names[State.BURIED], "999999999"]

    ready, reserved, delayed, buried, missing = await bench.call(bench.queue.delete(wanted))

    assert (ready, delayed, buried) == (None, None, None)
    assert isinstance(reserved, AdapterError), f"a message in hand was deleted: {reserved!r}"
    assert reserved.temporary, "it may be deleted when nobody is handling it"
    assert isinstance(missing, MessageNotFound), f"expected MessageNotFound, not {missing!r}"
    await bench.counts(ready=0, delayed=0, reserved=1, buried=0)


@clause("C135", needs=[PAUSE])
async def a_paused_queue_hands_out_nothing(bench: Bench) -> None:
    """While a queue is paused nobody gets anything, publishing goes on, and the pause is told."""
    other = await bench.other()
    await bench.publish(bench.envelope())
    await bench.call(bench.queue.pause(timedelta(hours=1)))

    await bench.publish(bench.envelope(), queue=other)
    await bench.nothing_comes("the queue is paused")
    await bench.nothing_comes("the queue is paused", queue=other)
    assert (await bench.call(other.stats())).paused

    await bench.call(bench.queue.resume())
    assert not (await bench.call(other.stats())).paused
    assert len(await bench.drain(queue=other)) == 2


@clause("C136", needs=[PAUSE])
async def resuming_wakes(bench: Bench) -> None:
    """A receive that waits on a paused queue gets its message as soon as the queue is resumed."""
    await bench.call(bench.queue.resume())
    await bench.publish(bench.envelope())
    await bench.call(bench.queue.pause(timedelta(hours=1)))
    waiting = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)
    assert not waiting.done()
    await bench.call((await bench.other()).resume())

    received = await bench.finish(waiting, within=max(bench.caps.max_wait.total_seconds() / 2, bench.tolerance))

    assert len(received) == 1


@clause("C137", needs=[PAUSE])
async def a_pause_ends(bench: Bench) -> None:
    """A pause for some time ends by itself."""
    await bench.publish(bench.envelope())
    await bench.call(bench.queue.pause(timedelta(seconds=bench.delay)))
    await bench.nothing_comes("the queue is paused")

    await bench.advance(bench.delay + bench.tolerance)

    assert len(await bench.drain()) == 1
