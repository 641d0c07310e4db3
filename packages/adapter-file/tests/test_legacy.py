"""Bringing a directory of pulpo-messaging over: everything, once, and without touching it."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pulpo_adapter_file import FileAdapter, ImportReport, Unreadable, import_legacy
from pulpo_adapter_file.legacy import Found, Place, read
from pulpo_core import Ack, ConfigurationError, Delivery, Message, Page, Peek, PulpoJson, Settling
from pulpo_core.testing import ManualClock, SeededJitter

NO_TIME = timedelta()
FOLDERS = {"queue": "", "lock": "lock", "failure": "archive/failure", "success": "archive/success"}


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone that is not UTC, with summer time: the old system wrote local times."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    """A directory with nothing in it yet."""
    for folder in FOLDERS.values():
        (tmp_path / "kessel" / folder).mkdir(parents=True, exist_ok=True)
    return tmp_path / "kessel"


def put(legacy: Path, place: str, content: object, *, name: str | None = None, second: float = 1_700_000_000.25) -> str:
    """A file as the old system writes it; its name without the ending."""
    name = name or f"{second}-{uuid4()}"
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    ending = ".message.lock" if place == "lock" else ".message"
    (legacy / FOLDERS[place] / f"{name}{ending}").write_bytes(data)
    return name


def message(payload: object = "hello", **header: Any) -> dict[str, Any]:
    return {"id": "as written", "header": {"request_type": "send", **header}, "body": {"payload": payload}}


def listing(legacy: Path) -> dict[str, bytes]:
    return {str(path.relative_to(legacy)): path.read_bytes() for path in legacy.rglob("*") if path.is_file()}


class Target:
    """The queue that is imported into."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.url = f"file://{path}?queue=orders"
        self.clock = clock

    async def run(self, legacy: Path, **options: bool) -> ImportReport:
        return await import_legacy(legacy, self.url, clock=self.clock, **options)

    async def take(self) -> list[Delivery]:
        async with FileAdapter().open(self.url, clock=self.clock, jitter=SeededJitter(1)) as queue:
            deliveries = list(await queue.receive(1000, NO_TIME))
            await queue.settle([Settling(delivery, Ack()) for delivery in deliveries])
            return deliveries

    async def messages(self) -> list[Message]:
        return [PulpoJson().translate(delivery.envelope) for delivery in await self.take()]

    async def buried(self) -> Page:
        async with FileAdapter().open(self.url, clock=self.clock, jitter=SeededJitter(1)) as queue:
            return await queue.buried()


@pytest.fixture
def target(path: Path, clock: ManualClock) -> Target:
    """An empty queue."""
    return Target(path, clock)


async def test_every_kind_of_message_is_brought_over_and_nothing_is_touched(legacy: Path, target: Target) -> None:
    put(legacy, "queue", message("waiting"))
    put(legacy, "queue", message("delayed", delay="2030-01-01 00:00:00.000000"))
    put(legacy, "lock", message("locked", attempts=2))
    put(legacy, "failure", message("failed", attempts=5))
    put(legacy, "success", message("done"))
    before = listing(legacy)

    report = await target.run(legacy)

    assert report == ImportReport(queued=1, delayed=1, locked=1, failed=1, finished=1)
    assert listing(legacy) == before
    taken = {delivery.envelope.body: delivery for delivery in await target.take()}
    payloads = {json.loads(body)["body"]["payload"]: delivery for body, delivery in taken.items()}
    assert set(payloads) == {"waiting", "locked"}
    assert (payloads["waiting"].attempt, payloads["waiting"].lost) == (1, 0)
    assert (payloads["locked"].attempt, payloads["locked"].lost) == (4, 1), "two failed, one was lost, this is the next"
    (record,) = (await target.buried()).records
    assert (record.reason, record.attempts) == ("legacy-failure", 5)


async def test_messages_come_in_the_order_in_which_they_were_published(legacy: Path, target: Target) -> None:
    for second in (3.5, 1.25, 2.0):
        put(legacy, "queue", message(second), second=1_700_000_000 + second)

    await target.run(legacy)

    assert [each.payload for each in await target.messages()] == [1.25, 2.0, 3.5]


