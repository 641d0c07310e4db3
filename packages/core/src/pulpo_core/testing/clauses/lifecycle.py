"""Opening, closing, cancelling, interrupting, many at once, and what happens when the broker goes away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from pulpo_core.domain.errors import AdapterError, PulpoError, Unavailable
from pulpo_core.domain.settlement import Ack, Bury, Retry
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import DELAYS, TRIABLE_LIMIT

#: After so many turns of the event loop a call is cancelled: when it has just begun, in its middle, near its end.
_TURNS = (1, 2, 3, 4, 5, 8, 13)


@clause("C140")
async def a_cancelled_receive_loses_nothing(bench: Bench) -> None:
    """Whatever a cancelled receive had taken comes again, at the latest when its lease has ended."""
    other = await bench.other()
    ids = []
    for turns in _TURNS:
        receiving = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
        ids += await bench.publish(bench.envelope(), queue=other)
        await _cancel_after(receiving, turns)

    came: set[str] = set()
    for _ in range(3):  # a request that was under way when it was cancelled may take a message later still
        await bench.pass_lease()
        came |= {delivery.id for delivery in await bench.drain()}

    assert came == set(ids), "messages are gone that were in a cancelled receive"


@clause("C141")
async def a_cancelled_publish_is_whole_or_nothing(bench: Bench) -> None:
    """A cancelled publish has stored its envelope once or not at all, and the queue works on."""
    for turns in _TURNS:
        publishing = bench.begin(bench.queue.publish([bench.envelope(b"maybe %d" % turns)]))
        await _cancel_after(publishing, turns)
        await bench.publish(bench.envelope(b"surely %d" % turns))

    came = [delivery.envelope.body for delivery in await bench.drain()]

    assert len(came) == len(set(came)), "a message was stored twice"
    assert {b"surely %d" % turns for turns in _TURNS} <= set(came)


@clause("C142")
async def a_cancelled_settlement_is_whole_or_nothing(bench: Bench) -> None:
    """A message whose acknowledgement was cancelled is gone or comes again, and the queue works on."""
    names = await bench.publish(*[bench.envelope() for _ in _TURNS])
    for turns, delivery in zip(_TURNS, await bench.take(len(_TURNS)), strict=True):
        await _cancel_after(bench.begin(bench.settle(delivery, Ack())), turns)
    await bench.pass_lease()

    came = {delivery.id for delivery in await bench.drain()}

    assert came <= set(names)
    await bench.publish(bench.envelope(b"works on"))
    assert (await bench.take_one()).envelope.body == b"works on"


async def _cancel_after(task: asyncio.Task[object], turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})


@clause("C143")
async def an_interrupt_ends_waiting(bench: Bench) -> None:
    """After an interrupt no receive waits or takes anything, and what is in hand can still be extended and settled."""
    await bench.publish(bench.envelope())
    held = await bench.take_one()
    longest = bench.caps.max_wait.total_seconds()
    waiting = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)

    bench.queue.interrupt()
    bench.queue.interrupt()

    within = bench.tolerance if bench.caps.prompt_interrupt else longest + bench.tolerance
    assert not await bench.finish(waiting, within=within)
    (name,) = await bench.publish(bench.envelope())
    assert not await bench.finish(bench.begin(bench.queue.receive(1, bench.caps.max_wait)), within=within)
    (deadline,) = await bench.extend(held)
    assert isinstance(deadline, float), f"the extension was refused: {deadline!r}"
    await bench.ack(held)
    assert (await bench.take_one(queue=await bench.other())).id == name


@clause("C145")
async def a_closed_queue_is_told(bench: Bench) -> None:
    """Using a queue after it was closed is an error of pulpo's own; nothing hangs and nothing is taken."""
    async with bench.opened(bench.url) as closed:
        await bench.publish(bench.envelope(), queue=closed)

    await bench.refuses(closed.receive(1, timedelta()), PulpoError)
    await bench.refuses(closed.publish([bench.envelope()]), PulpoError)
    assert len(await bench.drain()) == 1


@clause("C144")
async def closing_ends_waiting(bench: Bench) -> None:
    """Closing a queue ends the receives that wait on it, with nothing or with an error, and takes nothing with it."""
    async with bench.opened(bench.url) as holder:
        waiting = bench.begin(holder.receive(1, bench.caps.max_wait))
        await bench.advance(bench.tolerance / 10)
    with suppress(PulpoError):
        assert not await bench.finish(waiting, within=bench.caps.max_wait.total_seconds() + bench.tolerance)

    (name,) = await bench.publish(bench.envelope())
    assert (await bench.take_one()).id == name


@clause("C146")
async def opening_and_closing_at_once(bench: Bench) -> None:
    """Ten holders that open, publish and close at the same time disturb nobody."""

    async def visit() -> str:
        async with bench.opened(bench.url) as queue:
            (answer,) = await queue.publish([bench.envelope()])
            assert isinstance(answer, str), f"publish refused: {answer!r}"
            return answer

    ids = await bench.together(*[visit() for _ in range(10)])

    assert {delivery.id for delivery in await bench.drain()} == set(ids)


@clause("C147")
async def nothing_is_left_running(bench: Bench) -> None:
    """A queue that was used and closed leaves no task behind."""
    before = asyncio.all_tasks()
    async with bench.opened(bench.url) as queue:
        await bench.publish(bench.envelope(), queue=queue)
        await bench.ack(await bench.take_one(queue=queue), queue=queue)
        queue.interrupt()

    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not left, f"still running: {sorted(task.get_name() for task in left)}"


