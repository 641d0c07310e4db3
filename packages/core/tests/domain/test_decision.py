"""Outcome → settlement: every row of the tables, and what holds whatever the rows say."""

import math
import typing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulpo_core.domain import outcome as outcomes
from pulpo_core.domain.backoff import LONGEST_DELAY, Backoff
from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.decision import (
    AGAIN_TABLE,
    TABLE,
    Decision,
    Situation,
    Tally,
    Verdict,
    decide,
)
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import (
    Abandoned,
    Asked,
    Cancelled,
    Exhausted,
    Expired,
    Failed,
    GroupFailed,
    Handled,
    LostLease,
    Outcome,
    Rejected,
    TimedOut,
    Unroutable,
    Untranslatable,
)
from pulpo_core.domain.planning import plan, round_down, round_up
from pulpo_core.domain.policy import OnExpired, Policy, Severity, guard
from pulpo_core.domain.settlement import Ack, Bury, FollowUp, Reason, Release, Retry
from pulpo_core.domain.wording import ERROR_TEXT_LIMIT, error_of, error_text

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
LAST_U = math.nextafter(1.0, 0.0)
PLAIN = Policy(backoff=Backoff(base=8, factor=2, cap=100, jitter="none"), max_attempts=3)


def situation(attempt: int = 1, **known) -> Situation:
    return Situation(attempt=attempt, now=NOW, **known)


def settle(outcome, policy=PLAIN, u=0.0, **known) -> Decision:
    return decide(policy, outcome, situation(**known), u)


def evolve(policy=PLAIN, **changes) -> Policy:
    return attrs.evolve(policy, **changes)


# The tables


def test_every_outcome_has_a_row_that_takes_whatever_the_others_left():
    for outcome in typing.get_args(Outcome):
        rows = [row for row in TABLE if row.outcome is outcome]

        assert rows, outcome
        assert rows[-1].when is None, outcome
        assert all(row.when is not None for row in rows[:-1]), outcome


def test_every_outcome_of_the_module_belongs_to_the_union():
    defined = {each for each in vars(outcomes).values() if getattr(each, "__module__", "") == outcomes.__name__}

    assert set(typing.get_args(Outcome)) == defined


def test_the_second_table_ends_in_a_row_that_takes_the_rest():
    assert AGAIN_TABLE[-1].when is None
    assert all(row.when is not None for row in AGAIN_TABLE[:-1])


def test_every_condition_is_said_in_words():
    for row in TABLE:
        assert row.condition or row.when is None, row
    assert all(row.condition for row in AGAIN_TABLE)


def test_every_verdict_and_every_reason_has_its_row():
    assert {row.verdict for row in TABLE} == set(Verdict)
    assert {row.reason for row in (*TABLE, *AGAIN_TABLE)} - {None} == set(Reason)


BOOM = ValueError("boom")
HINT = timedelta(seconds=50)

