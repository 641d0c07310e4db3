"""What can be done with a delivery."""

import math
import typing
from datetime import timedelta
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.backoff import LONGEST_DELAY
from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.message import Message
from pulpo_core.domain.settlement import SETTLEMENTS, Ack, Bury, FollowUp, Reason, Release, Retry, Settlement


def test_there_are_four_settlements():
    assert SETTLEMENTS == typing.get_args(Settlement) == (Ack, Retry, Bury, Release)


@pytest.mark.parametrize("settlement", [Ack(), Retry(5), Bury("spam"), Release()], ids=lambda each: type(each).__name__)
def test_a_settlement_is_a_value(settlement):
    assert settlement == attrs.evolve(settlement)
    assert hash(settlement) == hash(attrs.evolve(settlement))
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        settlement.anything = 1


def test_follow_ups_are_kept_in_the_order_given_whatever_carried_them():
    first, second = Message(request_type="a"), FollowUp(Message(request_type="b"), "memory://other")

    assert Ack([first, second]).follow_ups == (first, second)
    assert Ack(each for each in (first, second)).follow_ups == (first, second)
    assert Ack().follow_ups == ()


@pytest.mark.parametrize(
    ("value", "delay"),
    [
        pytest.param(None, None, id="none leaves it to the backoff"),
        pytest.param(0, timedelta(), id="0 is at once, which is not the same as none"),
        pytest.param(timedelta(), timedelta(), id="an empty time span is at once"),
        pytest.param(5, timedelta(seconds=5), id="whole seconds"),
        pytest.param(0.25, timedelta(milliseconds=250), id="parts of a second"),
        pytest.param(timedelta(hours=2), timedelta(hours=2), id="a time span"),
        pytest.param(-1, None, id="seconds that are over ask for nothing"),
        pytest.param(timedelta(microseconds=-1), None, id="a time span that is over asks for nothing"),
        pytest.param(-math.inf, None, id="for ever in the past asks for nothing"),
        pytest.param(-(10**400), None, id="no float is as low as this"),
        pytest.param(math.inf, LONGEST_DELAY, id="for ever is the longest delay there is"),
        pytest.param(timedelta.max, LONGEST_DELAY, id="the longest time span is too"),
        pytest.param(10**400, LONGEST_DELAY, id="no float is as high as this"),
    ],
)
def test_a_retry_takes_a_delay_in_any_form_a_person_may_mean(value, delay):
    assert Retry(value).delay == delay


@pytest.mark.parametrize("value", [math.nan, True, False, "5", Decimal(5), [5], object], ids=repr)
def test_a_retry_refuses_what_nobody_can_have_meant(value):
    with pytest.raises(ConfigurationError, match=r"^delay: expected seconds or timedelta, not "):
        Retry(value)


def test_a_refused_delay_is_quoted_in_part_only():
    with pytest.raises(ConfigurationError) as caught:
        Retry("x" * 1000)

    assert len(str(caught.value)) < 100


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.timedeltas()))
def test_any_number_and_any_span_is_a_delay_that_the_calendar_holds(value):
    delay = Retry(value).delay

    assert delay is None or timedelta() <= delay <= LONGEST_DELAY


def test_burial_without_words_was_asked_for():
    assert Bury() == Bury("asked", "")
    assert Bury("spam", error="twice").reason == "spam"


def test_reasons_are_a_closed_list_of_hyphenated_words():
    assert list(Reason) == [
        "handled",
        "asked",
        "rejected",
        "failed",
        "timed-out",
        "fatal",
        "attempts-exhausted",
        "untranslatable",
        "no-handler",
        "expired",
        "would-expire",
        "max-age",
        "shutdown",
        "late-ack",
        "lease-lost",
        "group-failed",
        "abandoned",
    ]
