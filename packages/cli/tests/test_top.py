"""`pulpo top`, driven by its keys without a terminal."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, OptionList, Static

from pulpo_cli.top import workers
from pulpo_cli.top.app import Top
from pulpo_cli.top.dialogs import Choose, Confirm
from pulpo_cli.top.watching import CANNOT_LOOK, Watched
from pulpo_core import Bury, Message, SystemClock, Unavailable, open_publisher, open_queue
from tests.servers import BeanstalkdServer

from .actors import bury, publish
from .conftest import Pulpo

INTERVAL = 0.1

SIZE = (180, 50)


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What else runs on this host is not asked."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@asynccontextmanager
async def top(*urls: str) -> AsyncIterator[tuple[Top, Pilot[None]]]:
    """The screen at work, once every queue was looked at."""
    app = Top(urls, interval=INTERVAL)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: all(each.stats or each.error for each in app.queues.values()))
        yield app, pilot


async def until(happened: Callable[[], Any]) -> None:
    """Return once it has happened; fail if it never does."""
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110 - a screen sets no event
            await asyncio.sleep(0.02)


def rows(app: Top, table: str) -> list[list[str]]:
    """What stands in a table."""
    shown: DataTable[Any] = app.query_one(f"#{table}", DataTable)
    return [[str(cell).strip() for cell in shown.get_row_at(index)] for index in range(shown.row_count)]


def title(app: Top) -> str:
    return str(app.query_one("#latest-title", Static).render())


def fill(url: str) -> None:
    """Two burials for two reasons, one message ready, one delayed."""
    publish(url, Message(request_type="email", body={"payload": "secret-word"}), Message(request_type="sms"))
    bury(url, Bury("attempts-exhausted", "OSError: the server is down"), Bury("no such customer"))
    publish(url, Message(), Message(delay=600))


async def test_every_queue_has_a_row_with_its_counts(url: str) -> None:
    await asyncio.to_thread(fill, url)

    async with top(url, f"{url}-empty") as (app, _):
        await until(lambda: rows(app, "queues")[0][1] == "1")
        first, second = rows(app, "queues")

    assert first[:5] == [url, "1", "1", "0", "2"]
    assert second[:5] == [f"{url}-empty", "0", "0", "0", "0"]


async def test_what_is_published_meanwhile_is_seen_and_makes_a_rate(url: str) -> None:
    async with top(url) as (app, _):
        async with open_publisher(url) as publisher:
            await publisher.publish(Message())
        await until(lambda: rows(app, "queues")[0][1] == "1")
        grown = app.queues[url].history.growth
        await until(lambda: rows(app, "queues")[0][8].endswith("█"))

    assert grown is not None


async def test_burials_are_shown_by_reason_and_the_latest_with_their_errors(url: str) -> None:
    await asyncio.to_thread(fill, url)

    async with top(url) as (app, _):
        await until(lambda: len(rows(app, "recent")) == 2)
        reasons, recent = rows(app, "reasons"), rows(app, "recent")
        screen = app.export_screenshot()

    assert sorted(reasons) == [["attempts-exhausted", "1"], ["no such customer", "1"]]
    assert [row[2:] for row in sorted(recent, key=lambda row: row[2])] == [
        ["email", "1", "attempts-exhausted", "OSError: the server is down"],
        ["sms", "1", "no such customer", ""],
    ]
    assert "secret-word" not in screen


async def test_the_cursor_chooses_whose_burials_are_shown(url: str) -> None:
    other = f"{url}-other"
    await asyncio.to_thread(fill, other)

    async with top(url, other) as (app, pilot):
        first = title(app)
        await pilot.press("down")
        await until(lambda: len(rows(app, "recent")) == 2)
        second = title(app)

    assert first.startswith(f"Latest burials of {url} – nothing is buried")
    assert second == f"Latest burials of {other}"


async def test_kick_asks_first_and_then_puts_everything_back_to_work(url: str) -> None:
    await asyncio.to_thread(fill, url)

    async with top(url) as (app, pilot):
        await until(lambda: rows(app, "queues")[0][4] == "2")
        await pilot.press("k")
        await pilot.press("n")
        await asyncio.sleep(3 * INTERVAL)
        refused = rows(app, "queues")[0][4]
        await pilot.press("k")
        await pilot.press("y")
        await until(lambda: rows(app, "queues")[0][4] == "0")
        ready = rows(app, "queues")[0][1]

    assert (refused, ready) == ("2", "3")


async def test_purge_asks_which_and_whether(url: str) -> None:
    await asyncio.to_thread(fill, url)

    async with top(url) as (app, pilot):
        await until(lambda: rows(app, "queues")[0][4] == "2")
        await pilot.press("x")
        await until(lambda: isinstance(app.screen, Choose) and app.screen.query(OptionList))
        shown = app.screen.query_one(OptionList)
        choices = [str(shown.get_option_at_index(index).prompt) for index in range(shown.option_count)]
        await pilot.press("down", "enter")
        await until(lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await until(lambda: rows(app, "queues")[0][2] == "0")
        counts = rows(app, "queues")[0][1:5]

    assert choices == ["ready: 1", "delayed: 1", "buried: 2"]
    assert counts == ["1", "0", "0", "2"]


async def test_leaving_the_choice_removes_nothing(url: str) -> None:
    await asyncio.to_thread(fill, url)

    async with top(url) as (app, pilot):
        await until(lambda: rows(app, "queues")[0][4] == "2")
        await pilot.press("x")
        await pilot.press("escape")
        await asyncio.sleep(3 * INTERVAL)

        assert rows(app, "queues")[0][1:5] == ["1", "1", "0", "2"]


async def test_pause_is_for_everybody_where_the_queue_can_and_the_same_key_resumes(url: str) -> None:
    async with top(url) as (app, pilot):
        await pilot.press("p", "y")
        await until(lambda: rows(app, "queues")[0][0] == f"{url} paused")
        async with open_queue(url) as queue:
            assert (await queue.stats()).paused
        await pilot.press("p", "y")
        await until(lambda: rows(app, "queues")[0][0] == url)


@pytest.mark.parametrize("keys", [["q"], ["ctrl+c"], ["x", "ctrl+c"]], ids=" then ".join)
async def test_q_leaves_and_ctrl_c_from_anywhere(url: str, keys: list[str]) -> None:
    await asyncio.to_thread(fill, url)
    async with top(url) as (app, pilot):
        await pilot.press(*keys)
        await until(lambda: not app.is_running)


async def test_where_nothing_is_buried_there_is_nothing_to_kick(url: str) -> None:
    async with top(url) as (app, pilot):
        await pilot.press("k")
        await asyncio.sleep(3 * INTERVAL)

        assert len(app.screen_stack) == 1


async def test_looking_changes_no_message(url: str) -> None:
    await asyncio.to_thread(fill, url)
    async with top(url) as (_, _):
        await asyncio.sleep(5 * INTERVAL)

    async with open_queue(url) as queue:
        assert [record.attempts for record in (await queue.buried()).records] == [1, 1]


class Flickering:
    """A queue whose broker goes away and comes back."""

    def __init__(self, queue: Any) -> None:
        self._queue, self.away = queue, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def stats(self) -> Any:
        if self.away:
            raise Unavailable("the broker is away")
        return await self._queue.stats()


async def test_a_broker_that_goes_away_is_shown_in_its_row_until_it_is_back(url: str) -> None:
    async with top(url) as (app, _):
        watched = app.queues[url]
        watched.queue = flickering = Flickering(watched.queue)  # type: ignore[assignment]  # the rest is passed on
        flickering.away = True
        await until(lambda: rows(app, "queues")[0][0] == f"{url} unreachable")
        problem = str(app.query_one("#problem", Static).render())
        flickering.away = False
        await until(lambda: rows(app, "queues")[0][0] == url)

    assert problem == "the broker is away"


async def test_a_real_broker_that_is_killed_and_started_again_comes_back_by_itself() -> None:
    with BeanstalkdServer() as server:
        url = server.url("watched")
        async with top(url) as (app, _):
            before = rows(app, "queues")[0][:2]
            server.kill()
            await until(lambda: rows(app, "queues")[0][0] == f"{url} unreachable")
            await asyncio.to_thread(server.start)
            await until(lambda: rows(app, "queues")[0][0] == url)

    assert before == [url, "0"]


async def test_a_queue_that_is_not_there_yet_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    url = f"file://{folder}/shop.db?queue=mail"

    async with top(url) as (app, _):
        assert rows(app, "queues")[0][0] == f"{url} unreachable"
        folder.mkdir()
        await asyncio.to_thread(publish, url, Message())
        await until(lambda: rows(app, "queues")[0][0] == url)


async def test_a_queue_that_could_only_be_looked_into_by_receiving_is_not(url: str) -> None:
    await asyncio.to_thread(fill, url)
    clock = SystemClock()
    async with open_queue(url) as queue:
        watched = Watched(url)
        watched.queue = BlindQueue(queue)  # type: ignore[assignment]  # the rest is passed on
        await watched.look(clock)

    assert (watched.burials, watched.note) == ((), CANNOT_LOOK)


class BlindQueue:
    """A queue that knows its counts and shows no message, as SQS."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    class capabilities:  # noqa: N801 - stands for a value
        peek: frozenset[str] = frozenset()

    async def stats(self) -> Any:
        return await self._queue.stats()