DECISIONS = [
    pytest.param(Handled(), {}, Ack(), "handled", "acked", id="handled is acknowledged"),
    pytest.param(Handled(), {"attempt": 99}, Ack(), "handled", "acked", id="whatever the attempt"),
    pytest.param(
        Handled(), {"expiration": NOW - SECOND}, Ack(), "handled", "acked", id="also if it expired while it was handled"
    ),
    pytest.param(
        Handled((Message(request_type="next"),)),
        {},
        Ack([Message(request_type="next")]),
        "handled",
        "acked",
        id="follow-ups travel inside the acknowledgement",
    ),
    pytest.param(Rejected(), {"attempt": 99}, Ack(), "rejected", "acked", id="rejected is acknowledged, not a success"),
    pytest.param(Asked(Ack()), {}, Ack(), "asked", "acked", id="an Ack that is asked for is done"),
    pytest.param(Asked(Release()), {"attempt": 99}, Release(), "asked", "released", id="so is a Release"),
    pytest.param(Asked(Bury("spam")), {}, Bury("spam"), "asked", "buried", id="so is a Bury, in its own words"),
    pytest.param(
        Asked(Bury("spam"), error="E: x"),
        {},
        Bury("spam", "E: x"),
        "asked",
        "buried",
        id="which takes the failure along",
    ),
    pytest.param(
        Asked(Bury("spam", "mine"), error="E: x"),
        {},
        Bury("spam", "mine"),
        "asked",
        "buried",
        id="unless it has its own",
    ),
    pytest.param(
        Asked(Retry()), {"attempt": 2}, Retry(16), "asked", "retried", id="a Retry without delay waits as any other"
    ),
    pytest.param(Asked(Retry(50)), {}, Retry(50), "asked", "retried", id="a Retry with a delay waits at least for it"),
    pytest.param(Asked(Retry(0)), {}, Retry(0), "asked", "retried", id="at once means at once"),
    pytest.param(Asked(Retry(-1)), {}, Retry(8), "asked", "retried", id="less than at once means nothing"),
    pytest.param(
        Asked(Retry(5, "not yet"), error="E: x"),
        {},
        Retry(5, "not yet"),
        "asked",
        "retried",
        id="and says why in its words",
    ),
    pytest.param(
        Asked(Retry(5), error="E: x"), {}, Retry(5, "E: x"), "asked", "retried", id="or in those of the failure"
    ),
    pytest.param(
        Asked(Retry(50, "not yet")),
        {"attempt": 3},
        Bury("attempts-exhausted", "not yet"),
        "attempts-exhausted",
        "buried",
        id="a Retry past the last attempt is buried",
    ),
    pytest.param(Failed(BOOM), {}, Retry(8, "ValueError: boom"), "failed", "retried", id="a failure is tried again"),
    pytest.param(
        Failed(BOOM),
        {"attempt": 2},
        Retry(16, "ValueError: boom"),
        "failed",
        "retried",
        id="after the second it waits longer",
    ),
    pytest.param(
        Failed(BOOM),
        {"attempt": 3},
        Bury("attempts-exhausted", "ValueError: boom"),
        "attempts-exhausted",
        "buried",
        id="a failure of the last attempt is buried",
    ),
    pytest.param(
        Failed(BOOM),
        {"attempt": 99},
        Bury("attempts-exhausted", "ValueError: boom"),
        "attempts-exhausted",
        "buried",
        id="so is one of an attempt that slack let through",
    ),
    pytest.param(
        Failed(BOOM, delay=HINT),
        {},
        Retry(50, "ValueError: boom"),
        "failed",
        "retried",
        id="a failure may name its delay",
    ),
    pytest.param(
        Failed(BOOM, delay=-HINT), {}, Retry(8, "ValueError: boom"), "failed", "retried", id="one that is over is none"
    ),
    pytest.param(
        Failed(BOOM, delay=HINT, fatal=True),
        {},
        Bury("fatal", "ValueError: boom"),
        "fatal",
        "buried",
        id="a failure that says it is fatal is buried at once, whatever delay it names",
    ),
    pytest.param(
        TimedOut(timedelta(seconds=1.5)),
        {},
        Retry(8, "the handler ran longer than 1.5 s"),
        "timed-out",
        "retried",
        id="a time-out is tried again",
    ),
    pytest.param(
        TimedOut(timedelta(minutes=2)),
        {"attempt": 3},
        Bury("attempts-exhausted", "the handler ran longer than 120 s"),
        "attempts-exhausted",
        "buried",
        id="a time-out of the last attempt is buried",
    ),
    pytest.param(
        Untranslatable(BOOM),
        {},
        Bury("untranslatable", "ValueError: boom"),
        "untranslatable",
        "buried",
        id="what cannot be understood is buried, not retried and not dropped",
    ),
    pytest.param(
        Unroutable("send_fax"),
        {},
        Bury("no-handler", "no handler for request type 'send_fax'"),
        "no-handler",
        "buried",
        id="what nobody handles is buried",
    ),
    pytest.param(
        Expired(NOW),
        {},
        Bury("expired", "expired at 2026-11-21T10:00:00+00:00"),
        "expired",
        "buried",
        id="what came too late is buried",
    ),
    pytest.param(
        Exhausted(4, 0),
        {"attempt": 4},
        Bury("attempts-exhausted", "delivery 4 was not run: its attempts were used up before"),
        "attempts-exhausted",
        "buried",
        id="a crash loop is buried unrun",
    ),
    pytest.param(
        Exhausted(4, 2),
        {"attempt": 4},
        Bury("attempts-exhausted", "delivery 4 was not run: 2 before it ended without an outcome"),
        "attempts-exhausted",
        "buried",
        id="with the number of crashes where the queue can tell",
    ),
    pytest.param(
        Cancelled(), {"attempt": 99}, Release(), "shutdown", "released", id="a shutdown gives everything back"
    ),
    pytest.param(
        GroupFailed(), {"attempt": 99}, Release(), "group-failed", "released", id="what must not overtake is given back"
    ),
    pytest.param(
        LostLease(), {"late_ack": True}, None, "lease-lost", "lease_lost", id="a lost lease leaves nothing to do"
    ),
    pytest.param(LostLease(work_done=True), {}, None, "lease-lost", "lease_lost", id="even if the work was done"),
    pytest.param(
        LostLease(work_done=True),
        {"late_ack": True},
        Ack(),
        "late-ack",
        "acked",
        id="unless the queue takes late acknowledgements",
    ),
    pytest.param(
        Abandoned(timedelta(seconds=30)),
        {"late_ack": True},
        None,
        "abandoned",
        "lease_lost",
        id="a hung thread is left alone",
    ),
]


@pytest.mark.parametrize(("outcome", "known", "settlement", "reason", "tally"), DECISIONS)
def test_an_outcome_leads_to_its_settlement(outcome, known, settlement, reason, tally):
    assert settle(outcome, **known) == Decision(settlement, Reason(reason), Tally(tally))


# What an exception means