async def test_importing_twice_imports_nothing_twice(legacy: Path, target: Target) -> None:
    for number in range(450):
        put(legacy, "queue", message(number))

    first, second = await target.run(legacy), await target.run(legacy)

    assert (first.imported, first.known) == (450, 0)
    assert (second.imported, second.known) == (0, 450)
    assert len(await target.take()) == 450


async def test_a_message_that_has_moved_meanwhile_is_known(legacy: Path, target: Target) -> None:
    """An old runner took it, failed, counted the failure, and gave up."""
    names = [put(legacy, "queue", message("a")), put(legacy, "queue", message("b"), name="by-hand")]
    await target.run(legacy)
    for name in names:
        old = legacy / f"{name}.message"
        content = json.loads(old.read_bytes())
        content["header"]["attempts"] = 3
        old.unlink()
        put(legacy, "failure", content, name=name)

    report = await target.run(legacy)

    assert (report.imported, report.known) == (0, 2)


async def test_a_name_that_a_foreign_producer_uses_again_is_another_message(legacy: Path, target: Target) -> None:
    put(legacy, "queue", message("first"), name="job")
    await target.run(legacy)
    put(legacy, "queue", message("second"), name="job")

    assert (await target.run(legacy)).queued == 1


async def test_an_interrupted_import_is_continued(
    legacy: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        put(legacy, "queue", message(number))
    monkeypatch.setattr("pulpo_adapter_file.legacy.count_finished", _interrupt)
    with pytest.raises(asyncio.CancelledError):
        await target.run(legacy)
    monkeypatch.undo()

    assert (await target.run(legacy)).known > 0
    assert len(await target.take()) == 300


def _interrupt(directory: Path) -> int:
    raise asyncio.CancelledError


async def test_a_dry_run_says_the_same_and_does_nothing(legacy: Path, target: Target, path: Path) -> None:
    put(legacy, "queue", message())
    put(legacy, "failure", message())
    put(legacy, "queue", b'{"id": "half')

    dry = await target.run(legacy, dry_run=True, remove=True)
    assert not lies_there(path)
    real = await target.run(legacy)

    assert dry.dry_run
    assert (dry.queued, dry.failed, dry.removed, len(dry.unreadable)) == (1, 1, 0, 1)
    assert (real.queued, real.failed, len(real.unreadable)) == (1, 1, 1)
    again = await target.run(legacy, dry_run=True)
    assert (again.imported, again.known) == (0, 2)


def lies_there(path: Path) -> bool:
    return path.exists()


async def test_files_are_removed_only_when_that_is_asked_for(legacy: Path, target: Target) -> None:
    name = put(legacy, "queue", message())
    half = put(legacy, "queue", b"{")
    done = put(legacy, "success", message())
    await target.run(legacy)

    report = await target.run(legacy, remove=True)

    assert (report.known, report.removed) == (1, 1)
    assert set(listing(legacy)) == {f"{half}.message", f"archive/success/{done}.message"}
    assert name not in str(listing(legacy))
    assert len(await target.take()) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  \n", id="blank"),
        pytest.param(b'{"id": "x", "header": {"request_ty', id="half-written"),
        pytest.param(b"\xff\xfe{}", id="not text"),
        pytest.param(b"[1, 2]", id="another document"),
        pytest.param(b'"text"', id="a bare value"),
        pytest.param(b"[" * 100_000, id="nested beyond measure"),
        pytest.param(b'{"header": {"delay": "tomorrow"}, "body": {}}', id="a time that is none"),
        pytest.param(b'{"header": {"expiration": []}, "body": {}}', id="a time of a wrong kind"),
    ],
)
async def test_what_is_not_a_whole_message_is_reported_and_left(legacy: Path, target: Target, content: bytes) -> None:
    put(legacy, "queue", message("whole"))
    name = put(legacy, "queue", content)

    report = await target.run(legacy, remove=True)

    assert report.queued == 1
    (left,) = report.unreadable
    assert left.path.name == f"{name}.message"
    assert "\n" not in left.why
    assert listing(legacy)[left.path.name] == content


