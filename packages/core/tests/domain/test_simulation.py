"""Many messages under one policy."""

import random
from datetime import timedelta

import pytest

from pulpo_core.domain.backoff import Backoff, JitterMode
from pulpo_core.domain.course import Premises
from pulpo_core.domain.decision import Tally
from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.policy import Policy
from pulpo_core.domain.simulation import Workload, quantile, simulate

FIXED = Backoff(base=10, factor=1, cap=10, jitter=JitterMode.NONE)


def run(policy=None, *, seed=1, **workload):
    return simulate(Premises(policy=policy or Policy()), Workload(**workload), random.Random(seed).random)


def test_the_same_numbers_give_the_same_simulation():
    assert run(failure_rate=0.5).spread(Tally.ACKED) == run(failure_rate=0.5).spread(Tally.ACKED)
    assert run(failure_rate=0.5).spread(Tally.ACKED) != run(failure_rate=0.5, seed=2).spread(Tally.ACKED)


def test_where_nothing_fails_everything_is_done_at_once():
    done = run(messages=50, failure_rate=0)

    assert done.spread(Tally.ACKED) == {1: 50}
    assert not done.spread(Tally.BURIED)


def test_where_everything_fails_everything_is_buried_after_the_last_attempt():
    done = run(Policy(max_attempts=3, backoff=FIXED), messages=50, failure_rate=1)

    assert done.spread(Tally.BURIED) == {3: 50}
    assert set(done.times(Tally.BURIED)) == {timedelta(seconds=20)}


def test_attempts_fall_off_as_the_failure_rate_says():
    spread = run(messages=20_000, failure_rate=0.5).spread(Tally.ACKED)

    assert spread[1] == pytest.approx(10_000, rel=0.05)
    assert spread[2] == pytest.approx(5_000, rel=0.05)


def test_messages_are_published_evenly():
    lives = run(messages=4, over=60, failure_rate=0).lives

    assert [life.starts[0].total_seconds() for life in lives] == [0, 15, 30, 45]


def test_during_an_outage_everything_fails_and_after_it_the_load_comes_back():
    done = run(Policy(backoff=FIXED), messages=10, over=10, outage=15, failure_rate=0)

    assert done.spread(Tally.ACKED) == {2: 5, 3: 5}
    assert done.load(timedelta(seconds=10)) == [10, 10, 5]


def test_an_outage_longer_than_the_horizon_buries_what_came_at_its_beginning():
    done = run(Policy(max_attempts=3, backoff=FIXED), messages=10, over=100, outage=60, failure_rate=0)

    assert done.spread(Tally.BURIED) == {3: 4}


def test_what_is_tried_for_ever_is_counted_as_unfinished():
    done = run(Policy(max_attempts=0, backoff=FIXED), messages=1, failure_rate=1)

    assert done.unfinished == 1
    assert done.lives[0].tally is None


def test_a_quantile_is_one_of_the_times():
    times = [timedelta(seconds=each) for each in range(1, 11)]

    assert quantile(times, 0.5) == timedelta(seconds=5)
    assert quantile(times, 1) == timedelta(seconds=10)
    assert quantile(times, 0) == timedelta(seconds=1)
    assert quantile([], 0.5) is None


def test_a_high_limit_is_reached():
    assert run(Policy(max_attempts=500, backoff=FIXED), messages=1, failure_rate=1).spread(Tally.BURIED) == {500: 1}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"failure_rate": 1.1}, "failure_rate: expected a number from 0 to 1"),
        ({"failure_rate": True}, "failure_rate: expected a number from 0 to 1"),
        ({"messages": 0}, "messages: expected a whole number from 1"),
        ({"outage": -1}, "outage: expected a time span from 0"),
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(fields, complaint):
    with pytest.raises(ConfigurationError) as caught:
        Workload(**fields)

    assert str(caught.value).startswith(complaint)