@pytest.mark.parametrize(
    ("policy", "error", "settlement", "reason"),
    [
        pytest.param({"fatal": ValueError}, BOOM, Bury("fatal", "ValueError: boom"), "fatal", id="listed as fatal"),
        pytest.param({"reject": ValueError}, BOOM, Ack(), "rejected", id="listed as rejected"),
        pytest.param(
            {"fatal": Exception, "transient": ValueError},
            BOOM,
            Retry(8, "ValueError: boom"),
            "failed",
            id="listed nearer",
        ),
        pytest.param(
            {"classify": lambda _: Severity.FATAL},
            BOOM,
            Bury("fatal", "ValueError: boom"),
            "fatal",
            id="classified as fatal",
        ),
        pytest.param(
            {"classify": lambda _: "fatal"}, BOOM, Bury("fatal", "ValueError: boom"), "fatal", id="classified by a word"
        ),
        pytest.param({"classify": lambda _: Severity.REJECT}, BOOM, Ack(), "rejected", id="classified as rejected"),
        pytest.param(
            {"classify": lambda _: Severity.TRANSIENT, "fatal": ValueError},
            BOOM,
            Retry(8, "ValueError: boom"),
            "failed",
            id="a classifier is asked before the lists",
        ),
        pytest.param(
            {"classify": lambda _: None, "fatal": ValueError},
            BOOM,
            Bury("fatal", "ValueError: boom"),
            "fatal",
            id="a classifier without an opinion leaves it to the lists",
        ),
        pytest.param(
            {"classify": lambda _: 50}, BOOM, Retry(50, "ValueError: boom"), "failed", id="classified by seconds"
        ),
        pytest.param(
            {"classify": lambda _: HINT}, BOOM, Retry(50, "ValueError: boom"), "failed", id="classified by a span"
        ),
        pytest.param(
            {"classify": lambda _: 0}, BOOM, Retry(0, "ValueError: boom"), "failed", id="a delay of 0 is a delay"
        ),
        pytest.param(
            {"classify": lambda _: HINT, "fatal": ValueError},
            BOOM,
            Retry(50, "ValueError: boom"),
            "failed",
            id="a delay means transient whatever the lists say",
        ),
        pytest.param(
            {"classify": lambda _: -1, "fatal": ValueError},
            BOOM,
            Bury("fatal", "ValueError: boom"),
            "fatal",
            id="a delay that is over is no opinion",
        ),
        pytest.param(
            {"classify": lambda _: math.inf, "max_hint": 60},
            BOOM,
            Retry(60, "ValueError: boom"),
            "failed",
            id="for ever is as long as hints may be",
        ),
        pytest.param(
            {"classify": lambda error: Severity(str(error))},
            ValueError("reject"),
            Ack(),
            "rejected",
            id="a classifier sees the error itself",
        ),
    ],
)
def test_a_failure_means_what_the_policy_makes_of_it(policy, error, settlement, reason):
    decision = settle(Failed(error), evolve(**policy))

    assert (decision.settlement, decision.reason, decision.alarm) == (settlement, Reason(reason), "")


@pytest.mark.parametrize(
    ("named", "classified", "waited"),
    [(50, 20, 50), (20, 50, 50), (0, 20, 20), (20, 0, 20), (-50, 20, 20), (50, None, 50)],
)
def test_of_two_named_delays_the_longer_counts(named, classified, waited):
    policy = evolve(classify=lambda _: classified)

    decision = settle(Failed(BOOM, delay=timedelta(seconds=named)), policy)

    assert decision.settlement == Retry(waited, "ValueError: boom")


GROUPS = [
    pytest.param([OSError(), ValueError()], "failed", id="a group of transient failures is transient"),
    pytest.param([OSError(), KeyError()], "fatal", id="one fatal failure among them is enough"),
    pytest.param([IndexError(), OSError()], "failed", id="a transient failure weighs more than a rejection"),
    pytest.param([IndexError(), KeyError()], "fatal", id="a fatal one as well"),
    pytest.param([IndexError(), IndexError()], "rejected", id="rejections alone are a rejection"),
    pytest.param([OSError(), ExceptionGroup("inner", [IndexError(), KeyError()])], "fatal", id="however deep it lies"),
]


@pytest.mark.parametrize(("errors", "reason"), GROUPS)
@pytest.mark.parametrize("turned", [False, True], ids=["in order", "in the other order"])
def test_the_most_severe_failure_of_a_group_counts(errors, reason, turned):
    group = ExceptionGroup("several", errors[::-1] if turned else errors)

    assert settle(Failed(group), evolve(fatal=KeyError, reject=IndexError)).reason == reason


def test_of_the_delays_in_a_group_the_longest_counts():
    delays = {OSError: 20, KeyError: 50, ValueError: None}
    group = ExceptionGroup("several", [OSError(), KeyError(), ValueError()])

    assert settle(Failed(group), evolve(classify=lambda error: delays[type(error)])).settlement.delay == HINT


def broken(_):
    raise RuntimeError("no database")


@pytest.mark.parametrize(
    ("classify", "alarm"),
    [
        pytest.param(broken, "classifier failed: RuntimeError: no database", id="it raises"),
        pytest.param(
            lambda _: "deadly", "classifier failed: ValueError: 'deadly' is not a valid Severity", id="a wrong word"
        ),
        pytest.param(
            lambda _: math.nan, "classifier failed: ConfigurationError: delay: ", id="a delay that is no number"
        ),
        pytest.param(lambda _: True, "classifier failed: ConfigurationError: delay: ", id="true"),
        pytest.param(lambda _: [1], "classifier failed: ConfigurationError: delay: ", id="something else"),
        pytest.param(lambda: None, "classifier failed: TypeError: ", id="it takes no argument"),
        pytest.param("word", "classifier failed: TypeError: 'str' object is not callable", id="it is no function"),
    ],
)
@pytest.mark.parametrize("lists", [{}, {"fatal": ValueError}, {"reject": ValueError}], ids=str)
def test_a_broken_classifier_means_transient_and_an_alarm(classify, alarm, lists):
    decision = settle(Failed(BOOM), evolve(classify=classify, **lists))

    assert attrs.evolve(decision, alarm="") == settle(Failed(BOOM))
    assert decision.alarm.startswith(alarm)


