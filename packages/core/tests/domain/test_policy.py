"""How failures are met: what may run, what an exception means, and what a queue allows."""

import math
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.backoff import Backoff
from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.outcome import Exhausted, Expired
from pulpo_core.domain.policy import DEFAULT_MAX_ATTEMPTS, MAX_HINT, OnExpired, Policy, Severity, fit, guard

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def test_the_defaults_are_ten_attempts_and_burial_with_a_reason():
    assert attrs.asdict(Policy(), recurse=False) == {
        "max_attempts": None,
        "max_lost": 0,
        "backoff": Backoff(),
        "max_hint": timedelta(hours=12),
        "fatal": (),
        "transient": (),
        "reject": (),
        "classify": None,
        "on_expired": OnExpired.BURY,
        "unroutable_grace": timedelta(),
        "max_age": None,
    }
    assert DEFAULT_MAX_ATTEMPTS == 10
    assert timedelta(hours=12) == MAX_HINT


@pytest.mark.parametrize(
    ("max_attempts", "limit"),
    [
        pytest.param(None, 10, id="unset is ten"),
        pytest.param(0, math.inf, id="0 is unlimited"),
        pytest.param(1, 1, id="1 is no second chance"),
        pytest.param(25, 25, id="any other number is itself"),
    ],
)
def test_attempts_are_limited_unless_the_limit_is_0(max_attempts, limit):
    assert Policy(max_attempts=max_attempts).attempts_limit == limit


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        pytest.param(
            {"max_attempts": -1}, "max_attempts: expected a whole number from 0 (unlimited), not -1", id="below 0"
        ),
        pytest.param({"max_attempts": 1.5}, "max_attempts: expected a whole number", id="attempts as a fraction"),
        pytest.param({"max_attempts": True}, "max_attempts: expected a whole number", id="attempts as true"),
        pytest.param({"max_attempts": "5"}, "max_attempts: expected a whole number", id="attempts as text"),
        pytest.param({"max_lost": -1}, "max_lost: expected a whole number", id="losses below 0"),
        pytest.param({"max_lost": False}, "max_lost: expected a whole number", id="losses as false"),
        pytest.param({"max_hint": -1}, "max_hint: expected a time span from 0", id="longest hint below 0"),
        pytest.param({"max_hint": None}, "max_hint: expected a time span from 0", id="longest hint as none"),
        pytest.param({"max_age": -1}, "max_age: expected a time span from 0", id="age below 0"),
        pytest.param({"max_age": "1d"}, "max_age: expected a time span from 0", id="age as text"),
        pytest.param({"unroutable_grace": math.nan}, "unroutable_grace: expected a time span", id="grace is no number"),
        pytest.param({"unroutable_grace": None}, "unroutable_grace: expected a time span", id="grace as none"),
        pytest.param({"on_expired": "keep"}, "on_expired: expected one of bury, drop, not 'keep'", id="another word"),
        pytest.param({"fatal": 5}, "fatal: expected exception classes, not 5", id="a number among the fatal"),
        pytest.param(
            {"transient": [int]}, "transient: expected exception classes, not <class 'int'>", id="another class"
        ),
        pytest.param(
            {"reject": "OSError"}, "reject: expected exception classes, not 'OSError'", id="a class by its name"
        ),
        pytest.param({"fatal": OSError(1)}, "fatal: expected exception classes, not OSError(1)", id="an instance"),
        pytest.param(
            {"fatal": (OSError,), "reject": (ValueError, OSError)},
            "OSError is listed twice among fatal, transient and reject",
            id="one class with two meanings",
        ),
        pytest.param({"transient": (OSError, OSError)}, "OSError is listed twice", id="one class twice"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(fields, complaint):
    with pytest.raises(ConfigurationError) as caught:
        Policy(**fields)

    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        pytest.param({"max_hint": 60}, {"max_hint": timedelta(minutes=1)}, id="spans may be seconds"),
        pytest.param({"max_age": 0}, {"max_age": timedelta()}, id="an age of 0 is a limit"),
        pytest.param({"unroutable_grace": 1.5}, {"unroutable_grace": timedelta(seconds=1.5)}, id="or parts of them"),
        pytest.param({"on_expired": "drop"}, {"on_expired": OnExpired.DROP}, id="words may be text"),
        pytest.param({"fatal": OSError}, {"fatal": (OSError,)}, id="one class needs no list"),
        pytest.param({"reject": [OSError, KeyError]}, {"reject": (OSError, KeyError)}, id="several are kept in order"),
        pytest.param({"transient": iter([KeyError])}, {"transient": (KeyError,)}, id="whatever carried them"),
        pytest.param({"fatal": KeyboardInterrupt}, {"fatal": (KeyboardInterrupt,)}, id="any exception class will do"),
    ],
)
def test_values_are_accepted_as_people_write_them(fields, read):
    policy = Policy(**fields)

    assert {name: getattr(policy, name) for name in read} == read


