"""What a route would do about everything that can happen, as its own policy says."""

from datetime import timedelta

import attrs
import pytest

from pulpo_core.application.handlers import Handlers
from pulpo_core.application.prospects import EVENTS, Crash, crash, prospects
from pulpo_core.application.route import Route
from pulpo_core.domain.backoff import Backoff, JitterMode
from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.decision import AGAIN_TABLE, TABLE, Tally
from pulpo_core.domain.policy import Policy
from pulpo_core.domain.settlement import Ack, Bury, Reason, Release, Retry

TWO = Policy(max_attempts=2, backoff=Backoff(base=10, jitter=JitterMode.NONE))


async def handle(message):
    """Never called."""


def of(event, *, policy=TWO, capabilities=None, **options):
    """The stretches of *event*, as (first, last, settlement, reason)."""
    route = Route("memory://x", options.pop("handlers", handle), policy=policy, **options)
    found = [each for each in prospects(route, policy, capabilities or Capabilities()) if each.event == event]
    return [
        (
            each.detail,
            [(stretch.first, stretch.last, type(stretch.settlement), stretch.reason) for stretch in each.stretches],
        )
        for each in found
    ]


def stretches(event, **options):
    [(_, found)] = of(event, **options)
    return found


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("returned", [(1, 1, Ack, Reason.HANDLED)]),
        ("returned-none", [(1, 1, Ack, Reason.HANDLED)]),
        ("returned-false", [(1, 1, Retry, Reason.ASKED), (2, 2, Bury, Reason.ATTEMPTS_EXHAUSTED)]),
        ("raised", [(1, 1, Retry, Reason.FAILED), (2, 2, Bury, Reason.ATTEMPTS_EXHAUSTED)]),
        ("raised-reject-message", [(1, 1, Ack, Reason.REJECTED)]),
        ("untranslatable", [(1, 1, Bury, Reason.UNTRANSLATABLE)]),
        ("expired", [(1, 1, Bury, Reason.EXPIRED)]),
        ("would-expire", [(1, 1, Bury, Reason.WOULD_EXPIRE)]),
        ("shutdown", [(1, 1, Release, Reason.SHUTDOWN)]),
        ("lease-lost", [(1, 1, type(None), Reason.LEASE_LOST)]),
    ],
)
def test_what_happens_is_what_the_table_of_decisions_says(event, expected):
    assert stretches(event) == expected


def test_every_event_of_a_route_has_a_word_that_is_listed():
    route = Route("memory://x", handle, timeout=5)

    assert {each.event for each in prospects(route, TWO, Capabilities(groups=True))} <= set(EVENTS)


def test_falsy_results_retry_where_the_route_says_so():
    assert stretches("returned-none", falsy_retries=True)[0][2] is Retry


def test_every_listed_exception_is_told_by_its_name():
    class Unhappy(Exception):
        def __init__(self, reason):
            raise AssertionError("nothing is raised, so nothing is made")

    policy = Policy(fatal=(Unhappy, KeyError), reject=(LookupError,))

    assert of("raised-fatal", policy=policy) == [
        (f"{Unhappy.__qualname__}", [(1, 1, Bury, Reason.FATAL)]),
        ("KeyError", [(1, 1, Bury, Reason.FATAL)]),
    ]
    assert of("raised-reject", policy=policy) == [("LookupError", [(1, 1, Ack, Reason.REJECTED)])]


def test_a_group_of_exceptions_is_told_by_what_is_in_it():
    assert of("raised-fatal", policy=Policy(fatal=(ExceptionGroup, KeyError))) == [
        ("KeyError", [(1, 1, Bury, Reason.FATAL)])
    ]


def test_every_time_limit_is_told():
    handlers = Handlers()
    handlers.add("a", handle, timeout=5)
    handlers.add("b", handle)

    assert [detail for detail, _ in of("timed-out", handlers=handlers, timeout=60)] == ["5 s", "60 s"]
    assert of("timed-out") == []