def test_an_alarm_is_raised_whatever_is_decided():
    policy = evolve(classify=broken)

    assert settle(Failed(BOOM), policy, attempt=3).alarm
    assert settle(Failed(BOOM, fatal=True), policy).alarm
    assert settle(Failed(BOOM), evolve(policy, on_expired="drop"), expiration=NOW).alarm
    assert settle(Failed(ExceptionGroup("several", [OSError(), BOOM])), policy).alarm


def test_only_failures_are_classified():
    policy = evolve(classify=broken)

    for outcome in (Handled(), TimedOut(SECOND), Untranslatable(BOOM), Asked(Retry(), error="x"), Rejected()):
        assert settle(outcome, policy).alarm == ""


# When there is no again


AGAIN = [
    pytest.param(Failed(BOOM), id="after a failure"),
    pytest.param(TimedOut(SECOND), id="after a time-out"),
    pytest.param(Asked(Retry()), id="after a Retry that was asked for"),
    pytest.param(Unroutable("send_fax"), id="while a handler is awaited"),
]
PATIENT = evolve(unroutable_grace=timedelta(days=365))


@pytest.mark.parametrize("outcome", AGAIN)
@pytest.mark.parametrize(
    ("left", "buried"),
    [
        pytest.param(timedelta(seconds=8) - INSTANT, True, id="that would start after its expiration is buried"),
        pytest.param(timedelta(seconds=8), False, id="that would start at its expiration is kept"),
        pytest.param(timedelta(seconds=9), False, id="that would start before it is kept"),
        pytest.param(-SECOND, True, id="that expired meanwhile is buried"),
    ],
)
def test_a_retry_that_could_only_expire(outcome, left, buried):
    decision = settle(outcome, PATIENT, expiration=NOW + left)

    assert (decision.tally, decision.settlement.error) == (
        Tally.BURIED if buried else Tally.RETRIED,
        error_of(outcome),
    )
    assert not buried or decision.settlement.reason == decision.reason == "would-expire"


@pytest.mark.parametrize("outcome", AGAIN)
@pytest.mark.parametrize(
    ("age", "buried"),
    [
        pytest.param(timedelta(seconds=52) + INSTANT, True, id="that would start too late after publishing is buried"),
        pytest.param(timedelta(seconds=52), False, id="that would start just in time is kept"),
        pytest.param(timedelta(), False, id="of a young message is kept"),
        pytest.param(None, False, id="of a message of unknown age is kept"),
    ],
)
def test_a_retry_under_a_limit_of_age(outcome, age, buried):
    policy = evolve(PATIENT, max_age=60)

    decision = settle(outcome, policy, published_at=None if age is None else NOW - age)

    assert decision.tally is (Tally.BURIED if buried else Tally.RETRIED)
    assert not buried or decision.settlement.reason == decision.reason == "max-age"


def test_a_delay_that_was_asked_for_counts_towards_expiration_and_age():
    assert settle(Asked(Retry(50)), expiration=NOW + timedelta(seconds=49)).reason == "would-expire"
    assert settle(Asked(Retry(50)), evolve(max_age=49), published_at=NOW).reason == "max-age"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        pytest.param(Expired(NOW), "expired", id="a message that expired"),
        pytest.param(Failed(BOOM), "would-expire", id="a retry that would expire"),
    ],
)
def test_a_policy_may_drop_what_is_too_late(outcome, reason):
    decision = settle(outcome, evolve(on_expired=OnExpired.DROP), expiration=NOW)

    assert decision == Decision(Ack(), Reason(reason), Tally.DROPPED)


def test_exhausted_goes_before_expired_and_that_before_too_old():
    late = {"expiration": NOW, "published_at": NOW - timedelta(days=9)}
    policy = evolve(max_age=60)

    assert settle(Failed(BOOM), policy, attempt=3, **late).reason == "attempts-exhausted"
    assert settle(Failed(BOOM), policy, attempt=2, **late).reason == "would-expire"
    assert settle(Failed(BOOM), policy, published_at=late["published_at"]).reason == "max-age"


@pytest.mark.parametrize(
    ("known", "retried"),
    [
        pytest.param({"published_at": NOW - timedelta(seconds=52)}, True, id="the last moment of grace"),
        pytest.param({"published_at": NOW - timedelta(seconds=52) - INSTANT}, False, id="one instant more"),
        pytest.param({"published_at": NOW}, True, id="just published"),
        pytest.param({}, True, id="of unknown age"),
        pytest.param({"attempt": 2}, True, id="attempts left"),
        pytest.param({"attempt": 3}, False, id="attempts used up"),
        pytest.param({"attempt": 99}, False, id="more than used up"),
    ],
)
def test_a_message_without_handler_is_retried_within_its_grace(known, retried):
    decision = settle(Unroutable(None), evolve(unroutable_grace=60), **known)

    assert decision.reason == "no-handler"
    assert decision.tally is (Tally.RETRIED if retried else Tally.BURIED)
    assert decision.settlement.error == "no handler for messages without a request type"


# What holds for all outcomes, policies and situations

# Values are drawn from those about which decisions turn: draws from whole ranges hit no boundary.

