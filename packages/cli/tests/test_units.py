"""Numbers, spans, moments and text as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from pulpo_cli.units import moment, number, plural, printable, shortened, span

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0426, "43 ms"),
        (0.9996, "1.0 s"),
        (4.25, "4.2 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (3700, "1 h 1 min"),
        (187_000, "2 d 3 h"),
        (-30, "-30 s"),
    ],
)
def test_a_span_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_what_is_not_known_is_a_dash() -> None:
    assert (span(None), number(None), moment(None, NOW)) == ("–", "–", "–")


def test_a_moment_says_how_far_it_is() -> None:
    assert moment(NOW - timedelta(minutes=5), NOW) == "2026-11-21 11:55:00 UTC (5 min ago)"
    assert moment(NOW + timedelta(hours=2), NOW) == "2026-11-21 14:00:00 UTC (in 2 h)"


def test_thousands_are_set_apart() -> None:
    assert number(1_234_567) == "1,234,567"
    assert [plural(count, "message") for count in (0, 1, 2000)] == ["0 messages", "1 message", "2,000 messages"]
    assert plural(2, "delivery", "deliveries") == "2 deliveries"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("grün – 漢字 🐙", "grün – 漢字 🐙"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b2Jgone", "\\x9b2Jgone"),
        ("back\x08space\r", "back\\x08space\\r"),
        ("reversed \u202e", "reversed \\u202e"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_a_terminal_is_never_given_orders(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shortened("short", 10) == "short"
    assert shortened("rather long", 6) == "rathe…"
    assert shortened("first\nsecond", 10) == "first …"
