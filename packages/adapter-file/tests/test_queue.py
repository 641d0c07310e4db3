"""What a file queue promises beyond the contract of every queue."""

import asyncio
import logging
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_file.locking import FileLock
from pulpo_adapter_file.operations import Look
from pulpo_adapter_file.settings import MAX_BODY_BYTES
from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    ConfigurationError,
    Delivery,
    Envelope,
    LeaseLost,
    MessageTooLarge,
    Peek,
    Queue,
    Release,
    Retry,
    Settlement,
    Settling,
    State,
    SystemClock,
    SystemJitter,
)
from pulpo_core.testing import ManualClock

from .conftest import Opener
from .stage import until

NO_TIME = timedelta()


async def take(queue: Queue, limit: int = 100) -> list[Delivery]:
    return list(await queue.receive(limit, NO_TIME))


async def settle(
    queue: Queue, delivery: Delivery, settlement: Settlement, *follow_ups: Envelope
) -> AdapterError | None:
    (answer,) = await queue.settle([Settling(delivery, settlement, follow_ups)])
    return answer


async def test_an_id_is_never_given_twice(opened: Opener, path: Path) -> None:
    """Else the late acknowledgement of an old message would remove a new one."""
    for expected in ("1", "2", "3"):
        async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
            assert await queue.publish([Envelope(body=b"{}")]) == [expected]
            (delivery,) = await take(queue)
            await settle(queue, delivery, Ack())


async def test_a_receipt_of_an_earlier_generation_settles_nothing(opened: Opener, clock: ManualClock) -> None:
    queue = await opened("queue=orders&lease=1s")
    await queue.publish([Envelope(body=b"{}")])
    (first,) = await take(queue)
    await clock.advance(2)
    (second,) = await take(queue)

    for settlement in (Ack(), Retry(), Bury("late"), Release()):
        assert isinstance(await settle(queue, first, settlement, *[]), LeaseLost)
    assert isinstance((await queue.extend([first]))[0], LeaseLost)
    assert await settle(queue, second, Ack()) is None


async def test_a_receipt_of_another_file_settles_nothing(tmp_path: Path) -> None:
    adapter = FileAdapter()
    async with (
        adapter.open(f"file://{tmp_path}/a.db", clock=SystemClock(), jitter=SystemJitter()) as a,
        adapter.open(f"file://{tmp_path}/b.db", clock=SystemClock(), jitter=SystemJitter()) as b,
    ):
        for queue in (a, b):
            await queue.publish([Envelope(body=b"{}")])
        (of_a,), (of_b,) = await take(a), await take(b)

        assert isinstance(await settle(b, of_a, Ack()), LeaseLost)
        assert await settle(b, of_b, Ack()) is None
        assert await settle(a, of_a, Ack()) is None


async def test_a_delivery_can_be_settled_by_whoever_has_the_queue_open(opened: Opener) -> None:
    receiver, settler = await opened(), await opened()
    await receiver.publish([Envelope(body=b"{}")])
    (delivery,) = await take(receiver)

    assert await settle(settler, delivery, Ack()) is None


async def test_a_refused_acknowledgement_publishes_no_follow_up(opened: Opener, clock: ManualClock) -> None:
    queue = await opened("queue=orders&lease=1s")
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)
    await clock.advance(2)

    assert isinstance(await settle(queue, delivery, Ack(), Envelope(body=b"child")), LeaseLost)
    assert [each.envelope.body for each in await take(queue)] == [b"{}"]


async def test_a_follow_up_that_is_too_large_keeps_its_cause(opened: Opener) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)

    answer = await settle(queue, delivery, Ack(), Envelope(body=b"small"), Envelope(body=bytes(MAX_BODY_BYTES + 1)))

    assert isinstance(answer, MessageTooLarge)
    assert (await queue.stats()).reserved == 1
    assert (await queue.stats()).ready == 0


async def test_the_error_of_a_retry_is_seen_by_who_looks(opened: Opener) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)
    await settle(queue, delivery, Retry(delay=timedelta(minutes=1), error="the other side hung up"))

    record = await queue.peek(Peek.DELAYED)

    assert record is not None
    assert record.error == "the other side hung up"


async def test_an_error_of_any_length_can_be_buried_with(opened: Opener) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    (delivery,) = await take(queue)

    assert await settle(queue, delivery, Bury("broken \ud800", "x" * 1_000_000 + "\ud800")) is None

    (record,) = (await queue.buried()).records
    assert record.error is not None
    assert 1000 < len(record.error) < 100_000


async def test_a_uid_that_is_not_text_is_refused_alone(opened: Opener) -> None:
    queue = await opened()

    first, second = await queue.publish([Envelope(body=b"{}", uid="\ud800"), Envelope(body=b"{}")])

    assert isinstance(first, AdapterError)
    assert not first.temporary
    assert second == "1"


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 70_000])
async def test_bodies_of_any_size_come_back_as_they_were(opened: Opener, size: int) -> None:
    queue = await opened()
    body = bytes(number % 256 for number in range(size))
    await queue.publish([Envelope(body=body)])

    (delivery,) = await take(queue)

    assert delivery.envelope.body == body
    await settle(queue, delivery, Ack())
    assert not await orphans(queue)