CHANCES = st.sampled_from([0.0, 0.25, 0.5, LAST_U])
SPANS = st.sampled_from(
    [
        *(timedelta(seconds=each) for each in (0, 1e-6, 1, 7.5, 90, 900, 43_200)),
        timedelta(days=400),
        timedelta.max,
    ]
)
BACKOFFS = st.sampled_from(
    [
        Backoff(),
        Backoff(base=0),
        Backoff(cap=0),
        Backoff(base=8, jitter="none"),
        Backoff(base=90, cap=7.5, jitter="full"),
        Backoff(base=1, factor=1000, cap=timedelta.max, jitter="full"),
        Backoff(base=timedelta.max, cap=timedelta.max, jitter="none"),
    ]
)
ERRORS = st.sampled_from(
    [
        ValueError("x"),
        OSError(),
        KeyError("k"),
        ConnectionResetError(),
        SystemExit(3),
        ExceptionGroup("g", [ValueError(), ExceptionGroup("h", [KeyError(), OSError()])]),
    ]
)
FOLLOW_UPS = st.lists(st.sampled_from([Message(request_type="next"), FollowUp(Message(), "memory://b")]), max_size=2)
ASKED = st.one_of(
    st.builds(Ack, FOLLOW_UPS),
    st.builds(Release),
    st.builds(Bury, st.sampled_from(["asked", "spam"]), st.sampled_from(["", "why"])),
    st.builds(Retry, st.none() | SPANS | st.sampled_from([-1, math.inf])),
)
OUTCOMES = st.one_of(
    st.builds(Handled, FOLLOW_UPS.map(tuple)),
    st.builds(Asked, ASKED, st.sampled_from(["", "E: x"])),
    st.just(Rejected()),
    st.builds(Failed, ERRORS, st.none() | SPANS | st.just(-SECOND), st.booleans()),
    st.builds(TimedOut, SPANS),
    st.builds(Untranslatable, ERRORS),
    st.builds(Unroutable, st.sampled_from([None, "", "send_fax"])),
    st.just(Expired(NOW - INSTANT)),
    st.builds(Exhausted, st.integers(1, 99), st.integers(0, 3)),
    st.just(Cancelled()),
    st.just(GroupFailed()),
    st.builds(LostLease, st.booleans()),
    st.builds(Abandoned, SPANS),
)
REPEATABLE = st.one_of(
    st.builds(Failed, ERRORS, st.none() | SPANS | st.just(-SECOND)),
    st.builds(Asked, st.builds(Retry, st.none() | SPANS)),
    st.builds(TimedOut, SPANS),
    st.builds(Unroutable, st.sampled_from([None, "send_fax"])),
)
CLASSIFIERS = st.sampled_from(
    [None, None, broken, lambda _: Severity.FATAL, lambda _: "reject", lambda _: 30, lambda _: -1, lambda _: "?"]
)
LISTS = st.sampled_from(
    [
        ((), ()),
        (ValueError, ()),
        ((), ValueError),
        ((OSError, LookupError), (ConnectionResetError, Exception)),
        ((Exception, ConnectionResetError), (OSError, KeyError)),
    ]
)


@st.composite
def policies(draw) -> Policy:
    fatal, reject = draw(LISTS)
    return Policy(
        max_attempts=draw(st.sampled_from([None, 0, 1, 2, 5])),
        backoff=draw(BACKOFFS),
        max_hint=draw(SPANS),
        fatal=fatal,
        reject=reject,
        classify=draw(CLASSIFIERS),
        on_expired=draw(st.sampled_from(OnExpired)),
        unroutable_grace=draw(SPANS),
        max_age=draw(st.none() | SPANS),
    )


@st.composite
def situations(draw, policy: Policy) -> Situation:
    """About the boundaries of *policy*: its last attempt, its cap, its limits of age, and now."""
    limit = int(min(policy.attempts_limit, 1000))
    waits = [timedelta(), SECOND, min(policy.backoff.cap, LONGEST_DELAY), min(policy.max_hint, LONGEST_DELAY)]
    ages = [timedelta(), SECOND, min(policy.max_age or SECOND, timedelta(days=500)), timedelta(days=500)]
    beside = st.sampled_from([-SECOND, -INSTANT, timedelta(), INSTANT, SECOND])
    expires, published = draw(st.none() | st.sampled_from(waits)), draw(st.none() | st.sampled_from(ages))
    return Situation(
        attempt=max(1, draw(st.sampled_from([1, limit - 1, limit, limit + 1, 10**9]))),
        now=NOW,
        expiration=None if expires is None else NOW + expires + draw(beside),
        published_at=None if published is None else NOW - published + draw(beside),
        late_ack=draw(st.booleans()),
    )


@st.composite
def cases(draw, outcome=OUTCOMES) -> tuple[Policy, Outcome, Situation, float]:
    policy = draw(policies())
    return policy, draw(outcome), draw(situations(policy)), draw(CHANCES)


TALLY = {
    Ack: Tally.ACKED,
    Retry: Tally.RETRIED,
    Bury: Tally.BURIED,
    Release: Tally.RELEASED,
    type(None): Tally.LEASE_LOST,
}


@settings(max_examples=300)
@given(cases())
def test_every_case_has_exactly_one_decision_and_equal_cases_have_equal_ones(case):
    decision = decide(*case)

    assert decision == decide(*case)
    assert decision.tally is TALLY[type(decision.settlement)] or decision.tally is Tally.DROPPED
    assert isinstance(decision.reason, Reason)


