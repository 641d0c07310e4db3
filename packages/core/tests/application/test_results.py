"""What a handler returned or raised → outcome."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from pulpo_core import (
    Ack,
    Bury,
    BuryMessage,
    DeleteMessage,
    FollowUp,
    KeepMessage,
    Message,
    RejectMessage,
    Release,
    Retry,
    RetryMessage,
)
from pulpo_core.application.results import outcome_of_error, outcome_of_error_handler, outcome_of_result
from pulpo_core.domain.outcome import Asked, Failed, Handled, Rejected, Untranslatable

MESSAGE = Message(request_type="next")
ELSEWHERE = FollowUp(MESSAGE, "memory://other")

SUCCESSES = [None, True, 0, 0.0, "", "text", [], (), {}, set(), 5, object(), b""]


@pytest.mark.parametrize("result", SUCCESSES)
def test_anything_but_false_is_success(result):
    assert outcome_of_result(result) == Handled()


def test_false_asks_for_a_retry():
    assert outcome_of_result(False) == Asked(Retry())


@pytest.mark.parametrize("result", SUCCESSES)
def test_a_route_may_let_everything_falsy_ask_for_a_retry(result):
    assert outcome_of_result(result, falsy_retries=True) == (Handled() if result else Asked(Retry()))


@pytest.mark.parametrize("settlement", [Ack(), Ack([MESSAGE]), Retry(), Retry(5), Bury("so"), Release()])
def test_a_settlement_is_what_was_asked_for(settlement):
    assert outcome_of_result(settlement) == Asked(settlement)


@pytest.mark.parametrize("settlement", [Retry(0), Bury("")])
def test_a_settlement_counts_where_everything_falsy_retries_too(settlement):
    assert outcome_of_result(settlement, falsy_retries=True) == Asked(settlement)


@pytest.mark.parametrize(
    ("result", "follow_ups"),
    [
        (MESSAGE, (MESSAGE,)),
        (ELSEWHERE, (ELSEWHERE,)),
        ([MESSAGE], (MESSAGE,)),
        ((MESSAGE, ELSEWHERE), (MESSAGE, ELSEWHERE)),
    ],
)
def test_messages_are_follow_ups_of_a_success(result, follow_ups):
    assert outcome_of_result(result) == Handled(follow_ups)


@pytest.mark.parametrize("result", [[MESSAGE, None], [1, MESSAGE], (ELSEWHERE, "x"), [MESSAGE, Retry()]])
def test_a_list_that_holds_more_than_messages_is_an_error_since_some_would_be_lost(result):
    outcome = outcome_of_result(result)

    assert isinstance(outcome, Failed)
    assert "holds messages alone" in str(outcome.error)


def a_generator():
    yield MESSAGE


async def an_async_generator():
    yield MESSAGE


@pytest.mark.parametrize("result", [a_generator(), an_async_generator(), (each for each in [MESSAGE])])
def test_a_generator_is_an_error_since_nothing_of_it_ran(result):
    assert isinstance(outcome_of_result(result), Failed)


@pytest.mark.parametrize("result", [Ack, Retry, Bury, Release, RetryMessage, ValueError])
def test_a_class_where_an_instance_was_meant_is_an_error_and_no_success(result):
    outcome = outcome_of_result(result)

    assert isinstance(outcome, Failed)
    assert result.__name__ in str(outcome.error)


# pulpo-messaging's results


def result_of(*said: str, **fields):
    flags = dict.fromkeys(("isSuccess", "isFatal", "isTransient"), False)
    return SimpleNamespace(**{**flags, **dict.fromkeys(said, True), **fields})


def test_a_success_acknowledges_and_its_response_messages_are_follow_ups():
    assert outcome_of_result(result_of("isSuccess")) == Handled()
    assert outcome_of_result(result_of("isSuccess", response_messages=None)) == Handled()
    assert outcome_of_result(result_of("isSuccess", response_messages=[MESSAGE])) == Handled((MESSAGE,))


def test_a_fatal_result_buries_with_its_text_and_a_transient_one_retries():
    assert outcome_of_result(result_of("isFatal", error="no such user")) == Asked(Bury("fatal", "no such user"))
    assert outcome_of_result(result_of("isTransient", error="later")) == Asked(Retry(error="later"))
    assert outcome_of_result(result_of("isFatal", error=None)) == Asked(Bury("fatal"))


@pytest.mark.parametrize("said", [(), ("isSuccess", "isFatal"), ("isFatal", "isTransient")])
def test_an_ambiguous_result_is_an_error_and_never_a_success(said):
    outcome = outcome_of_result(result_of(*said))

    assert isinstance(outcome, Failed)
    assert "must set one of" in str(outcome.error)


def test_response_messages_that_are_none_are_an_error():
    assert isinstance(outcome_of_result(result_of("isSuccess", response_messages=["text"])), Failed)


def test_a_result_that_is_falsy_is_read_by_its_flags_all_the_same():
    class Falsy(SimpleNamespace):
        def __bool__(self):
            return False

    flags = {"isSuccess": True, "isFatal": False, "isTransient": False}
    assert outcome_of_result(Falsy(**flags), falsy_retries=True) == Handled()


# Exceptions


def test_signals_say_what_they_want():
    assert outcome_of_error(RetryMessage("later", delay=5)) == Asked(Retry(5, error="later"))
    assert outcome_of_error(BuryMessage("so")) == Asked(Bury("so"))
    assert outcome_of_error(KeepMessage()) == Asked(Retry())
    assert outcome_of_error(RejectMessage()) == outcome_of_error(DeleteMessage()) == Rejected()


def test_any_other_exception_is_a_failure():
    error = ValueError("broken")
    outcome = outcome_of_error(error)

    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.delay, outcome.fatal) == (error, None, False)


@pytest.mark.parametrize(
    ("hint", "delay"),
    [
        (5, timedelta(seconds=5)),
        (0.5, timedelta(seconds=0.5)),
        (timedelta(minutes=1), timedelta(minutes=1)),
        (0, timedelta()),
        (None, None),
        ("5", None),
        (True, None),
        (-1, None),
        (float("nan"), None),
    ],
)
def test_an_exception_may_carry_the_least_delay(hint, delay):
    error = ValueError()
    error.retry_after = hint

    assert outcome_of_error(error).delay == delay


@pytest.mark.parametrize("hint", [float("inf"), 1e300, timedelta.max])
def test_a_delay_without_end_is_a_very_long_one(hint):
    error = ValueError()
    error.retry_after = hint

    assert outcome_of_error(error).delay > timedelta(days=365)


# Error handlers


@pytest.mark.parametrize("answer", [True, 1, "yes", [1]])
def test_a_truthy_answer_acknowledges_and_keeps_the_error(answer):
    assert outcome_of_error_handler(answer, Failed(ValueError("broken"))) == Asked(Ack(), "ValueError: broken")


@pytest.mark.parametrize("answer", [False, None, 0, "", []])
def test_a_falsy_answer_changes_nothing(answer):
    before = Untranslatable(ValueError())

    assert outcome_of_error_handler(answer, before) is before


@pytest.mark.parametrize("settlement", [Ack(), Retry(5), Bury("so"), Release()])
def test_a_settlement_is_honoured(settlement):
    assert outcome_of_error_handler(settlement, Failed(ValueError("broken"))).settlement == settlement
