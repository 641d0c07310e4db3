"""How values on the command line are read."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from pulpo_cli.options import SPAN, WHEN


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