@settings(max_examples=300)
@given(cases(st.one_of(OUTCOMES, REPEATABLE)))
def test_an_acknowledgement_means_done_unwanted_asked_for_or_dropped_as_configured(case):
    policy, outcome, known, _ = case
    decision = decide(*case)
    if not isinstance(decision.settlement, Ack):
        return

    if decision.tally is Tally.DROPPED:
        assert policy.on_expired is OnExpired.DROP
        assert decision.reason in {Reason.EXPIRED, Reason.WOULD_EXPIRE}
    elif isinstance(outcome, LostLease):
        assert outcome.work_done
        assert known.late_ack
    elif isinstance(outcome, Failed):
        assert decision.reason is Reason.REJECTED
    else:
        assert isinstance(outcome, Handled | Rejected | Asked)


@given(cases(st.builds(Handled, FOLLOW_UPS.map(tuple))))
def test_work_that_was_done_is_acknowledged_with_its_follow_ups_whatever_else_is_so(case):
    assert decide(*case) == Decision(Ack(case[1].follow_ups), Reason.HANDLED, Tally.ACKED)


@given(cases(st.builds(LostLease, st.booleans()) | st.builds(Abandoned, SPANS)))
def test_what_is_not_ours_any_more_is_left_alone(case):
    _, outcome, known, _ = case

    late = isinstance(outcome, LostLease) and outcome.work_done and known.late_ack
    assert decide(*case).settlement == (Ack() if late else None)


@given(cases(st.builds(Failed, ERRORS, st.none() | SPANS, st.just(True))))
def test_fatal_is_buried_at_once_whatever_attempts_remain(case):
    decision = decide(*case)

    assert (type(decision.settlement), decision.reason, decision.settlement.reason) == (Bury, Reason.FATAL, "fatal")


@given(cases(st.just(Cancelled()) | st.just(GroupFailed())))
def test_what_is_nobodys_fault_is_given_back_even_at_the_last_attempt(case):
    assert decide(*case).settlement == Release()


@given(cases(st.builds(Untranslatable, ERRORS)))
def test_what_cannot_be_understood_is_never_tried_again_and_never_dropped(case):
    assert decide(*case).reason is Reason.UNTRANSLATABLE
    assert isinstance(decide(*case).settlement, Bury)


@settings(max_examples=300)
@given(cases(st.one_of(REPEATABLE, REPEATABLE, OUTCOMES)))
def test_a_retry_has_attempts_time_and_age_left(case):
    policy, outcome, known, _ = case
    decision = decide(*case)
    if not isinstance(decision.settlement, Retry):
        return

    starts = NOW + decision.settlement.delay
    assert known.attempt < policy.attempts_limit
    assert known.expiration is None or starts <= known.expiration
    assert policy.max_age is None or known.published_at is None or starts - known.published_at <= policy.max_age
    if isinstance(outcome, Unroutable):
        assert policy.unroutable_grace
        assert known.published_at is None or starts - known.published_at <= policy.unroutable_grace
    assert isinstance(outcome, Failed | TimedOut | Asked | Unroutable)


@settings(max_examples=300)
@given(cases(REPEATABLE), st.sampled_from([-SECOND, -INSTANT, timedelta(), INSTANT]))
def test_a_retry_ends_exactly_where_its_time_its_age_or_its_grace_does(case, left):
    policy, outcome, known, u = case
    policy = attrs.evolve(policy, max_attempts=0, max_age=None, unroutable_grace=timedelta.max)
    delay = getattr(decide(policy, outcome, situation(known.attempt), u).settlement, "delay", None)
    if delay is None:
        return  # fatal or rejected
    late = left < timedelta()

    in_time = decide(policy, outcome, situation(known.attempt, expiration=NOW + delay + left), u)
    aged = {"published_at": NOW + delay - timedelta(days=400), "attempt": known.attempt}
    young = decide(attrs.evolve(policy, max_age=timedelta(days=400) + left), outcome, situation(**aged), u)
    graceful = decide(attrs.evolve(policy, unroutable_grace=timedelta(days=400) + left), outcome, situation(**aged), u)

    assert (in_time.reason is Reason.WOULD_EXPIRE) == late
    assert (young.reason is Reason.MAX_AGE) == late
    assert isinstance(graceful.settlement, Bury) == (late and isinstance(outcome, Unroutable))


@settings(max_examples=300)
@given(cases(st.builds(Failed, ERRORS, st.none() | SPANS) | st.builds(Asked, st.builds(Retry, st.none() | SPANS))))
def test_a_delay_is_within_the_backoff_or_at_least_what_was_asked_for(case):
    policy, outcome, known, u = case
    decision = decide(attrs.evolve(policy, max_attempts=0, max_age=None), outcome, situation(known.attempt), u)
    if not isinstance(decision.settlement, Retry):
        return

    delay = decision.settlement.delay
    asked = outcome.delay if isinstance(outcome, Failed) else outcome.settlement.delay
    assert timedelta() <= delay <= max(policy.backoff.cap, min(policy.max_hint, LONGEST_DELAY) * 1.1)
    if asked is not None:
        assert delay >= min(asked, policy.max_hint, LONGEST_DELAY)
    elif policy.classify is None:
        assert delay == policy.backoff.delay(known.attempt, u)


