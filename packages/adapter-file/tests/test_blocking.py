"""Publishing in the calling thread: as durable and as careful as through the writer's, and never in anybody's way."""

import asyncio
import errno
import fcntl
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, workplace
from pulpo_adapter_file.calls import Calls
from pulpo_adapter_file.locking import FileLock
from pulpo_adapter_file.operations import MOST_AT_ONCE, Change, Look
from pulpo_adapter_file.queue import FileQueue, open_calls
from pulpo_adapter_file.settings import Settings
from pulpo_core import (
    AdapterError,
    BlockingPublisher,
    ConfigurationError,
    Envelope,
    Message,
    MessageTooLarge,
    SystemClock,
    SystemJitter,
    Unavailable,
    open_publisher_sync,
)

from .conftest import Opener
from .power import Note, Sync, Write, recording
from .stage import HANG_GUARD, until

LONG = timedelta(seconds=20)
JOB = Envelope(body=b"{}")


async def ready_to_publish(opened: Opener, parameters: str = "queue=orders") -> FileQueue:
    """An open queue whose file is there, with one message in it, and whose writer has nothing to do."""
    queue = await opened(parameters)
    assert isinstance(queue, FileQueue)
    await queue.publish([JOB])
    await until(lambda: queue.publish_blocking([]) is not None)
    await published(queue)
    return queue


async def published(queue: FileQueue, *envelopes: Envelope) -> Sequence[str | AdapterError]:
    """The answers of the calling thread, once nobody else is at the file."""
    answers: list[Sequence[str | AdapterError]] = []

    def tried() -> bool:
        answer = queue.publish_blocking(envelopes or [JOB])
        if answer is not None:
            answers.append(answer)
        return bool(answers)

    await until(tried)
    return answers[0]


async def test_every_file_queue_offers_it(opened: Opener) -> None:
    assert isinstance(await opened(), BlockingPublisher)


async def test_each_message_has_its_answer(opened: Opener) -> None:
    queue = await ready_to_publish(opened, "queue=orders&max_body=1000")

    good, bad, other = await published(queue, JOB, Envelope(body=b"x" * 1001), JOB)

    assert (good, other) == ("3", "4")
    assert isinstance(bad, MessageTooLarge)


