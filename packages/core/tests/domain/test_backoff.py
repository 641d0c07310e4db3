"""How long to wait before the next attempt."""

import math
from datetime import timedelta
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.backoff import LONGEST_DELAY, Backoff, JitterMode, at_least, read_hint
from pulpo_core.domain.errors import ConfigurationError

LAST_U = math.nextafter(1.0, 0.0)

#: Random numbers with both ends of [0, 1) among them.
CHANCES = st.one_of(st.sampled_from([0.0, 0.5, LAST_U]), st.floats(0, 1, exclude_max=True))

#: Attempts about the first, about the one where growing ends, and far beyond any counter.
ATTEMPTS = st.one_of(st.integers(0, 70), st.sampled_from([10**6, 10**9]))

SPANS = st.one_of(
    st.sampled_from([timedelta(), timedelta(microseconds=1), LONGEST_DELAY, timedelta.max]),
    st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)),
)

BACKOFFS = st.builds(
    Backoff,
    base=SPANS,
    factor=st.one_of(st.sampled_from([1, 2, 2.0, 1000]), st.floats(1, 1000)),
    cap=SPANS,
    jitter=st.sampled_from(JitterMode),
)


@pytest.mark.parametrize(
    ("attempt", "highest"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 320), (8, 640), (9, 900), (10, 900), (10**9, 900)],
)
def test_by_default_the_wait_doubles_from_five_seconds_to_a_quarter_of_an_hour(attempt, highest):
    assert Backoff().highest(attempt) == highest
    assert Backoff().delay(attempt, 0.0) == timedelta(seconds=highest / 2)
    assert Backoff().delay(attempt, 0.5) == timedelta(seconds=highest * 0.75)


@pytest.mark.parametrize(
    ("jitter", "lowest", "middle", "highest"),
    [
        pytest.param("none", 8, 8, 8, id="none leaves nothing to chance"),
        pytest.param("equal", 4, 6, 8, id="equal leaves half of it to chance"),
        pytest.param("full", 0, 4, 8, id="full leaves all of it to chance"),
    ],
)
def test_jitter_says_how_much_of_a_delay_is_left_to_chance(jitter, lowest, middle, highest):
    backoff = Backoff(base=8, jitter=jitter)

    assert [backoff.delay(1, u).total_seconds() for u in (0.0, 0.5, LAST_U)] == [lowest, middle, highest]


@pytest.mark.parametrize(
    ("backoff", "attempt", "highest"),
    [
        pytest.param(Backoff(base=3, factor=1), 50, 3, id="a factor of 1 never grows"),
        pytest.param(Backoff(base=3, factor=3), 3, 27, id="the factor applies once for each further attempt"),
        pytest.param(Backoff(base=3, factor=1.5), 2, 4.5, id="a factor may have a fraction"),
        pytest.param(Backoff(base=0), 50, 0, id="a base of 0 stays 0"),
        pytest.param(Backoff(cap=0), 50, 0, id="a cap of 0 is at once"),
        pytest.param(Backoff(base=60, cap=10), 1, 10, id="a cap below the base is the cap"),
        pytest.param(Backoff(), 0, 5, id="an attempt that was not counted is the first"),
        pytest.param(Backoff(), -3, 5, id="an attempt below 0 is the first"),
        pytest.param(Backoff(base=0.001, factor=1.1, cap=10**6), 64, 0.001 * 1.1**63, id="attempt 64 still grows"),
        pytest.param(Backoff(base=0.001, factor=1.1, cap=10**6), 65, 0.001 * 1.1**63, id="attempt 65 does not"),
        pytest.param(
            Backoff(base=timedelta.max, factor=1000, cap=timedelta.max),
            10**9,
            LONGEST_DELAY.total_seconds(),
            id="no delay leaves the calendar",
        ),
    ],
)
def test_the_highest_delay_follows_from_base_factor_and_cap(backoff, attempt, highest):
    assert backoff.highest(attempt) == pytest.approx(highest)


@given(BACKOFFS, ATTEMPTS, CHANCES)
def test_a_delay_lies_between_its_lowest_and_its_highest_and_under_the_cap(backoff, attempt, u):
    highest = timedelta(seconds=backoff.highest(attempt))
    lowest = timedelta(seconds=backoff.highest(attempt) * backoff.jitter.lowest)

    assert timedelta() <= lowest <= backoff.delay(attempt, u) <= highest <= backoff.cap