@settings(max_examples=200)
@given(cases(REPEATABLE), st.sampled_from([1, 2, 100, 10**9]))
def test_what_is_exhausted_at_one_attempt_is_exhausted_at_every_later_one(case, more):
    policy, outcome, known, u = case
    if decide(*case).reason is not Reason.ATTEMPTS_EXHAUSTED:
        return

    later = decide(policy, outcome, attrs.evolve(known, attempt=known.attempt + more), u)
    assert later.reason is Reason.ATTEMPTS_EXHAUSTED


@given(cases(st.builds(Failed, ERRORS, st.none() | SPANS)))
def test_calling_a_failure_fatal_never_gives_it_more_deliveries(case):
    policy, outcome, known, u = case

    mild, fatal = (decide(policy, attrs.evolve(outcome, fatal=word), known, u).settlement for word in (False, True))

    assert not isinstance(fatal, Retry | Release)
    assert isinstance(mild, Retry) or type(mild) is type(fatal) or isinstance(mild, Ack)


@given(cases(st.builds(Failed, ERRORS, st.none() | SPANS)))
def test_a_broken_classifier_decides_as_no_opinions_at_all_would(case):
    policy, outcome, known, u = case
    silent = attrs.evolve(policy, classify=None, fatal=(), reject=())

    decision = decide(attrs.evolve(policy, classify=broken), outcome, known, u)

    assert attrs.evolve(decision, alarm="") == decide(silent, outcome, known, u)
    assert decision.alarm


@given(cases())
def test_whatever_is_buried_has_a_word_for_it(case):
    decision = decide(*case)
    if not isinstance(decision.settlement, Bury):
        return

    if decision.reason is Reason.ASKED:
        assert decision.settlement.reason == case[1].settlement.reason
    else:
        assert decision.settlement.reason == decision.reason


@given(cases())
def test_the_decision_does_not_depend_on_what_messages_carry(case):
    policy, outcome, known, u = case
    other = Handled((Message(request_type="other", body={"payload": "secret"}),))

    assert "secret" not in repr(attrs.asdict(decide(policy, outcome, known, u)))
    assert attrs.evolve(decide(policy, other, known, u), settlement=Ack()) == decide(policy, Handled(), known, u)


FAILURES = st.sampled_from([Failed(BOOM), TimedOut(SECOND), Asked(Retry()), Asked(Retry(0)), Unroutable("x")])
SCRIPTS = st.lists(st.one_of(st.just("crash"), st.sampled_from([Cancelled(), GroupFailed()]), FAILURES), max_size=60)


@settings(max_examples=300)
@given(SCRIPTS, st.sampled_from([1, 2, 5, None]), st.sampled_from([0, 10]), CHANCES)
@example(["crash"] * 60, None, 10, 0.5)
@example([Cancelled()] * 60, 1, 10, 0.5)
def test_every_script_of_failures_ends_within_the_attempts_and_the_slack(script, max_attempts, slack, u):
    """A queue that does not count what is given back has no slack; one that does has some."""
    policy = Policy(max_attempts=max_attempts, unroutable_grace=3600)
    counted = failed = 0
    for outcome in script:
        counted += 1
        if guard(policy, attempt=counted, now=NOW, slack=slack) is not None:
            break
        assert counted <= policy.attempts_limit + slack
        if outcome == "crash":
            continue
        settlement = decide(policy, outcome, situation(counted), u).settlement
        if isinstance(settlement, Bury):
            break
        if isinstance(settlement, Release):
            counted -= slack == 0
        else:
            failed += 1
            assert failed < policy.attempts_limit
    else:
        given_back = sum(1 for outcome in script if isinstance(outcome, Cancelled | GroupFailed))
        assert len(script) - (0 if slack else given_back) <= policy.attempts_limit + slack


# What is said about an error


class Mute(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Silent(Exception):
    """An error whose text is no text."""

    def __str__(self):
        return None  # noqa: PLE0307 - that is what is wrong with it


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(ValueError("boom"), "ValueError: boom", id="its class and its words"),
        pytest.param(ValueError(), "ValueError", id="its class alone where there are no words"),
        pytest.param(ValueError(" \n\t "), "ValueError", id="or only white ones"),
        pytest.param(ValueError("one\n  two\tthree "), "ValueError: one two three", id="in one line"),
        pytest.param(KeyError("k"), "KeyError: 'k'", id="as Python says it"),
        pytest.param(Mute(), "Mute: (no text: its __str__ raises)", id="of an error that cannot say anything"),
        pytest.param(Silent(), "Silent: (no text: its __str__ raises)", id="of one that says nothing"),
        pytest.param(
            ValueError("a\x00b\x1b[1m\x9f"), "ValueError: a\ufffdb\ufffd[1m\ufffd", id="without control characters"
        ),
        pytest.param(
            ValueError("caf\udce9 \uffff"), "ValueError: caf\ufffd \ufffd", id="without what UTF-8 cannot carry"
        ),
        pytest.param(ValueError("naïve 🐙 \u200d"), "ValueError: naïve 🐙 \u200d", id="with every other character"),
        pytest.param(ExceptionGroup("g", [OSError()]), "ExceptionGroup: g (1 sub-exception)", id="of a group"),
    ],
)
def test_an_error_is_told_in_one_line(error, text):
    assert error_text(error) == text


@given(st.text())
def test_the_text_of_an_error_can_be_stored_by_any_queue(words):
    text = error_text(ValueError(words))

    assert text.encode()
    assert not any(ord(character) < 0x20 for character in text)