async def test_what_is_confirmed_was_flushed_before(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with recording(path.parent) as recorded:
        async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
            assert isinstance(queue, FileQueue)
            await queue.publish([JOB])
            begun = len(recorded.events)
            await published(queue)
            recorded.note("confirmed")
            await queue.stats()

    events = recorded.events[begun : recorded.events.index(Note("confirmed"))]
    log = f"{path}-wal"
    writes = [place for place, event in enumerate(events) if isinstance(event, Write) and event.path == log]
    syncs = [place for place, event in enumerate(events) if isinstance(event, Sync) and event.path == log]
    assert writes
    assert syncs[-1] > writes[-1]


async def test_it_leaves_to_the_writer_what_takes_longer(opened: Opener, path: Path) -> None:
    """To make the file; to store more than one transaction should hold; to wait for another process."""
    queue = await opened()
    assert isinstance(queue, FileQueue)
    assert queue.publish_blocking([JOB]) is None
    assert names_beside(path) == set()

    await ready_to_publish(opened)
    assert queue.publish_blocking([JOB] * (MOST_AT_ONCE + 1)) is None
    with locked(path):
        assert queue.publish_blocking([JOB]) is None

    assert (await queue.stats()).ready == 2


def names_beside(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()}


def take_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the lock of the queue file at *path*."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def test_a_lock_file_that_was_removed_is_made_anew_by_the_writer(opened: Opener, path: Path) -> None:
    """The lock of a nameless file keeps nobody out."""
    queue = await ready_to_publish(opened)
    lock = path.with_name("shop.db.lock")
    lock.unlink()

    assert queue.publish_blocking([JOB]) is None
    assert await queue.publish([JOB]) == ["3"]
    assert lock.exists()


async def test_others_go_first(path: Path) -> None:
    """Else a thread that publishes without pause would keep the tasks of its own process out for ever."""
    answers: list[Sequence[str | AdapterError] | None] = []
    async with opened_now(path) as queue:
        await queue.publish([JOB])
        writer_has_more = asyncio.gather(*[queue.publish([JOB]) for _ in range(50)])
        await asyncio.sleep(0)  # submitted
        answers.append(queue.publish_blocking([JOB]))
        async with asyncio.timeout(HANG_GUARD):
            ids = await writer_has_more

    assert answers == [None]
    assert len(ids) == 50


@asynccontextmanager
async def opened_now(path: Path, parameters: str = "") -> AsyncIterator[FileQueue]:
    async with FileAdapter().open(f"file://{path}{parameters}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        assert isinstance(queue, FileQueue)
        yield queue


async def test_it_wakes_who_waits_in_this_process(opened: Opener) -> None:
    queue = await ready_to_publish(opened)
    await queue.receive(10, timedelta())
    async with asyncio.timeout(HANG_GUARD), asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.receive(1, LONG))
        await asyncio.sleep(0.02)
        [name] = await published(queue)

        [delivery] = await waiting
    assert delivery.id == name


async def test_a_closed_queue_refuses(path: Path) -> None:
    async with opened_now(path) as queue:
        await queue.publish([JOB])

    with pytest.raises(AdapterError, match="closed by its holder"):
        queue.publish_blocking([JOB])


async def test_damage_is_told(opened: Opener, path: Path) -> None:
    queue = await ready_to_publish(opened)
    take_away(path)

    assert queue.publish_blocking([JOB]) is None, "it is told by the ordinary way"
    with pytest.raises(ConfigurationError, match="was removed"):
        await queue.publish([JOB])


async def test_a_full_disk_is_told_by_the_ordinary_way_and_nothing_is_lost(path: Path) -> None:
    large = Envelope(body=os.urandom(3000))
    async with opened_now(path) as queue, open_calls(Settings.of(f"file://{path}"), SystemClock()) as (calls, _):
        await queue.publish([JOB])
        await limit_pages(calls, 40)
        number = 1
        while not isinstance(answer := await here_or_there(queue, large), Unavailable):
            number += 1
        assert number > 3
        assert "no room" in str(answer)
        await limit_pages(calls, 1_000_000)

        assert await here_or_there(queue, JOB) == [str(number + 1)]
        assert (await queue.stats()).ready == number + 1


async def limit_pages(calls: Calls, pages: int) -> None:
    await calls.ask(Change(calls.desk, lambda transaction: transaction.rows(f"PRAGMA max_page_count = {pages}")))


async def here_or_there(queue: FileQueue, envelope: Envelope) -> Sequence[str | AdapterError] | AdapterError:
    try:
        answers = queue.publish_blocking([envelope])
        return await queue.publish([envelope]) if answers is None else answers
    except AdapterError as error:
        return error


async def test_house_is_kept_though_the_writer_has_nothing_else_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workplace, "CHECKPOINT_AFTER", 30)
    settings = Settings.of(f"file://{path}")
    async with opened_now(path) as queue, open_calls(settings, SystemClock()) as (calls, _):
        await queue.publish([JOB])
        for _ in range(200):
            await published(queue)
        committer = calls.writer.workplace.committer
        assert committer is not None
        await until(lambda: committer.weight < 30)

        assert path.with_name("shop.db-wal").stat().st_size < 600_000, "of 800 kB that went through it"


def test_threads_and_tasks_publish_side_by_side(path: Path) -> None:
    """Each of them gets ids that nobody else gets, and the file holds what was confirmed."""
    ids: list[str | None] = []
    with open_publisher_sync(f"file://{path}?queue=orders") as publisher:

        def work() -> None:
            ids.extend(publisher.publish(Message()).id for _ in range(100))

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        ids += asyncio.run(tasks(path))
        for thread in threads:
            thread.join(HANG_GUARD)

    assert len(ids) == len(set(ids)) == 900
    assert stored(path) == {int(name or 0) for name in ids}


async def tasks(path: Path) -> list[str]:
    """The ids of 300 messages, published by three tasks through a queue of their own."""
    async with FileAdapter().open(f"file://{path}?queue=orders", clock=SystemClock(), jitter=SystemJitter()) as queue:

        async def work() -> list[str]:
            return [str((await queue.publish([JOB]))[0]) for _ in range(100)]

        return [name for names in await asyncio.gather(work(), work(), work()) for name in names]


def stored(path: Path) -> set[int]:
    connection = sqlite3.connect(path)
    try:
        return {name for (name,) in connection.execute("SELECT id FROM message")}
    finally:
        connection.close()


