"""When a route receives no more for a while."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core import Ack, Breaker, ConfigurationError, Decision, RateLimit, Reason, Retry, Tally
from pulpo_core.domain.limits import Bucket, Circuit, CircuitState

FAILED = Decision(Retry(), Reason.FAILED, Tally.RETRIED)
TIMED_OUT = Decision(Retry(), Reason.TIMED_OUT, Tally.RETRIED)
HANDLED = Decision(Ack(), Reason.HANDLED, Tally.ACKED)
UNREADABLE = Decision(Retry(), Reason.UNTRANSLATABLE, Tally.BURIED)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("100/s", RateLimit(100)),
        ("30/m", RateLimit(30, timedelta(minutes=1))),
        ("5/10s", RateLimit(5, 10)),
        (" 1 / h ", RateLimit(1, timedelta(hours=1))),
        ("2/d", RateLimit(2, timedelta(days=1))),
    ],
)
def test_a_rate_is_said_as_text(text, limit):
    assert RateLimit.of(text) == limit
    assert RateLimit.of(limit) is limit
    assert RateLimit.of(str(limit)) == limit


@pytest.mark.parametrize("wrong", ["", "100", "/s", "0/s", "-1/s", "1.5/s", "1/0s", "1/w", "1/s/s", 100, None])
def test_what_is_no_rate_is_refused_by_name(wrong):
    with pytest.raises(ConfigurationError, match=r"rate_limit|count|per"):
        RateLimit.of(wrong)


@pytest.mark.parametrize("wrong", [{"failures": 0}, {"failures": True}, {"pause": 0}, {"pause": -1}, {"pause": "soon"}])
def test_a_breaker_needs_at_least_one_failure_and_some_time(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Breaker(**wrong)


def test_after_a_rest_the_whole_count_is_allowed_at_once_and_then_one_at_a_time():
    bucket = Bucket(RateLimit(10, 5))
    assert bucket.allows(0) == 10
    bucket.took(10)

    assert (bucket.allows(0), bucket.wait()) == (0, 0.5)
    assert bucket.allows(0.5) == 1
    assert bucket.allows(1000) == 10


@given(st.integers(1, 50), st.floats(0.1, 100), st.lists(st.floats(0, 30), max_size=60), st.integers(0, 5))
def test_in_no_time_is_more_received_than_the_count_and_its_rate_allow(count, per, pauses, greed):
    bucket, now, taken = Bucket(RateLimit(count, per)), 0.0, 0
    for pause in pauses:
        now += pause
        wanted = min(bucket.allows(now), greed)
        bucket.took(wanted)
        taken += wanted
    assert taken <= count + now * count / per + 1e-6


@given(st.integers(1, 50), st.floats(0.1, 100), st.integers(1, 200))
def test_who_waits_as_long_as_it_says_is_allowed_one_more(count, per, turns):
    bucket, now = Bucket(RateLimit(count, per)), 0.0
    for _ in range(turns):
        now += bucket.wait() if not bucket.allows(now) else 0.0
        assert bucket.allows(now) >= 1
        bucket.took(1)


@pytest.mark.parametrize("failure", [FAILED, TIMED_OUT])
def test_so_many_failures_in_a_row_open_the_breaker_for_its_pause(failure):
    circuit = Circuit(Breaker(3, pause=30))
    for decision in (failure, failure, HANDLED, failure, failure):
        assert not circuit.note(decision, 0)
    assert circuit.allows(0) == math.inf

    assert circuit.note(failure, 100)
    assert (circuit.allows(129.9), circuit.wait(129.9)) == (0, pytest.approx(0.1))
    assert circuit.allows(130) == 1


def opened_and_tried() -> Circuit:
    circuit = Circuit(Breaker(1, pause=30))
    circuit.note(FAILED, 0)
    assert circuit.allows(30) == 1
    circuit.took(1)
    assert (circuit.allows(31), circuit.wait(31)) == (0, math.inf)
    return circuit


def test_one_message_is_tried_after_the_pause_and_its_success_closes_the_breaker():
    circuit = opened_and_tried()

    assert circuit.note(HANDLED, 32)
    assert circuit.allows(32) == math.inf


def test_its_failure_begins_the_pause_anew():
    circuit = opened_and_tried()

    assert circuit.note(FAILED, 32)
    assert (circuit.allows(61), circuit.allows(62)) == (0, 1)


def test_a_message_that_is_itself_at_fault_says_nothing_and_the_next_is_tried():
    circuit = opened_and_tried()

    assert circuit.note(UNREADABLE, 32)
    assert circuit.state is CircuitState.TRYING
    assert circuit.allows(32) == 1


def test_an_empty_queue_does_not_use_up_the_try():
    circuit = Circuit(Breaker(1, pause=30))
    circuit.note(FAILED, 0)
    circuit.allows(30)
    circuit.took(0)
    assert circuit.allows(31) == 1


def test_failures_that_were_on_their_way_when_it_opened_do_not_lengthen_the_pause():
    circuit = Circuit(Breaker(1, pause=30))
    circuit.note(FAILED, 0)

    assert not circuit.note(FAILED, 20)
    assert circuit.allows(30) == 1