def test_an_unknown_type_is_an_event_only_where_nothing_takes_it():
    handlers = Handlers()
    handlers.add("a", handle)

    assert of("unroutable") == []
    assert stretches("unroutable", handlers=handlers) == [(1, 1, Bury, Reason.NO_HANDLER)]
    grace = Policy(unroutable_grace=30, backoff=Backoff(base=10, factor=1, jitter=JitterMode.NONE))
    assert stretches("unroutable", handlers=handlers, policy=grace) == [
        (1, 3, Retry, Reason.NO_HANDLER),
        (4, 4, Bury, Reason.NO_HANDLER),
    ]


def test_an_abandoned_thread_is_an_event_only_where_handlers_run_in_threads():
    def in_thread(message):
        """Never called."""

    assert of("thread-abandoned") == []
    assert stretches("thread-abandoned", handlers=in_thread) == [(1, 1, type(None), Reason.ABANDONED)]


def test_a_late_acknowledgement_is_told_where_it_is_safe():
    late = Capabilities(late_ack=True)

    assert stretches("lease-lost-after-work", capabilities=late) == [(1, 1, Ack, Reason.LATE_ACK)]


@pytest.mark.parametrize("attempts", [50, 200])
def test_a_high_limit_is_told_as_it_is(attempts):
    assert stretches("raised", policy=Policy(max_attempts=attempts)) == [
        (1, attempts - 1, Retry, Reason.FAILED),
        (attempts, attempts, Bury, Reason.ATTEMPTS_EXHAUSTED),
    ]


def test_without_a_limit_it_goes_on_for_ever():
    assert stretches("raised", policy=Policy(max_attempts=0)) == [(1, None, Retry, Reason.FAILED)]


def test_without_a_limit_an_age_may_end_it():
    policy = Policy(max_attempts=0, max_age=100, backoff=Backoff(base=10, factor=1, jitter=JitterMode.NONE))

    assert stretches("raised", policy=policy) == [(1, 10, Retry, Reason.FAILED), (11, 11, Bury, Reason.MAX_AGE)]


def test_delays_are_told_from_the_shortest_to_the_longest():
    route = Route("memory://x", handle)
    found = next(
        each for each in prospects(route, Policy(max_attempts=3), Capabilities()) if each.event == "raised"
    ).stretches

    assert [(low.total_seconds(), high.total_seconds()) for low, high in found[0].delays] == [(2.5, 5), (5, 10)]
    assert found[1].tally is Tally.BURIED


def test_a_classifier_is_not_asked_about_what_has_not_happened():
    def classify(error):
        raise AssertionError("nothing has happened")

    assert stretches("raised", policy=Policy(max_attempts=1, classify=classify))[0][3] is Reason.ATTEMPTS_EXHAUSTED


def test_a_crash_loop_ends_where_the_guard_ends_it():
    assert crash(Policy(max_attempts=3), Capabilities()) == Crash(lease=timedelta(seconds=30), attempts=3)
    assert crash(Policy(max_attempts=3), Capabilities(attempt_slack=10)).attempts == 13
    assert crash(Policy(max_attempts=10, max_lost=2), Capabilities()).attempts == 2
    assert crash(Policy(max_attempts=0), Capabilities()).attempts is None


def test_every_reason_of_the_table_of_decisions_is_the_answer_to_some_event():
    handlers = Handlers()
    handlers.add("a", handle, timeout=5)
    handlers.add("b", lambda message: None)
    policy = Policy(max_attempts=3, max_age=60, fatal=KeyError, reject=ValueError)
    route = Route("memory://x", handlers, policy=policy)
    endless = attrs.evolve(policy, max_attempts=0)

    found = {
        stretch.reason
        for fitted in (policy, endless)
        for late_ack in (True, False)
        for each in prospects(route, fitted, Capabilities(groups=True, late_ack=late_ack))
        for stretch in each.stretches
    }

    assert found == {row.reason for row in TABLE} | {row.reason for row in AGAIN_TABLE if row.reason}