async def test_an_error_never_shows_the_body(legacy: Path, target: Target) -> None:
    put(legacy, "queue", b'{"header": {}, "body": {"payload": "secret"')

    report = await target.run(legacy)

    assert "secret" not in str(report)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2030-07-01 08:00:00.250000", datetime(2030, 7, 1, 12, 0, 0, 250_000, UTC), id="with a fraction"),
        pytest.param("2030-07-01 08:00:00", datetime(2030, 7, 1, 12, tzinfo=UTC), id="without one"),
        pytest.param("2030-01-01 08:00:00", datetime(2030, 1, 1, 13, tzinfo=UTC), id="in winter"),
        pytest.param("2030-01-01T08:00:00+00:00", datetime(2030, 1, 1, 8, tzinfo=UTC), id="with a zone"),
    ],
)
async def test_times_are_the_local_times_they_were(legacy: Path, target: Target, text: str, moment: datetime) -> None:
    put(legacy, "queue", message(delay=text))
    put(legacy, "queue", message(expiration=text))

    await target.run(legacy)

    (expiring,) = await target.take()
    assert expiring.envelope.expiration == moment
    async with FileAdapter().open(target.url, clock=target.clock, jitter=SeededJitter(1)) as queue:
        delayed = await queue.peek(Peek.DELAYED)
    assert delayed is not None
    assert delayed.ready_at == moment


async def test_a_delay_that_is_over_is_none(legacy: Path, target: Target) -> None:
    put(legacy, "queue", message(delay="2001-01-01 00:00:00.000000"))

    assert (await target.run(legacy)).queued == 1
    assert len(await target.take()) == 1


async def test_oddities_of_the_old_format_are_understood(legacy: Path, target: Target) -> None:
    put(legacy, "queue", {"header": {"request_type": "send"}, "body": {"payload": 0}}, name="no-id", second=1)
    put(
        legacy, "queue", {"id": None, "header": None, "body": {"payload": "", "other": {"deep": [1]}}}, name="no-header"
    )
    put(legacy, "queue", {"id": 7, "header": {"priority": -5, "mine": None}, "body": None}, name="numbers")

    report = await target.run(legacy)

    assert report.unreadable == ()
    messages = {each.header["legacy_id"]: each for each in await target.messages()}
    assert messages["no-id"].payload == 0
    assert messages["no-header"].body == {"payload": "", "other": {"deep": [1]}}
    assert messages["numbers"].priority == 0
    assert messages["numbers"].header["mine"] is None


async def test_what_is_known_of_a_message_is_kept(legacy: Path, target: Target) -> None:
    name = put(legacy, "queue", message(source="cron", attempts=1), second=1_700_000_000.5)

    await target.run(legacy)

    (delivery,) = await target.take()
    read = PulpoJson().translate(delivery.envelope)
    assert delivery.attempt == 2
    assert delivery.envelope.published_at == datetime.fromtimestamp(1_700_000_000.5, UTC)
    assert read.uid == delivery.envelope.uid == f"pulpo-messaging:{name}"
    assert read.header["source"] == "cron"
    assert read.header["legacy_id"] == name
    assert read.request_type == "send"


async def test_large_bodies_are_brought_over(legacy: Path, target: Target) -> None:
    put(legacy, "queue", message("x" * 300_000))

    await target.run(legacy)

    (read,) = await target.messages()
    assert read.payload == "x" * 300_000


@pytest.mark.parametrize("kind", ["missing", "empty", "a file"])
async def test_another_directory_is_refused(tmp_path: Path, target: Target, kind: str) -> None:
    directory = tmp_path / "other"
    make(directory, kind)

    with pytest.raises(ConfigurationError, match="not a directory of pulpo-messaging"):
        await target.run(directory)


def make(directory: Path, kind: str) -> None:
    if kind == "empty":
        directory.mkdir()
    elif kind == "a file":
        directory.write_text("no directory")


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    found = Found(tmp_path, Place.QUEUE)  # a folder, which no one can read as a file

    assert isinstance(read(found, now=datetime.now(UTC)), Unreadable)


def test_a_file_that_is_gone_by_now_is_nobodys_business(tmp_path: Path) -> None:
    """A runner that was not stopped took it: the next import finds it where it is."""
    assert read(Found(tmp_path / "gone.message", Place.QUEUE), now=datetime.now(UTC)) is None