class Interrupted(Exception):
    """What the handler of a signal raises, at whatever line the main thread is."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """`SIGALRM` is raised as `Interrupted`."""

    def raise_it(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, raise_it)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("level", ["publish", "normal"])
async def test_a_signal_in_the_midst_of_it_leaves_a_queue_that_works(path: Path, level: str) -> None:
    """Such as Ctrl-C: nothing that was confirmed is missing, and no lock is kept, even if nobody publishes any more."""
    async with opened_now(path, f"?durability={level}") as queue:
        confirmed = {*await queue.publish([JOB])}
        for _ in range(20):
            confirmed |= publish_and_be_interrupted(queue, rounds=15)
            await until(lambda: is_free(path))
        confirmed |= {*await published(queue), *await queue.publish([JOB])}

    assert {int(str(name)) for name in confirmed} <= stored(path)


def publish_and_be_interrupted(queue: FileQueue, *, rounds: int) -> set[str | AdapterError]:
    """Publish until torn away, *rounds* times; what was confirmed. Each time something else may have been stored."""
    confirmed: set[str | AdapterError] = set()
    for number in range(rounds):
        with suppress(Interrupted):
            signal.setitimer(signal.ITIMER_REAL, 0.001 + number * 1e-5)
            while True:
                confirmed |= {*(queue.publish_blocking([JOB]) or ())}
    return confirmed


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of the queue file."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


async def test_a_lock_that_could_not_be_given_back_is_given_back_by_the_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that strikes at the last moment must not keep other processes out until this one publishes again."""
    async with opened_now(path) as queue:
        await queue.publish([JOB])
        await published(queue)
        with monkeypatch.context() as patched:
            patched.setattr(FileLock, "release", torn_away)
            with pytest.raises(Interrupted):
                await published(queue)

        await until(lambda: is_free(path))


def torn_away(*_: object) -> None:
    raise Interrupted


async def test_a_transaction_that_was_left_open_is_undone(path: Path) -> None:
    async with opened_now(path) as queue, open_calls(Settings.of(f"file://{path}"), SystemClock()) as (calls, _):
        await queue.publish([JOB])
        for number in (2, 3):
            await published(queue)
            leave_open(calls)

            assert (await queue.stats()).ready == number
    assert stored(path) == {1, 2, 3}


def leave_open(calls: Calls) -> None:
    committer = calls.writer.workplace.committer
    assert committer is not None
    committer.store.connection.execute("BEGIN IMMEDIATE")
    committer.store.connection.execute("DELETE FROM message")


async def test_the_writer_undoes_it_though_nobody_asks_for_anything(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else SQLite's lock would keep other processes out."""
    async with opened_now(path) as queue, open_calls(Settings.of(f"file://{path}"), SystemClock()) as (calls, _):
        await queue.publish([JOB])
        await published(queue)
        leave_open(calls)
        with monkeypatch.context() as patched:
            patched.setattr(FileLock, "take_if_free", torn_away)
            with pytest.raises(Interrupted):
                await published(queue)

        await until(lambda: can_write(path))


def can_write(path: Path) -> bool:
    connection = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


class Calling(SystemClock):
    """A clock that calls something whenever it is read, which the file queue does in its transactions."""

    def __init__(self) -> None:
        self.called: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        self.called()
        return super().now()


async def test_a_handler_that_publishes_in_the_midst_of_it_is_refused_at_once(path: Path) -> None:
    """It would wait for the thread that it interrupts."""
    refusals: list[str] = []
    clock = Calling()
    settings = Settings.of(f"file://{path}")
    async with (
        FileAdapter().open(f"file://{path}", clock=clock, jitter=SystemJitter()) as queue,
        open_calls(settings, SystemClock()) as (calls, _),
    ):
        assert isinstance(queue, FileQueue)

        def handle() -> None:
            calls.ask(Look(calls.desk, lambda _: None))  # even while others wait for the writer
            with pytest.raises(AdapterError) as refusal:
                queue.publish_blocking([JOB])
            refusals.append(str(refusal.value))

        await queue.publish([JOB])
        await published(queue)
        clock.called = handle
        answer = await published(queue)
        clock.called = lambda: None

        assert answer == ["3"]
        assert "a signal handler cannot publish while its thread does" in refusals[0]
        assert await published(queue) == ["4"]


async def test_what_is_stored_is_confirmed_even_where_nobody_can_be_woken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be published again."""

    def refused(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with opened_now(path) as queue:
        await queue.publish([JOB])
        await published(queue)
        waiting = path.with_name("shop.db.wake")
        waiting.mkdir()
        (waiting / "of-another-process").touch()
        monkeypatch.setattr("socket.socket", refused)

        assert await published(queue) == ["3"]
        assert await queue.publish([JOB]) == ["4"]
