"""Envelopes as jobs: limits, names, delays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_adapter_beanstalkd.codec import (
    MAX_SECONDS,
    check_tube,
    delay_of,
    envelope_of,
    job_id_of,
    records_tube,
    told_lease,
    whole_seconds,
)
from pulpo_core import AdapterError, Envelope

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40_000)))
def test_spans_are_rounded_up_and_never_by_a_whole_second(span: timedelta) -> None:
    seconds = whole_seconds(span)

    assert timedelta(0) <= seconds * SECOND - span < SECOND


def test_a_span_that_beanstalkd_cannot_hold_is_refused() -> None:
    assert whole_seconds(MAX_SECONDS * SECOND) == MAX_SECONDS
    with pytest.raises(AdapterError, match="4294967295"):
        whole_seconds(MAX_SECONDS * SECOND + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("not_before", "delay"),
    [
        pytest.param(None, 0, id="no delay"),
        pytest.param(NOW - SECOND, 0, id="the past"),
        pytest.param(NOW, 0, id="now"),
        pytest.param(NOW + timedelta(milliseconds=200), 1, id="a fraction is rounded up"),
        pytest.param(NOW + 2 * SECOND, 2, id="whole seconds"),
    ],
)
def test_delays_are_counted_from_now(not_before: datetime | None, delay: int) -> None:
    assert delay_of(Envelope(body=b"", not_before=not_before), NOW) == delay


@pytest.mark.parametrize("name", ["mail", "shop/mail", "a-b_c.d;e$f+g(h)", "9", "x" * 193])
def test_what_beanstalkd_takes_for_a_tube_is_a_tube(name: str) -> None:
    assert check_tube(name) == name
    assert len(records_tube(name)) <= 200


@pytest.mark.parametrize("name", ["", "-mail", "mail box", "münchen", "a\r\nquit", "x" * 194, "a\n"])
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a tube"):
        check_tube(name)


@pytest.mark.parametrize(("ttr", "told"), [(1, 0.75), (2, 1.5), (4, 3), (60, 59), (3600, 3599)])
def test_a_lease_is_told_to_end_before_it_does(ttr: int, told: float) -> None:
    assert told_lease(ttr) == told


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "01", "1" * 20, "¹"])
def test_what_cannot_be_an_id_is_none(text: str) -> None:
    assert job_id_of(text) is None


def test_an_envelope_knows_what_statistics_say() -> None:
    envelope = envelope_of(7, b"x", tube="t", now=lambda: NOW, stats={"pri": 3, "age": 60, "id": 7})

    assert (envelope.uid, envelope.priority, envelope.published_at) == ("beanstalkd:7", 3, NOW - timedelta(seconds=61))


def test_an_envelope_without_statistics_claims_nothing() -> None:
    envelope = envelope_of(7, b"x", tube="t", now=lambda: NOW, stats=None)

    assert envelope.published_at is None
    assert envelope.metadata == {"tube": "t"}