async def test_workers_on_this_host_are_shown_with_what_they_have_done(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = {"in_hand": 2, "received": 10, "acked": 7, "retried": 0, "buried": 1, "released": 0, "dropped": 0}
    route = {"name": "mail", "queue": url, "paused": False, "ledger": ledger}
    monkeypatch.setattr(workers, "ask_workers", lambda do: [{"pid": 7, "phase": "receiving", "routes": [route]}])

    async with top(url) as (app, _):
        await until(lambda: rows(app, "workers"))
        shown = rows(app, "workers")
        await until(lambda: app.queues[url].history.throughput is not None)

    assert shown == [["7", "mail", "receiving", "2", "10", "7", "0", "1"]]


async def test_what_a_producer_wrote_is_shown_as_text_and_nothing_else(url: str) -> None:
    def fill_badly() -> None:
        publish(url, Message(request_type="[bold]\x1b[31m"))
        bury(url, Bury("[red]reason[/red]", "[link=x]\x07"))

    await asyncio.to_thread(fill_badly)
    async with top(url) as (app, _):
        await until(lambda: rows(app, "recent"))
        [row] = rows(app, "recent")

    assert row[2:] == ["[bold]\\x1b[31m", "1", "[red]reason[/red]", "[link=x]\\x07"]


def test_a_picture_can_be_taken_without_a_terminal(pulpo: Pulpo, url: str, tmp_path: Path) -> None:
    fill(url)
    path = tmp_path / "top.svg"

    outcome = pulpo("top", "--queue", url, "--interval", "20ms", "--screenshot", str(path))

    assert (outcome.status, outcome.out, outcome.err) == (0, "", f"wrote {path}\n")
    assert "attempts-exhausted" in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--queue", "memory://x"], "needs a terminal"),
        (["--queue", "nonsense"], "not a queue URL"),
        ([], "which queue?"),
        (["--queue", "memory://x", "--interval", "0"], "expected at least 10ms"),
        (["--queue", "memory://x", "--screenshot", "nowhere/top.svg"], "there is no directory"),
    ],
    ids=["no terminal", "no URL", "nothing", "no pause", "no directory"],
)
@pytest.mark.usefixtures("in_empty_folder")
def test_wrong_use_is_told_in_one_line(pulpo: Pulpo, arguments: list[str], words: str) -> None:
    outcome = pulpo("top", *arguments)

    assert outcome.status == 2
    assert words in outcome.complaint


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings are found here."""
    monkeypatch.chdir(tmp_path)
