"""What would become of a message, found out by asking the policy."""

from datetime import timedelta
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.backoff import Backoff, JitterMode
from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.course import BEGINNING, LONGEST, SHORTEST, Premises, course, horizon, step
from pulpo_core.domain.decision import Situation, decide
from pulpo_core.domain.outcome import Expired, Failed, Handled
from pulpo_core.domain.policy import Policy
from pulpo_core.domain.settlement import Ack, Bury, Retry

FAILED = Failed(Exception())
FIXED = Backoff(base=10, factor=1, cap=10, jitter=JitterMode.NONE)


def test_a_step_decides_as_the_policy_does():
    policy = Policy(max_attempts=3)

    made = step(Premises(policy=policy), FAILED, attempt=2, begins=BEGINNING, u=0.5)

    assert made.decision == decide(policy, FAILED, Situation(attempt=2, now=BEGINNING, published_at=BEGINNING), 0.5)


def test_a_step_that_the_guard_refuses_does_not_run():
    premises = Premises(policy=Policy(), takes=timedelta(minutes=1), expiration=BEGINNING - timedelta(seconds=1))

    made = step(premises, Handled(), attempt=1, begins=BEGINNING, u=0)

    assert isinstance(made.outcome, Expired)
    assert made.ends == made.begins


def test_a_step_is_fitted_to_the_queue():
    whole_seconds = Capabilities(granularity=timedelta(seconds=1), min_retry_delay=timedelta(seconds=1))
    premises = Premises(policy=Policy(backoff=Backoff(base=0.2)), capabilities=whole_seconds)

    assert step(premises, FAILED, attempt=1, begins=BEGINNING, u=LONGEST).delay == timedelta(seconds=1)


def test_a_course_ends_with_the_first_settlement_that_is_no_retry():
    steps = list(course(Premises(policy=Policy(max_attempts=3, backoff=FIXED)), lambda _: FAILED, lambda: SHORTEST))

    assert [type(each.decision.settlement) for each in steps] == [Retry, Retry, Bury]
    assert [(each.begins - BEGINNING).total_seconds() for each in steps] == [0, 10, 20]


def test_the_time_that_an_attempt_takes_comes_before_its_delay():
    premises = Premises(policy=Policy(max_attempts=2, backoff=FIXED), takes=timedelta(seconds=3))

    first, second = course(premises, lambda _: FAILED, lambda: SHORTEST)

    assert second.begins - first.begins == timedelta(seconds=13)


def test_an_outcome_may_depend_on_when_the_attempt_begins():
    over = BEGINNING + timedelta(seconds=15)
    premises = Premises(policy=Policy(backoff=FIXED))

    steps = list(course(premises, lambda at: FAILED if at < over else Handled(), lambda: SHORTEST))

    assert [type(each.decision.settlement) for each in steps] == [Retry, Retry, Ack]


def test_a_course_without_a_limit_has_no_end():
    steps = course(Premises(policy=Policy(max_attempts=0)), lambda _: FAILED, lambda: SHORTEST)

    assert all(each.delay is not None for each in islice(steps, 1_000))


def test_the_horizon_is_the_sum_of_the_longest_delays_and_of_all_attempts():
    assert horizon(Premises(policy=Policy(max_attempts=4, backoff=FIXED), takes=timedelta(seconds=1))) == timedelta(
        seconds=4 * 1 + 3 * 10
    )


def test_the_horizon_without_a_limit_is_unknown():
    assert horizon(Premises(policy=Policy(max_attempts=0))) is None


def test_the_horizon_beyond_the_calendar_is_unknown():
    endless = Backoff(base=timedelta(days=300_000), cap=timedelta(days=300_000))

    assert horizon(Premises(policy=Policy(max_attempts=50, backoff=endless))) is None


@given(attempts=st.integers(1, 30), base=st.floats(0, 100), u=st.lists(st.floats(0, 1, exclude_max=True), min_size=30))
def test_no_course_is_longer_than_the_horizon(attempts, base, u):
    premises = Premises(policy=Policy(max_attempts=attempts, backoff=Backoff(base=base)))
    numbers = iter(u)

    steps = list(course(premises, lambda _: FAILED, lambda: next(numbers)))

    assert len(steps) == attempts
    assert steps[-1].ends - BEGINNING <= horizon(premises)