def test_a_long_story_is_cut():
    assert ERROR_TEXT_LIMIT == 2_000
    assert error_text(ValueError("x" * 10_000)) == "ValueError: " + "x" * (ERROR_TEXT_LIMIT - 12)
    assert error_text(ValueError("xyz"), limit=13) == "ValueError: x"


def test_the_name_of_an_unknown_type_is_shown_in_part():
    assert len(error_of(Unroutable("x" * 10_000))) < 120


@pytest.mark.parametrize(
    "outcome", [Handled(), Rejected(), Cancelled(), GroupFailed(), LostLease(), Asked(Ack()), Asked(Retry())], ids=str
)
def test_where_nothing_went_wrong_there_is_nothing_to_tell(outcome):
    assert error_of(outcome) == ""


def test_a_hung_thread_is_told():
    assert error_of(Abandoned(timedelta(seconds=30))) == (
        "the handler was still running 30 s after it should have ended"
    )


# Fitted to the queue

BEANSTALKD = Capabilities(granularity=SECOND, min_retry_delay=SECOND)
SQS = Capabilities(granularity=SECOND, max_retry_delay=timedelta(hours=12))


@pytest.mark.parametrize("settlement", [Ack(), Ack([Message()]), Bury("x"), Release()], ids=str)
@pytest.mark.parametrize("capabilities", [BEANSTALKD, SQS], ids=["beanstalkd", "sqs"])
def test_only_a_retry_is_fitted_to_the_queue(settlement, capabilities):
    assert plan(settlement, capabilities, held=timedelta(hours=1)) is settlement


@pytest.mark.parametrize(
    ("delay", "capabilities", "held", "planned"),
    [
        pytest.param(None, Capabilities(), 0, 0, id="no delay is at once"),
        pytest.param(5, Capabilities(), 0, 5, id="what fits is kept"),
        pytest.param(0.0005, Capabilities(), 0, 0.001, id="a part of a millisecond is rounded up"),
        pytest.param(4.000001, BEANSTALKD, 0, 5, id="a part of a second is rounded up"),
        pytest.param(5, BEANSTALKD, 0, 5, id="whole seconds are kept"),
        pytest.param(0, BEANSTALKD, 0, 1, id="a delay below the shortest is the shortest"),
        pytest.param(None, BEANSTALKD, 0, 1, id="so is none"),
        pytest.param(43_200, SQS, 0, 43_200, id="the longest delay fits a delivery just received"),
        pytest.param(43_201, SQS, 0, 43_200, id="a longer one is the longest"),
        pytest.param(43_200, SQS, 60, 43_140, id="the time it was held counts"),
        pytest.param(43_200, SQS, 0.25, 43_199, id="and is rounded so that the sum stays within"),
        pytest.param(5, SQS, 50_000, 0, id="where no room is left it is at once"),
        pytest.param(7, Capabilities(granularity=timedelta()), 0, 7, id="a queue without granularity takes any delay"),
        pytest.param(
            7,
            Capabilities(granularity=timedelta(), max_retry_delay=timedelta(seconds=5)),
            1.5,
            3.5,
            id="but has a longest one all the same",
        ),
    ],
)
def test_a_delay_is_rounded_up_and_clamped_to_what_the_queue_holds(delay, capabilities, held, planned):
    retry = Retry(delay, error="why")

    assert plan(retry, capabilities, held=timedelta(seconds=held)) == Retry(planned, error="why")


def test_a_retry_that_fits_is_not_made_anew():
    retry = Retry(5)

    assert plan(retry, BEANSTALKD) is retry


GRAINS = st.sampled_from([INSTANT, timedelta(milliseconds=1), SECOND, timedelta(seconds=7)])
HOLDS = st.one_of(
    st.sampled_from([timedelta(), INSTANT, SECOND, timedelta(hours=12)]), st.timedeltas(timedelta(), timedelta(days=30))
)


@settings(max_examples=300)
@given(st.none() | HOLDS, GRAINS, st.none() | HOLDS, HOLDS, HOLDS)
def test_a_planned_delay_never_falls_short_unless_the_queue_cannot_hold_it(delay, grain, longest, shortest, held):
    capabilities = Capabilities(granularity=grain, max_retry_delay=longest, min_retry_delay=min(shortest, SECOND))

    planned = plan(Retry(delay), capabilities, held=held).delay

    assert timedelta() <= planned
    if longest is not None and planned + held > longest:
        assert planned == timedelta()
        assert held > longest
    wanted = max(Retry(delay).delay or timedelta(), capabilities.min_retry_delay)
    if planned < wanted:
        assert longest is not None
        assert planned + held + grain > longest
    assert planned < wanted + grain
    assert planned % grain == timedelta()


@given(st.one_of(SPANS, st.just(timedelta.max)), GRAINS)
@example(timedelta.max, SECOND)
def test_rounding_goes_to_the_nearest_multiple_on_its_side(span, grain):
    down = round_down(span, grain)
    assert down % grain == timedelta()
    assert timedelta() <= span - down < grain

    up = round_up(span, grain)
    if timedelta.max - grain > span:
        assert up % grain == timedelta()
        assert timedelta() <= up - span < grain
    else:
        assert up >= span


def test_rounding_to_nothing_changes_nothing():
    assert round_up(INSTANT, timedelta()) == round_down(INSTANT, timedelta()) == INSTANT