class Busy(ConnectionError):
    """An error of the user's own, below one of Python's."""


class VeryBusy(Busy):
    """And one below that."""


class Two(KeyError, ConnectionError):
    """An error with two lines of descent."""


LISTS = Policy(fatal=(ConnectionError, LookupError), transient=(Busy,), reject=(KeyError,))


@pytest.mark.parametrize(
    ("error", "severity"),
    [
        pytest.param(ValueError(), Severity.TRANSIENT, id="what is not listed is transient"),
        pytest.param(OSError(), Severity.TRANSIENT, id="a parent of what is listed is not listed"),
        pytest.param(ConnectionError(), Severity.FATAL, id="what is listed is what it is listed as"),
        pytest.param(ConnectionResetError(), Severity.FATAL, id="what descends from it as well"),
        pytest.param(Busy(), Severity.TRANSIENT, id="unless it is listed nearer"),
        pytest.param(VeryBusy(), Severity.TRANSIENT, id="the nearest class counts"),
        pytest.param(IndexError(), Severity.FATAL, id="each line of descent for itself"),
        pytest.param(KeyError(), Severity.REJECT, id="reject is an answer too"),
        pytest.param(Two(), Severity.REJECT, id="of two lines of descent the first counts"),
    ],
)
def test_the_nearest_listed_class_says_what_an_exception_means(error, severity):
    assert LISTS.listed_severity(error) is severity


ERRORS = st.sampled_from([OSError, ConnectionError, Busy, VeryBusy, LookupError, KeyError, Two, ValueError, Exception])


@given(ERRORS, st.lists(ERRORS, unique=True), st.data())
def test_listing_an_unrelated_class_changes_nothing(error, listed, data):
    split = data.draw(st.integers(0, len(listed)))
    related = [cls for cls in listed if issubclass(error, cls)]
    everything = Policy(fatal=listed[:split], reject=listed[split:])
    relevant = Policy(
        fatal=[cls for cls in listed[:split] if cls in related],
        reject=[cls for cls in listed[split:] if cls in related],
    )

    assert everything.listed_severity(error()) is relevant.listed_severity(error())


@pytest.mark.parametrize(
    ("expiration", "verdict"),
    [
        pytest.param(None, None, id="without an expiration it may run"),
        pytest.param(NOW + INSTANT, None, id="before its expiration it may run"),
        pytest.param(NOW, None, id="at its expiration it may still run"),
        pytest.param(NOW - INSTANT, Expired(NOW - INSTANT), id="after its expiration it may not"),
    ],
)
def test_a_message_may_run_until_its_expiration_and_no_longer(expiration, verdict):
    assert guard(Policy(), attempt=1, now=NOW, expiration=expiration) == verdict


