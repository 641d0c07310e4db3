"""What fields accept, and the words in which everything else is refused."""

import math
from datetime import timedelta
from decimal import Decimal

import attrs
import pytest

from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.fields import as_span, is_span, seconds, whole_from


@attrs.frozen
class Example:
    span: timedelta = attrs.field(default=0, converter=as_span, validator=is_span)
    count: int = attrs.field(default=1, validator=whole_from(1))
    attempts: int = attrs.field(default=0, validator=whole_from(0, note="unlimited"))


@pytest.mark.parametrize(
    ("value", "span"),
    [
        pytest.param(0, timedelta(), id="nothing"),
        pytest.param(90, timedelta(minutes=1, seconds=30), id="whole seconds"),
        pytest.param(0.5, timedelta(milliseconds=500), id="parts of a second"),
        pytest.param(timedelta(days=1), timedelta(days=1), id="a time span"),
        pytest.param(timedelta.max, timedelta.max, id="the longest time span"),
    ],
)
def test_a_duration_is_seconds_or_a_time_span(value, span):
    assert seconds(value) == span


NO_SPANS = [
    pytest.param(-1, id="less than nothing"),
    pytest.param(timedelta(microseconds=-1), id="a time span of less than nothing"),
    pytest.param(math.nan, id="not a number"),
    pytest.param(math.inf, id="for ever"),
    pytest.param(-math.inf, id="for ever in the past"),
    pytest.param(10**400, id="more than a float holds"),
    pytest.param(1e15, id="more than a calendar holds"),
    pytest.param(True, id="true is not one second"),
    pytest.param(False, id="false is not zero seconds"),
    pytest.param("5", id="text"),
    pytest.param(Decimal(5), id="a decimal number"),
    pytest.param([5], id="a list"),
]


@pytest.mark.parametrize("value", [*NO_SPANS, pytest.param(None, id="nothing at all")])
def test_anything_else_is_no_duration(value):
    with pytest.raises(
        ConfigurationError, match=r"^timeout: expected a time span from 0 \(seconds or timedelta\), not "
    ):
        seconds(value, field="timeout")


def test_a_refused_duration_is_quoted_in_part_only():
    with pytest.raises(ConfigurationError) as caught:
        seconds("x" * 1000)

    assert len(str(caught.value)) < 120


def test_a_field_of_spans_takes_what_a_duration_can_be():
    assert Example(span=1.5).span == Example(span=timedelta(seconds=1.5)).span == timedelta(seconds=1.5)


@pytest.mark.parametrize("value", NO_SPANS)
def test_a_wrong_span_is_refused_by_the_name_of_its_field(value):
    with pytest.raises(ConfigurationError, match=r"^span: expected a time span from 0 "):
        Example(span=value)


@pytest.mark.parametrize("count", [1, 2, 10**30])
def test_a_count_is_a_whole_number_from_the_lowest(count):
    assert Example(count=count).count == count


@pytest.mark.parametrize("count", [0, -1, 1.0, math.nan, True, "1", None])
def test_anything_else_is_no_count(count):
    with pytest.raises(ConfigurationError, match=f"^count: expected a whole number from 1, not {count!r}$"):
        Example(count=count)


def test_what_the_lowest_number_means_can_be_told():
    with pytest.raises(ConfigurationError, match=r"^attempts: expected a whole number from 0 \(unlimited\), not -1$"):
        Example(attempts=-1)