@clause("C149")
async def coming_and_going(bench: Bench) -> None:
    """Twenty holders that each take a share and close, one after another, handle everything once."""
    ids = await bench.publish(*[bench.envelope() for _ in range(100)])
    handled = []
    for _ in range(20):
        async with bench.opened(bench.url) as queue:
            taken = await bench.take(5, queue=queue)
            await bench.ack(*taken, queue=queue)
            handled += [delivery.id for delivery in taken]

    assert sorted(handled) == sorted(ids)


@clause("C150")
async def another_loop_publishes(bench: Bench) -> None:
    """A queue that is opened in another thread with a loop of its own publishes into the same queue."""
    sent = bench.envelope(b"from another thread")

    async def publish() -> None:
        async with bench.opened(bench.url) as queue:
            (answer,) = await queue.publish([sent])
            assert isinstance(answer, str), f"publish refused: {answer!r}"

    await asyncio.to_thread(asyncio.run, publish())

    assert (await bench.take_one()).envelope.body == b"from another thread"


@clause("C154")
async def everything_at_once(bench: Bench) -> None:
    """Publishing, receiving and settling from many tasks of one holder at once, every message is handled once."""
    volume = bench.harness.volume // 10

    async def produce() -> list[str]:
        return [name for _ in range(volume) for name in await bench.publish(bench.envelope())]

    async def consume() -> list[str]:
        handled: list[str] = []
        while len(handled) < volume:
            received = await bench.receive(1, wait=1)
            await bench.ack(*received)
            handled += [delivery.id for delivery in received]
        return handled

    shares = await bench.together(*[work() for _ in range(4) for work in (produce, consume)])

    produced, consumed = [name for share in shares[::2] for name in share], [name for s in shares[1::2] for name in s]
    assert sorted(produced) == sorted(consumed)


@clause("C158", needs=[TRIABLE_LIMIT])
async def bodies_are_not_told(bench: Bench) -> None:
    """No body of a message is logged, nor quoted by an error."""
    secret = b"correct horse battery staple"
    with _logged() as lines:
        too_large = secret + b" " * (bench.caps.max_body_bytes or 0)
        (refused,) = await bench.call(bench.queue.publish([bench.envelope(too_large)]))
        await bench.publish(*[bench.envelope(secret) for _ in range(3)])
        one, two, three = await bench.take(3)
        await bench.must_settle([(one, Ack()), (two, Bury("fatal", "an error")), (three, Retry(bench.delay))])
        stale = await bench.settle(one, Bury("too late"))
        record = (await bench.buried())[0]

    told = "\n".join([*lines, *map(repr, (refused, stale, one, record))])
    assert secret.decode() not in told, "the body is told"


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Every log line of the pulpo libraries, at every level."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign] # one use, one method
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@clause("C160", hooks=["cut_connection"])
async def a_cut_connection_is_made_anew(bench: Bench) -> None:
    """After its connection was cut a queue says `Unavailable` at most, then works again, and nothing is lost."""
    ids = await bench.publish(bench.envelope(), bench.envelope())
    await bench.call(bench.harness.cut_connection(bench.queue))

    came = [await bench.persist(bench.take_one), await bench.persist(bench.take_one)]

    assert {delivery.id for delivery in came} == set(ids)
    await bench.ack(*came)


@clause("C161", hooks=["cut_connection"])
async def a_cut_connection_ends_waiting(bench: Bench) -> None:
    """A receive that waits when its connection is cut returns or says `Unavailable`; it does not hang."""
    waiting = bench.begin(bench.queue.receive(1, bench.caps.max_wait))
    await bench.advance(bench.tolerance / 10)
    await bench.call(bench.harness.cut_connection(bench.queue))
    try:
        await bench.finish(waiting, within=bench.caps.max_wait.total_seconds() + 2 * bench.tolerance)
    except AdapterError as error:
        assert error.temporary, f"the queue is away for good: {error!r}"

    await bench.persist(lambda: bench.publish(bench.envelope(b"afterwards")))
    assert (await bench.persist(bench.take_one)).envelope.body == b"afterwards"


@clause("C162", hooks=["restart_broker"])
async def a_restart_loses_nothing(bench: Bench) -> None:
    """What was confirmed before the broker restarted is there afterwards: ready, delayed, buried and in hand."""
    await bench.publish(bench.envelope(b"dead"))
    await bench.must_settle([(await bench.take_one(), Bury("fatal"))])
    await bench.publish(bench.envelope(b"held"))
    await bench.take_one()
    delay = bench.delay if DELAYS.declared(bench.caps) else 0
    await bench.publish(bench.envelope(b"ready"), bench.delayed(delay, b"delayed"))

    await bench.harness.restart_broker()
    await bench.pass_lease()
    await bench.advance(bench.delay + bench.tolerance)

    came = {(await bench.persist(bench.take_one)).envelope.body for _ in range(3)}
    assert came == {b"held", b"ready", b"delayed"}
    assert [record.envelope.body for record in await bench.buried()] == [b"dead"]


@clause("C163", hooks=["stop_broker", "start_broker"])
async def a_broker_that_is_away_is_told(bench: Bench) -> None:
    """While the broker is away every call says `Unavailable` in bounded time; once it is back, the next call works."""
    await bench.publish(bench.envelope(b"kept"))
    await bench.harness.stop_broker()
    try:
        await bench.refuses(bench.queue.receive(1, timedelta()), Unavailable)
        await bench.refuses(_publish_whole(bench), Unavailable)
    finally:
        await bench.harness.start_broker()

    assert (await bench.persist(bench.take_one)).envelope.body == b"kept"


async def _publish_whole(bench: Bench) -> object:
    """Publish; an error in the place of the envelope is raised, so that either way of telling is one."""
    (answer,) = await bench.queue.publish([bench.envelope()])
    if isinstance(answer, AdapterError):
        raise answer
    return answer
