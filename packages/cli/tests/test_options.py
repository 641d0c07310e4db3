"""How values on the command line are read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from pulpo_cli.options import QUEUE, SPAN, WHEN
from pulpo_core import Message

from .actors import publish
from .conftest import Pulpo


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30", timedelta(seconds=30)),
        ("0.5", timedelta(milliseconds=500)),
        ("-3", timedelta(seconds=-3)),
        ("1e3", timedelta(seconds=1000)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
    ],
)
def test_a_moment_can_be_a_span_from_now(text: str, span: timedelta) -> None:
    assert WHEN.convert(text, None, None) == span


def test_a_moment_can_be_a_time() -> None:
    assert WHEN.convert("2026-11-21T10:00:00+01:00", None, None) == datetime(2026, 11, 21, 9, tzinfo=UTC)
    naive = WHEN.convert("2026-11-21", None, None)
    assert isinstance(naive, datetime)
    assert naive.tzinfo is None  # the message takes it as local time


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "1e300", ""])
def test_what_is_no_moment_is_named(text: str) -> None:
    with pytest.raises(click.BadParameter, match="neither seconds, nor a span such as 5m, nor an ISO 8601 time"):
        WHEN.convert(text, None, None)


def test_a_span_that_is_none_says_how_to_write_one() -> None:
    assert SPAN.convert("500ms", None, None) == timedelta(milliseconds=500)
    with pytest.raises(click.BadParameter, match="write 500ms, 30s, 5m, 12h or 7d"):
        SPAN.convert("a while", None, None)


@pytest.fixture
def configured(application: Callable[[str], str], url: str) -> str:
    """A working directory whose settings know a queue for all routes, and one of the route `mail`: the latter's URL."""
    application("")  # its fixture has made the directory and gone there
    mail = f"{url}-mail"
    Path("pulpo.toml").write_text(f"[pulpo]\nqueue = '{url}'\n[pulpo.routes.mail]\nqueue = '{mail}'\n")
    return mail


def test_a_queue_can_be_named_by_its_route(configured: str) -> None:
    assert QUEUE.convert("mail", None, None) == configured


def test_an_empty_text_names_no_queue_at_all(configured: str) -> None:
    with pytest.raises(click.BadParameter, match=r"'' is not a queue URL such as .* nor one of the routes mail$"):
        QUEUE.convert("", None, None)


def test_every_command_takes_the_name_of_a_route_where_it_takes_a_queue(
    pulpo: Pulpo, configured: str, url: str
) -> None:
    publish(url, Message())

    assert pulpo("move", "--yes", "--queue", url, "--to", "mail").out == "moved 1 message\n"
    assert pulpo("stats", "--queue", "mail", "--json").json["ready"] == 1
    assert pulpo("pause", "--queue", "mail").out == f"paused {configured}, for everybody\n"
    assert pulpo("resume", "--queue", "mail").out == f"resumed {configured}, for everybody\n"