@pytest.mark.parametrize(
    ("policy", "given", "runs"),
    [
        pytest.param(Policy(max_attempts=3), {"attempt": 3}, True, id="the last attempt runs"),
        pytest.param(Policy(max_attempts=3), {"attempt": 4}, False, id="one more does not"),
        pytest.param(Policy(max_attempts=1), {"attempt": 1}, True, id="the only attempt runs"),
        pytest.param(Policy(), {"attempt": 10}, True, id="ten attempts run unless anything else is said"),
        pytest.param(Policy(), {"attempt": 11}, False, id="an eleventh does not"),
        pytest.param(Policy(max_attempts=0), {"attempt": 10**9}, True, id="without a limit every attempt runs"),
        pytest.param(Policy(max_attempts=3), {"attempt": 13, "slack": 10}, True, id="slack adds to the limit"),
        pytest.param(Policy(max_attempts=3), {"attempt": 14, "slack": 10}, False, id="and ends as well"),
        pytest.param(Policy(), {"attempt": 9, "lost": 9}, True, id="losses do not count for themselves"),
        pytest.param(Policy(max_lost=2), {"attempt": 2, "lost": 1}, True, id="unless the policy counts them"),
        pytest.param(Policy(max_lost=2), {"attempt": 3, "lost": 2}, False, id="then as many as it says are enough"),
        pytest.param(Policy(max_lost=2), {"attempt": 4, "lost": 3}, False, id="and more are too"),
        pytest.param(Policy(max_lost=2, max_attempts=0), {"attempt": 3, "lost": 2}, False, id="also without a limit"),
    ],
)
def test_a_message_that_only_ever_crashed_its_workers_is_not_run_again(policy, given, runs):
    expected = None if runs else Exhausted(given["attempt"], given.get("lost", 0))

    assert guard(policy, now=NOW, **given) == expected


def test_what_is_both_expired_and_exhausted_is_expired():
    assert guard(Policy(), attempt=99, lost=99, now=NOW, expiration=NOW - INSTANT) == Expired(NOW - INSTANT)


@given(
    st.sampled_from([None, 0, 1, 2, 10]),
    st.integers(-2, 2) | st.just(10**9),
    st.sampled_from([0, 10]),
    st.integers(0, 3),
    st.integers(0, 4),
    st.none() | st.integers(-2, 2),
)
def test_the_guard_lets_through_exactly_what_is_in_time_and_within_its_attempts(
    max_attempts, beside, slack, max_lost, lost, microseconds
):
    policy = Policy(max_attempts=max_attempts, max_lost=max_lost)
    attempt = max(1, (10 if max_attempts is None else max_attempts) + slack + beside)
    expiration = None if microseconds is None else NOW + microseconds * INSTANT

    verdict = guard(policy, attempt=attempt, now=NOW, lost=lost, slack=slack, expiration=expiration)

    expired = microseconds is not None and microseconds < 0
    exhausted = (max_attempts != 0 and beside > 0) or 0 < max_lost <= lost
    assert isinstance(verdict, Expired) == expired
    assert isinstance(verdict, Exhausted) == (exhausted and not expired)
    assert (verdict is None) == (not expired and not exhausted)


@pytest.mark.parametrize(
    ("max_attempts", "max_receives", "fitted"),
    [
        pytest.param(None, None, None, id="a queue without a limit leaves everything as it is"),
        pytest.param(0, None, 0, id="unlimited too"),
        pytest.param(None, 10, None, id="ten fit into ten"),
        pytest.param(None, 3, 3, id="unset becomes what the queue allows"),
        pytest.param(None, 1, 1, id="however little"),
        pytest.param(None, 1000, None, id="but never more than ten"),
        pytest.param(5, 5, 5, id="the queue's limit itself fits"),
        pytest.param(5, 6, 5, id="less than it fits"),
    ],
)
def test_a_policy_is_fitted_to_the_deliveries_that_a_queue_allows(max_attempts, max_receives, fitted):
    policy = Policy(max_attempts=max_attempts, max_age=60)

    assert fit(policy, Capabilities(max_receives=max_receives)) == attrs.evolve(policy, max_attempts=fitted)


@pytest.mark.parametrize(
    ("max_attempts", "shown"), [pytest.param(6, "6", id="one too many"), pytest.param(0, "unlimited", id="no limit")]
)
def test_attempts_that_the_queue_would_cut_short_are_refused_with_both_ways_out(max_attempts, shown):
    with pytest.raises(ConfigurationError) as caught:
        fit(Policy(max_attempts=max_attempts), Capabilities(max_receives=5))

    assert str(caught.value) == (
        f"max_attempts is {shown}, but the queue itself sets a message aside after 5 deliveries, without a reason:"
        " raise its limit above max_attempts, or lower max_attempts to 5"
    )


def test_words_that_people_write_and_read_are_stable():
    assert list(Severity) == ["transient", "fatal", "reject"]
    assert list(OnExpired) == ["bury", "drop"]
