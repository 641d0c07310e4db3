"""The queue in memory, beyond the contract that `tests/contract/test_memory.py` holds it to."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Envelope,
    InvalidURL,
    MessageTooLarge,
    Peek,
    Queue,
    Release,
    Retry,
    Settling,
    State,
    Unsupported,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.adapters.memory.store import Store
from pulpo_core.application.clock import SystemClock
from pulpo_core.testing import START, LoopClock, ManualClock, SeededJitter, virtual_time

NOW = timedelta()


def fresh_url(parameters: str = "") -> str:
    return f"memory://{uuid4()}{parameters}"


@asynccontextmanager
async def opened(url: str, clock=None) -> AsyncIterator[Queue]:
    async with MemoryAdapter().open(url, clock=clock or LoopClock(), jitter=SeededJitter()) as queue:
        yield queue


def envelopes(*bodies: bytes, **fields) -> list[Envelope]:
    return [Envelope(body=body, uid=body.decode(), published_at=START, **fields) for body in bodies]


async def settle(queue: Queue, *deliveries, settlement=None) -> None:
    answers = await queue.settle([Settling(delivery, settlement or Ack()) for delivery in deliveries])
    assert list(answers) == [None] * len(deliveries)


# --- URLs ---


@pytest.mark.parametrize(
    ("url", "text"),
    [
        pytest.param("memory://", "expected memory://NAME", id="no name"),
        pytest.param("memory://a/b", "expected memory://NAME", id="a path"),
        pytest.param("file://a", "expected memory://NAME", id="another scheme"),
        pytest.param("memory://a?lease=0", "longer than 0", id="no lease"),
        pytest.param("memory://a?lease=soon", "not a duration", id="not a lease"),
        pytest.param("memory://a?max_body=0", "from 1", id="no room"),
        pytest.param("memory://a?leas=5s", "unknown parameter 'leas'; accepted: lease, max_body", id="misspelt"),
    ],
)
def test_a_wrong_url_is_refused_before_anything_is_opened(url, text):
    with pytest.raises(InvalidURL, match=text):
        MemoryAdapter().open(url, clock=ManualClock(), jitter=SeededJitter())


@virtual_time
async def test_the_url_says_how_long_leases_are_and_how_large_bodies():
    async with opened(fresh_url("?lease=5s&max_body=10")) as queue:
        small, large = await queue.publish(envelopes(b"x" * 10, b"x" * 11))
        (delivery,) = await queue.receive(1, NOW)

        assert isinstance(small, str)
        assert isinstance(large, MessageTooLarge)
        assert queue.capabilities.max_body_bytes == 10
        assert queue.capabilities.lease == timedelta(seconds=5)
        assert delivery.lease.deadline == asyncio.get_running_loop().time() + 5


@virtual_time
async def test_a_queue_in_memory_needs_no_creating():
    with pytest.raises(Unsupported, match="needs no creating"):
        await MemoryAdapter().create("memory://orders", {})
    with pytest.raises(InvalidURL):
        await MemoryAdapter().create("memory://", {})


# --- names ---


@virtual_time
async def test_messages_outlive_their_holders_in_one_process():
    url = fresh_url()
    async with opened(url) as queue:
        await queue.publish(envelopes(b"kept"))

    async with opened(url) as queue:
        (delivery,) = await queue.receive(1, NOW)
        assert delivery.envelope.body == b"kept"


@virtual_time
async def test_an_empty_queue_is_forgotten_with_its_pause():
    url = fresh_url()
    async with opened(url) as queue:
        await queue.pause()
    async with opened(url) as queue:
        assert not (await queue.stats()).paused


@virtual_time
async def test_a_foreign_envelope_is_named_after_its_message():
    async with opened(fresh_url()) as queue:
        (name,) = await queue.publish([Envelope(body=b"raw")])
        (delivery,) = await queue.receive(1, NOW)

        assert delivery.envelope.uid == f"memory:{name}"
        assert delivery.envelope.published_at == START


# --- waiting ---


@virtual_time
async def test_one_message_wakes_one_receive_and_the_others_go_on_waiting():
    async with opened(fresh_url()) as queue, asyncio.TaskGroup() as group:
        waiting = [group.create_task(queue.receive(1, timedelta(seconds=10))) for _ in range(5)]
        await asyncio.sleep(1)
        await queue.publish(envelopes(b"one"))
        await asyncio.sleep(1)

        assert [task.done() for task in waiting] == [True, False, False, False, False]

        await queue.publish(envelopes(b"two", b"three"))
        await asyncio.sleep(1)

        assert [task.done() for task in waiting] == [True, True, True, False, False]
    assert [len(task.result()) for task in waiting] == [1, 1, 1, 0, 0]


@virtual_time
async def test_a_receive_that_is_cancelled_when_it_was_just_rung_for_passes_the_message_on():
    async with opened(fresh_url()) as queue, asyncio.TaskGroup() as group:
        first = group.create_task(queue.receive(1, timedelta(seconds=10)))
        second = group.create_task(queue.receive(1, timedelta(seconds=10)))
        await asyncio.sleep(1)
        await queue.publish(envelopes(b"one"))
        first.cancel()

        (delivery,) = await second

        assert delivery.envelope.body == b"one"
        assert asyncio.get_running_loop().time() == 1001


@virtual_time
async def test_who_waits_longest_is_rung_for_first():
    url = fresh_url()
    async with opened(url) as one, opened(url) as two, asyncio.TaskGroup() as group:
        late = group.create_task(two.receive(1, timedelta(seconds=9)))
        await asyncio.sleep(1)
        later = group.create_task(one.receive(1, timedelta(seconds=9)))
        await asyncio.sleep(1)
        await one.publish(envelopes(b"first", b"second"))

        assert (await late)[0].envelope.body == b"first"
        assert (await later)[0].envelope.body == b"second"


@virtual_time
async def test_a_shorter_delay_than_all_others_wakes_who_waits():
    async with opened(fresh_url()) as queue, asyncio.TaskGroup() as group:
        await queue.publish(envelopes(b"late", not_before=START + timedelta(seconds=15)))
        waiting = group.create_task(queue.receive(1, timedelta(seconds=20)))
        await asyncio.sleep(1)
        await queue.publish(envelopes(b"soon", not_before=START + timedelta(seconds=3)))

        (delivery,) = await waiting

        assert delivery.envelope.body == b"soon"
        assert asyncio.get_running_loop().time() == 1003


@virtual_time
async def test_an_interrupted_receive_leaves_the_message_to_others():
    url = fresh_url()
    async with opened(url) as one, opened(url) as two, asyncio.TaskGroup() as group:
        stopped = group.create_task(one.receive(1, timedelta(seconds=10)))
        going_on = group.create_task(two.receive(1, timedelta(seconds=10)))
        await asyncio.sleep(1)
        await two.publish(envelopes(b"one"))  # rings for the first, which is stopped before it looks
        one.interrupt()

        assert not await stopped
        assert len(await going_on) == 1


@virtual_time
async def test_asking_again_and_again_starves_nobody():
    async with opened(fresh_url()) as queue, asyncio.TaskGroup() as group:

        async def impatient() -> int:
            asked = 1
            while not await queue.receive(1, NOW):
                asked += 1
            return asked

        asking = group.create_task(impatient())
        for _ in range(5):
            await asyncio.sleep(0)
        await queue.publish(envelopes(b"at last"))

        assert await asking > 1


async def test_a_message_from_another_thread_wakes_a_receive():
    url = fresh_url()
    clock = SystemClock()

    async def publish() -> None:
        async with opened(url, clock) as queue:
            await queue.publish(envelopes(b"from elsewhere"))

    async with opened(url, clock) as queue, asyncio.TaskGroup() as group:
        receiving = group.create_task(queue.receive(1, timedelta(seconds=20)))
        await asyncio.sleep(0)
        await asyncio.to_thread(asyncio.run, publish())

        (delivery,) = await asyncio.wait_for(receiving, 10)

    assert delivery.envelope.body == b"from elsewhere"


async def test_threads_share_a_queue_without_losing_or_doubling_anything():
    url, clock = fresh_url(), SystemClock()
    handled: list[str] = []

    async def work(number: int) -> None:
        async with opened(url, clock) as queue:
            for round_ in range(50):
                await queue.publish(envelopes(f"{number}-{round_}".encode()))
                for delivery in await queue.receive(3, NOW):
                    await settle(queue, delivery)
                    handled.append(delivery.envelope.uid)

    async with opened(url, clock) as queue:
        threads = [threading.Thread(target=asyncio.run, args=(work(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        handled += [delivery.envelope.uid for delivery in await queue.receive(1000, NOW)]

    assert sorted(handled) == sorted(f"{number}-{round_}" for number in range(4) for round_ in range(50))


async def test_a_waiter_whose_loop_is_gone_is_passed_over():
    url, clock = fresh_url(), SystemClock()
    async with opened(url, clock) as queue:
        _abandon_a_receive(url, clock)
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(queue.receive(1, timedelta(seconds=20)))
            await asyncio.sleep(0)
            await queue.publish(envelopes(b"one"))

            (delivery,) = await asyncio.wait_for(receiving, 10)

    assert delivery.envelope.body == b"one"


def _abandon_a_receive(url: str, clock: SystemClock) -> None:
    """Let a loop end with a receive waiting in it, as a thread does that is not stopped properly."""

    def run() -> None:
        loop = asyncio.new_event_loop()
        coroutine = _receive(url, clock)
        task = loop.create_task(coroutine)
        loop.run_until_complete(asyncio.sleep(0.01))
        task._log_destroy_pending = False
        abandoned.append(task)
        loop.close()

    abandoned: list[asyncio.Task] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    _ABANDONED.extend(abandoned)  # kept, or its end would be noticed by the garbage collector


_ABANDONED: list[asyncio.Task] = []


async def _receive(url: str, clock: SystemClock) -> None:
    async with opened(url, clock) as queue:
        await queue.receive(1, timedelta(seconds=20))


# --- limits of memory ---


@virtual_time
async def test_settled_messages_leave_nothing_behind():
    url = fresh_url()
    async with opened(url) as queue:
        for number in range(5000):
            await queue.publish(envelopes(b"%d" % number))
            await settle(queue, *await queue.receive(1, NOW))
        store: Store = queue._store

        assert len(store._leases) < 2500, "stale leases are swept out"
        assert not store._ready
        assert not store
        assert not list(store.all())


@virtual_time
async def test_purging_frees_what_was_delayed():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(*[b"%d" % n for n in range(100)], not_before=START + timedelta(days=1)))

        assert await queue.purge(frozenset({State.DELAYED})) == 100
        assert not queue._store._delayed


@virtual_time
async def test_what_is_in_hand_cannot_be_purged():
    async with opened(fresh_url()) as queue:
        with pytest.raises(Unsupported, match="cannot purge reserved; accepted: buried, delayed, ready"):
            await queue.purge(frozenset({State.RESERVED, State.READY}))


# --- groups ---


@virtual_time
async def test_a_kicked_message_comes_first_in_its_group_but_not_before_the_one_in_hand():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(b"1", b"2", b"3", group="g"))
        await settle(queue, *await queue.receive(1, NOW), settlement=Bury("fatal"))
        (second,) = await queue.receive(1, NOW)
        await queue.kick()
        assert not await queue.receive(9, NOW)
        await settle(queue, second)

        came = []
        while received := await queue.receive(9, NOW):
            came += [delivery.envelope.body for delivery in received]
            await settle(queue, *received)

        assert came == [b"1", b"3"]


@virtual_time
async def test_a_kicked_message_takes_the_lead_of_a_group_that_waits():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(b"1", b"2", group="g"))
        await settle(queue, *await queue.receive(1, NOW), settlement=Bury("fatal"))
        await queue.kick()

        (first,) = await queue.receive(9, NOW)

        assert first.envelope.body == b"1"


@virtual_time
async def test_deleting_the_head_of_a_group_lets_the_next_come():
    async with opened(fresh_url()) as queue:
        one, two, three = await queue.publish(envelopes(b"1", b"2", b"3", group="g"))
        assert list(await queue.delete([two, one])) == [None, None]

        (delivery,) = await queue.receive(9, NOW)

        assert delivery.id == three
        assert await queue.peek(Peek.READY) is None


@virtual_time
async def test_a_retry_in_a_group_does_not_hold_up_other_groups():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(b"a1", b"a2", group="a"))
        await queue.publish(envelopes(b"b1", group="b"))
        (a1,) = await queue.receive(1, NOW)
        await settle(queue, a1, settlement=Retry(60))

        (b1,) = await queue.receive(9, NOW)

        assert b1.envelope.body == b"b1"


# --- attempts and burial ---


@virtual_time
async def test_losses_are_counted_apart_from_failures():
    async with opened(fresh_url("?lease=10s")) as queue:
        await queue.publish(envelopes(b"x"))
        await settle(queue, *await queue.receive(1, NOW), settlement=Retry(0))
        await queue.receive(1, NOW)
        await asyncio.sleep(10)
        await settle(queue, *await queue.receive(1, NOW), settlement=Release())

        (delivery,) = await queue.receive(1, NOW)

        assert (delivery.attempt, delivery.lost) == (3, 1)


@virtual_time
async def test_a_buried_message_tells_when_it_was_buried():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(b"x"))
        await asyncio.sleep(5)
        await settle(queue, *await queue.receive(1, NOW), settlement=Bury("fatal", "ValueError: no"))
        await asyncio.sleep(5)

        (record,) = (await queue.buried()).records

        assert record.buried_at == START + timedelta(seconds=5)
        assert (record.state, record.reason, record.error) == (State.BURIED, "fatal", "ValueError: no")


@virtual_time
async def test_a_lease_ends_at_its_very_deadline():
    async with opened(fresh_url("?lease=10s")) as queue:
        await queue.publish(envelopes(b"x"))
        (delivery,) = await queue.receive(1, NOW)
        await asyncio.sleep(10)

        (answer,) = await queue.settle([Settling(delivery, Ack())])

        assert isinstance(answer, AdapterError)
        assert (await queue.receive(1, NOW))[0].attempt == 2


@virtual_time
async def test_receipts_of_other_kinds_of_queues_are_refused():
    async with opened(fresh_url()) as queue:
        await queue.publish(envelopes(b"x"))
        (delivery,) = await queue.receive(1, NOW)
        for receipt in (None, "17", (1, 2), object()):
            forged = type(delivery)(id="1", envelope=delivery.envelope, lease=delivery.lease, receipt=receipt)
            (answer,) = await queue.settle([Settling(forged, Ack())])
            (extended,) = await queue.extend([forged])

            assert isinstance(answer, AdapterError)
            assert isinstance(extended, AdapterError)
        await settle(queue, delivery)
