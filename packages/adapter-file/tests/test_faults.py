"""What can happen to the file under a running worker: one clear error, and never a silent new queue."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_file.calls import Calls
from pulpo_adapter_file.operations import Change
from pulpo_adapter_file.queue import FileQueue, open_calls
from pulpo_adapter_file.settings import Settings
from pulpo_adapter_file.transaction import Transaction
from pulpo_core import (
    Ack,
    AdapterError,
    ConfigurationError,
    Envelope,
    Queue,
    QueueNotFound,
    Settling,
    SystemClock,
    SystemJitter,
    Unavailable,
)

from .conftest import Opener
from .stage import stage

NO_TIME = timedelta()
LATER = timedelta(seconds=20)


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def remove_log(path: Path) -> None:
    path.with_name("shop.db-wal").unlink()


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    """Overwrite everything behind the header of the file, and the log, so that nothing of them is believed."""
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * (path.stat().st_size - 100))
    with path.with_name("shop.db-wal").open("r+b") as log:
        log.write(b"\xa5" * path.with_name("shop.db-wal").stat().st_size)


@asynccontextmanager
async def opened_calls(path: Path) -> AsyncIterator[tuple[Calls, Queue]]:
    settings = Settings.of(f"file://{path}?queue=orders")
    async with open_calls(settings, SystemClock()) as (calls, ear):
        yield calls, FileQueue(calls, ear, FileAdapter().capabilities)


async def fill(queue: Queue, count: int = 300, size: int = 1500) -> None:
    await queue.publish([Envelope(body=os.urandom(size)) for _ in range(count)])


async def do_anything(queue: Queue) -> None:
    """Enough of everything that every page of a small file is looked at."""
    while deliveries := await queue.receive(50, NO_TIME):
        answers = await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
        assert answers == [None] * len(answers)
        await queue.publish([Envelope(body=b"{}", not_before=SystemClock().now() + timedelta(days=1))])


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        pytest.param(remove, QueueNotFound, "was removed while it was in use", id="removed"),
        pytest.param(replace, ConfigurationError, "was replaced by another", id="replaced"),
        pytest.param(remove_log, ConfigurationError, "-wal file was removed", id="its log removed"),
        pytest.param(cut_to_nothing, ConfigurationError, "truncated", id="cut to nothing"),
        pytest.param(cut_in_half, ConfigurationError, "truncated", id="cut in half"),
        pytest.param(scribble, ConfigurationError, "damaged", id="overwritten"),
    ],
)
async def test_one_clear_error_and_nothing_is_written_any_more(
    path: Path, fault: Callable[[Path], None], kind: type[Exception], said: str
) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await fill(queue, size=40_000)  # more than the connection keeps in memory
        (delivery,) = await queue.receive(1, NO_TIME)
        await checkpoint(path)
        fault(path)

        with pytest.raises(kind, match=said):
            await do_anything(queue)

        for call in (
            queue.receive(1, LATER),
            queue.publish([Envelope(body=b"{}")]),
            queue.settle([Settling(delivery, Ack())]),
        ):
            with pytest.raises(kind, match=said):
                await call
    assert not lies_there(path) or fault is not remove


def companions(path: Path) -> list[Path]:
    return list(path.parent.iterdir())


def size_of(path: Path) -> int:
    return path.stat().st_size


def close_to_writing(folder: Path) -> None:
    folder.chmod(0o555)


def lies_there(path: Path) -> bool:
    return path.exists()


async def checkpoint(path: Path) -> None:
    """Everything is in the file itself, as after some work."""
    async with opened_calls(path) as (calls, _):
        await calls.ask(Change(calls.desk, lambda transaction: None))
        calls.writer.workplace.committer.checkpoint()  # type: ignore[union-attr] # the thread is idle


@pytest.mark.parametrize("lose", [remove, cut_to_nothing])
async def test_a_lost_file_is_not_begun_anew_until_somebody_says_so(path: Path, lose: Callable[[Path], None]) -> None:
    adapter, url = FileAdapter(), f"file://{path}"
    await adapter.create(url, {})
    lose(path)

    with pytest.raises(ConfigurationError, match=r"says that there were messages.*remove shop\.db\.lock"):
        await adapter.create(url, {})
    with pytest.raises(ConfigurationError):
        async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
            await queue.receive(1, NO_TIME)

    remove(path.with_name("shop.db.lock"))
    await adapter.create(url, {})


async def test_who_opens_it_again_gets_the_file_that_is_there(path: Path) -> None:
    adapter = FileAdapter()
    async with adapter.open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as first:
        await first.publish([Envelope(body=b"{}")])
        for companion in companions(path):
            remove(companion)
        with pytest.raises(QueueNotFound):
            await first.publish([Envelope(body=b"{}")])

        async with adapter.open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as second:
            assert await second.publish([Envelope(body=b"{}")]) == ["1"]


async def test_everybody_who_had_it_open_before_can_close_it_afterwards(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opened() -> contextlib.AbstractAsyncContextManager[Queue]:
        return FileAdapter().open(f"file://{path}?timeout=20s", clock=SystemClock(), jitter=SystemJitter())

    async with contextlib.AsyncExitStack() as stack:
        before = [await stack.enter_async_context(opened()) for _ in range(3)]
        await before[0].publish([Envelope(body=b"{}")])
        replace(path)
        with pytest.raises(ConfigurationError, match="replaced"):
            await before[1].publish([Envelope(body=b"{}")])
        now = await stack.enter_async_context(opened())
        assert await now.publish([Envelope(body=b"{}")]) == ["2"]

        async with asyncio.timeout(10):
            await stack.aclose()

    assert "still being closed" not in caplog.text


async def test_a_file_vacuumed_by_other_means_was_not_truncated(path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await fill(queue)
        while deliveries := await queue.receive(100, NO_TIME):
            await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
        await checkpoint(path)
        before = size_of(path)

        shell = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('VACUUM')", str(path)
        )
        assert await shell.wait() == 0
        await checkpoint(path)

        assert size_of(path) < before
        assert await queue.publish([Envelope(body=b"{}")]) == ["301"]


async def test_a_lock_file_that_was_removed_is_made_again(opened: Opener, path: Path) -> None:
    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])

    path.with_name("shop.db.lock").unlink()

    assert await queue.publish([Envelope(body=b"{}")]) == ["2"]
    assert lies_there(path.with_name("shop.db.lock"))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving up the rights of root needs them")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that everybody can reach and write to; pytest's own are for their owner."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@needs_root
async def test_a_file_of_somebody_else_is_refused(public_folder: Path) -> None:
    url = f"file://{public_folder}/shop.db"
    await FileAdapter().create(url, {})

    async with stage() as start:
        nobody = await start("as_nobody", url)

        assert await nobody.end() == 1
        assert nobody.said("PermissionDenied")


@needs_root
async def test_a_folder_that_cannot_be_written_to_is_refused(public_folder: Path) -> None:
    close_to_writing(public_folder)

    async with stage() as start:
        nobody = await start("as_nobody", f"file://{public_folder}/shop.db")

        assert await nobody.end() == 1
        assert "writable," in nobody.said("PermissionDenied")[0]


@needs_root
async def test_what_root_looks_at_still_belongs_to_its_owner(public_folder: Path) -> None:
    path = public_folder / "shop.db"
    async with stage() as start:
        assert await (await start("as_nobody", f"file://{path}")).end() == 0
        remove(path.with_name("shop.db.lock"))

        async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
            await queue.receive(1, timedelta(milliseconds=1))

            assert await (await start("as_nobody", f"file://{path}")).end() == 0


# --- no room ---


async def limit_pages(calls: Calls, pages: int) -> None:
    await calls.ask(Change(calls.desk, lambda transaction: transaction.rows(f"PRAGMA max_page_count = {pages}")))


async def test_a_full_disk_is_temporary_and_nothing_is_lost(path: Path) -> None:
    async with opened_calls(path) as (calls, queue):
        await queue.publish([Envelope(body=b"first", uid="first")])
        await limit_pages(calls, 40)
        stored = 1
        while not isinstance(answer := await outcome(queue.publish([Envelope(body=os.urandom(3000))])), Unavailable):
            stored += 1
        assert "no room" in str(answer)
        assert answer.temporary
        assert not answer.in_doubt

        (delivery,) = await queue.receive(1, NO_TIME)
        assert await queue.settle([Settling(delivery, Ack())]) == [None], "an acknowledgement needs no room"

        await limit_pages(calls, 1_000_000)
        await queue.publish([Envelope(body=b"last", uid="last")])

        assert (await queue.stats()).ready == stored


async def test_one_that_does_not_fit_does_not_hinder_its_neighbours(path: Path) -> None:
    async with opened_calls(path) as (calls, queue):
        await queue.publish([Envelope(body=b"{}") for _ in range(5)])
        deliveries = await queue.receive(5, NO_TIME)
        await limit_pages(calls, 40)

        async with asyncio.TaskGroup() as group:
            too_large = group.create_task(outcome(queue.publish([Envelope(body=os.urandom(500_000))])))
            small = group.create_task(outcome(queue.publish([Envelope(body=b"{}")])))
            acks = [group.create_task(outcome(queue.settle([Settling(each, Ack())]))) for each in deliveries]

        assert isinstance(too_large.result(), Unavailable)
        assert small.result() == ["6"]
        assert [ack.result() for ack in acks] == [[None]] * 5


async def outcome(call: object) -> object:
    try:
        return await call  # type: ignore[misc] # a coroutine
    except AdapterError as error:
        return error


@pytest.mark.parametrize("size", [200, 20_000])
async def test_a_file_that_may_not_grow_is_a_full_disk(path: Path, size: int) -> None:
    async with stage() as start:
        actor = await start("fill", f"file://{path}", 400_000, size)
        ((stored, temporary, *_),) = await actor.until("full")
        ((drained, different, last),) = await actor.until("drained")

        assert temporary == "True"
        assert int(stored) > 2
        assert int(drained) == int(different) == int(stored) + 1
        assert last == "last"
        assert await actor.end() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.fail(f"this test mounts a small file system, and may not: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.soak
async def test_a_disk_that_is_really_full_loses_nothing(small_disk: Path) -> None:
    """Publishing, receiving and acknowledging on it: refused or done, and all of it when there is room again."""
    ballast, url = small_disk / "ballast", f"file://{small_disk}/shop.db"
    async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        published, acked, refused = 0, 0, 0
        for _ in range(20):
            write(ballast, 10_000_000)
            while isinstance(answer := await outcome(queue.publish([Envelope(body=os.urandom(9000))] * 5)), list):
                published += 5
            assert isinstance(answer, Unavailable)
            assert "no room" in str(answer)
            for room in (False, True):
                if room:
                    remove(ballast)
                while isinstance(deliveries := await outcome(queue.receive(20, NO_TIME)), list) and deliveries:
                    answers = await outcome(queue.settle([Settling(delivery, Ack()) for delivery in deliveries]))
                    assert isinstance(answers, Unavailable) or answers == [None] * len(deliveries)
                    acked += len(deliveries) if isinstance(answers, list) else 0
                    refused += 0 if isinstance(answers, list) else len(deliveries)
        stats = await queue.stats()

    assert acked > 100
    assert stats.ready == 0
    assert stats.reserved == refused, "what could not be acknowledged is still there"
    assert acked + refused == published


def write(path: Path, size: int) -> None:
    with contextlib.suppress(OSError):
        path.write_bytes(bytes(size))


# --- others that do not let go ---


async def test_a_stopped_process_that_holds_the_lock_is_waited_for_in_vain_only_so_long(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}?timeout=300ms"
    async with stage() as start, adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}", uid="before")])
        frozen = await start("freeze", url)
        await frozen.until("holding")

        with pytest.raises(Unavailable, match="others held its lock") as refusal:
            await queue.publish([Envelope(body=b"{}", uid="meanwhile")])
        assert not refusal.value.in_doubt

        frozen.process.send_signal(signal.SIGCONT)
        await frozen.end()
        await queue.publish([Envelope(body=b"{}", uid="after")])

        uids = [delivery.envelope.uid for delivery in await queue.receive(10, NO_TIME)]
        assert uids == ["before", "after"], "what was refused without doubt was not stored"


async def test_closing_does_not_wait_for_ever(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    adapter, url = FileAdapter(), f"file://{path}?timeout=200ms"
    async with stage() as start:
        async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
            await queue.publish([Envelope(body=b"{}")])
            frozen = await start("freeze", url)
            await frozen.until("holding")

        assert "still being closed" in caplog.text
        await asyncio.sleep(0.3)  # longer than the timeout: it is closed under the lock all the same
        assert writing(path)
        frozen.process.send_signal(signal.SIGCONT)
        await frozen.end()
        async with asyncio.timeout(20):
            while writing(path):  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.01)

    assert "not closed in order" not in caplog.text


def writing(path: Path) -> bool:
    """Whether this process has the file open, or is still closing it."""
    return any(thread.name == f"pulpo {path.name}" for thread in threading.enumerate())


async def test_a_lock_dies_with_its_holder(path: Path) -> None:
    adapter, url = FileAdapter(), f"file://{path}"
    async with stage() as start:
        await adapter.create(url, {})
        frozen = await start("freeze", url)
        await frozen.until("holding")
        frozen.kill()

        async with adapter.open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
            assert await queue.publish([Envelope(body=b"{}")]) == ["1"]


async def test_a_forked_child_may_not_use_what_its_parent_opened(path: Path) -> None:
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await queue.publish([Envelope(body=b"{}")])
        status = in_a_child(queue)

        assert status == 0
        assert await queue.publish([Envelope(body=b"{}")]) == ["2"], "the parent goes on"


async def test_a_child_that_was_forked_in_the_midst_of_a_transaction_may_open_the_file_anew(path: Path) -> None:
    begun = threading.Event()

    def work(transaction: Transaction) -> None:
        transaction.change("UPDATE meta SET value = value")
        begun.set()
        time.sleep(0.3)

    async with opened_calls(path) as (calls, queue), asyncio.TaskGroup() as group:
        await queue.publish([Envelope(body=b"{}")])
        changing = group.create_task(outcome(calls.ask(Change(calls.desk, work))))
        await asyncio.to_thread(begun.wait, 10)
        status = in_a_child_of_its_own(path)

        assert status == 0
        await changing
        assert await queue.publish([Envelope(body=b"{}")]) == ["3"], "the parent goes on"


def in_a_child_of_its_own(path: Path) -> int:
    """0 if the child could publish through a queue that it has opened."""

    async def publish() -> None:
        url = f"file://{path}?timeout=3s"
        async with FileAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
            await queue.publish([Envelope(body=b"{}")])

    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BaseException):
        asyncio.run(publish())
        os._exit(0)
    os._exit(1)


def in_a_child(queue: Queue) -> int:
    """0 if the child was refused."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BaseException):
        coroutine = queue.publish([Envelope(body=b"{}")])
        try:
            coroutine.send(None)
        except ConfigurationError as error:
            os._exit(0 if "forked" in str(error) else 2)
    os._exit(1)