@given(BACKOFFS, ATTEMPTS, ATTEMPTS, CHANCES)
def test_a_later_attempt_never_waits_less(backoff, one, other, u):
    earlier, later = sorted([one, other])

    assert backoff.highest(earlier) <= backoff.highest(later)
    assert backoff.delay(earlier, u) <= backoff.delay(later, u)


@given(BACKOFFS, ATTEMPTS, CHANCES, CHANCES)
def test_a_higher_draw_never_waits_less(backoff, attempt, one, other):
    lower, higher = sorted([one, other])

    assert backoff.delay(attempt, lower) <= backoff.delay(attempt, higher)


def test_the_defaults_are_equal_jitter_from_five_seconds_to_a_quarter_of_an_hour():
    assert attrs.asdict(Backoff()) == {
        "base": timedelta(seconds=5),
        "factor": 2.0,
        "cap": timedelta(minutes=15),
        "jitter": JitterMode.EQUAL,
    }


def test_the_whole_schedule_of_ten_attempts_takes_at_most_about_forty_minutes():
    waits = [Backoff().delay(attempt, LAST_U) for attempt in range(1, 10)]

    assert sum(waits, timedelta()) == timedelta(seconds=5 + 10 + 20 + 40 + 80 + 160 + 320 + 640 + 900)
    assert all(later >= earlier for earlier, later in pairwise(waits))


@pytest.mark.parametrize(
    ("hint", "limit", "u", "delay"),
    [
        pytest.param(100, 1000, 0.0, 100, id="never shorter than asked"),
        pytest.param(100, 1000, 0.5, 105, id="spread a little"),
        pytest.param(100, 1000, LAST_U, 110, id="by a tenth at most"),
        pytest.param(1000, 1000, 0.0, 1000, id="the limit itself can be asked for"),
        pytest.param(1001, 1000, 0.0, 1000, id="over the limit it is the limit"),
        pytest.param(5000, 1000, LAST_U, 1100, id="and that is spread as well"),
        pytest.param(0, 1000, LAST_U, 0, id="nothing has nothing to spread"),
        pytest.param(100, 0, 0.5, 0, id="a limit of 0 takes no wishes"),
    ],
)
def test_a_delay_that_somebody_named_is_a_floor(hint, limit, u, delay):
    named = at_least(timedelta(seconds=hint), limit=timedelta(seconds=limit), u=u)

    assert named.total_seconds() == pytest.approx(delay)


@given(SPANS, SPANS, CHANCES)
def test_a_named_delay_is_between_itself_and_a_tenth_more(hint, limit, u):
    floor = min(hint, limit, LONGEST_DELAY)

    assert floor <= at_least(hint, limit=limit, u=u) <= min(floor * 1.1, LONGEST_DELAY)


@pytest.mark.parametrize("value", [-1, math.nan, True, "5", None])
@pytest.mark.parametrize("field", ["base", "cap"])
def test_a_wrong_span_is_refused_by_the_name_of_its_field(field, value):
    with pytest.raises(ConfigurationError, match=f"^{field}: expected a time span from 0 "):
        Backoff(**{field: value})


@pytest.mark.parametrize("factor", [1, 1.0, 1000, 1000.0, 2.5])
def test_a_factor_is_a_number_from_1_to_1000(factor):
    assert Backoff(factor=factor).factor == factor


@pytest.mark.parametrize("factor", [0, 0.999, 1000.001, 1001, 10**400, -2, math.inf, math.nan, True, "2", None])
def test_any_other_factor_is_refused_by_name(factor):
    with pytest.raises(ConfigurationError, match=r"^factor: expected a number from 1 to 1000, not "):
        Backoff(factor=factor)


@pytest.mark.parametrize("mode", JitterMode)
def test_jitter_can_be_said_as_a_word(mode):
    assert Backoff(jitter=str(mode)).jitter is mode


@pytest.mark.parametrize("word", ["loud", "", "NONE", None, 0])
def test_another_word_for_jitter_is_refused_with_those_that_are_accepted(word):
    with pytest.raises(ConfigurationError, match=r"^jitter: expected one of none, equal, full, not "):
        Backoff(jitter=word)


def test_a_hint_is_read_as_retry_reads_its_delay():
    assert read_hint(None) is None
    assert read_hint(1.5) == timedelta(seconds=1.5)
    assert read_hint(-1.5) is None
    assert read_hint(math.inf) == LONGEST_DELAY
    with pytest.raises(ConfigurationError, match=r"^delay: expected seconds or timedelta, not nan"):
        read_hint(math.nan)