async def orphans(queue: Queue) -> int:
    """Bodies without a message: purging would not find them, and they would stay for ever."""
    calls = queue.settle.__self__._calls  # type: ignore[attr-defined] # the provider's
    rows = await calls.ask(Look(calls.desk, lambda reading: reading.row("SELECT count(*) FROM body")))
    return int(rows[0])


def threads(path: Path) -> list[str]:
    """The threads that work on a file of that name."""
    return [thread.name for thread in threading.enumerate() if path.name in thread.name]


async def test_queues_of_one_file_share_a_thread(opened: Opener, path: Path) -> None:
    await until(lambda: not threads(path))  # of the test before
    queues = [await opened(f"queue=q{number}") for number in range(5)]
    for queue in queues:
        await queue.publish([Envelope(body=b"{}")])

    assert len(threads(path)) == 1


async def test_closing_ends_the_thread_and_leaves_one_file(path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}")])
        assert threads(path)

    await until(lambda: not threads(path))
    assert names(path) == {"shop.db", "shop.db.lock"}


def names(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


async def test_a_closed_queue_says_so(path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        pass

    with pytest.raises(AdapterError, match="was closed by its holder"):
        await queue.publish([Envelope(body=b"{}")])


async def test_what_was_asked_before_closing_is_answered(path: Path) -> None:
    async with (
        asyncio.TaskGroup() as group,
        FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue,
    ):
        publishing = [group.create_task(queue.publish([Envelope(body=b"{}")])) for _ in range(50)]
        await asyncio.sleep(0)

    assert {answer for task in publishing for answer in task.result()} == {str(number) for number in range(1, 51)}


async def test_who_looks_while_the_lock_is_waited_for_is_answered_too(opened: Opener, path: Path) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])
    await asyncio.sleep(0.05)  # the thread has kept house, and has nothing to do
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:  # less than it takes to be told that nobody answers
        with FileLock(path):
            publishing = group.create_task(queue.publish([Envelope(body=b"{}")]))
            await asyncio.sleep(0.05)  # the thread waits for the lock by now
            looking = group.create_task(queue.stats())
            await asyncio.sleep(0.01)

    assert publishing.result() == ["2"]
    assert looking.result().ready in {1, 2}, "before the message or after it"


async def test_creating_says_what_was_done(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}?queue=orders"

    assert "is made" in await adapter.create(url, {})
    assert "was there already" in await adapter.create(url, {})
    with pytest.raises(ConfigurationError, match="no options, not fifo"):
        await adapter.create(url, {"fifo": True})


async def test_creating_a_file_is_logged_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            await FileAdapter().create(f"file://{path}", {})

    assert [record.getMessage() for record in caplog.records] == [f"created queue file {path}"]


async def test_bodies_appear_in_no_error_and_no_log(opened: Opener, caplog: pytest.LogCaptureFixture) -> None:
    queue = await opened()
    with caplog.at_level(logging.DEBUG, logger="pulpo.adapter.file"):
        (answer,) = await queue.publish([Envelope(body=b"secret" * 12_000_000)])

    assert "secret" not in f"{answer} {answer!r} {caplog.text}"


async def test_importing_the_package_imports_no_driver() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, pulpo_adapter_file as p; p.FileAdapter().capabilities; sys.exit('sqlite3' in sys.modules)",
    )

    assert await process.wait() == 0


# --- the archive ---


async def finish(queue: Queue, *uids: str) -> None:
    """Publish and acknowledge one message after the other."""
    for uid in uids:
        await queue.publish([Envelope(body=uid.encode() * 600, uid=uid)])
        (delivery,) = await take(queue)
        await settle(queue, delivery, Ack())


async def test_finished_messages_are_gone_unless_asked_for(opened: Opener) -> None:
    queue = await opened()
    await finish(queue, "a")

    assert await queue.peek(Peek.ID, "1") is None


async def test_finished_messages_can_be_kept(opened: Opener) -> None:
    queue = await opened("queue=orders&archive=7d")
    await finish(queue, "a")

    record = await queue.peek(Peek.ID, "1")

    assert record is not None
    assert record.state is State.GONE
    assert (record.envelope.uid, record.envelope.body, record.attempts) == ("a", b"a" * 600, 1)
    assert (await queue.stats()).ready == 0


async def test_buried_and_deleted_messages_are_not_finished(opened: Opener) -> None:
    queue = await opened("queue=orders&archive=7d")
    await queue.publish([Envelope(body=b"{}"), Envelope(body=b"{}")])
    for delivery in await take(queue):
        await settle(queue, delivery, Bury("broken"))
    await queue.delete(["1"])

    assert await queue.peek(Peek.ID, "1") is None
    record = await queue.peek(Peek.ID, "2")
    assert record is not None
    assert record.state is State.BURIED
