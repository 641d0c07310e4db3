"""What a handler returned or raised → outcome: one pure reading for every form of handler."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from pulpo_core.domain.backoff import read_hint
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import Asked, Failed, Handled, Outcome, Rejected
from pulpo_core.domain.settlement import SETTLEMENTS, Ack, Bury, FollowUp, Retry
from pulpo_core.domain.signals import Signal
from pulpo_core.domain.wording import error_of

HANDLED: Final = Handled()
_AGAIN: Final = Asked(Retry())
_FLAGS: Final = ("isSuccess", "isFatal", "isTransient")  # how pulpo-messaging's result says what it is


def outcome_of_result(result: Any, *, falsy_retries: bool = False) -> Outcome:
    """The outcome of a handler that returned *result*.

    Anything but `False` acknowledges, `None` included, since a forgotten ``return`` must not make
    a message come back for ever. With *falsy_retries* (loafer 2's rule) every falsy value retries.
    """
    if result is None:
        return _AGAIN if falsy_retries else HANDLED
    if result is False:
        return _AGAIN
    if isinstance(result, SETTLEMENTS):
        return Asked(result)
    if isinstance(result, (Message, FollowUp)):
        return Handled((result,))
    if all(hasattr(result, flag) for flag in _FLAGS):
        return _outcome_of_flags(result)
    if isinstance(result, (list, tuple)) and any(isinstance(each, (Message, FollowUp)) for each in result):
        return _outcome_of_list(result)
    if _is_unclear(result):
        return Failed(HandlerError(f"the handler returned {_kind_of(result)}, of which nothing can be made"))
    return _AGAIN if falsy_retries and not result else HANDLED


def _outcome_of_list(results: Sequence[Any]) -> Outcome:
    for each in results:
        if not isinstance(each, (Message, FollowUp)):
            return Failed(HandlerError(f"a list of follow-ups holds messages alone, not {_kind_of(each)}"))
    return Handled(tuple(results))


def _is_unclear(result: Any) -> bool:
    """What looks like success and is none: work that was never begun, and `Retry` without its brackets."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        return True
    return isinstance(result, type) and issubclass(result, (*SETTLEMENTS, BaseException))


def _kind_of(result: Any) -> str:
    return f"the class {result.__name__}" if isinstance(result, type) else f"a value of type {type(result).__name__}"


def _outcome_of_flags(result: Any) -> Outcome:
    """pulpo-messaging's ``RequestResult``: exactly one of three flags is set."""
    said = [flag for flag in _FLAGS if getattr(result, flag) is True]
    error = str(getattr(result, "error", None) or "")
    match said:
        case ["isSuccess"]:
            return _with_responses(result)
        case ["isFatal"]:
            return Asked(Bury("fatal", error))
        case ["isTransient"]:
            return Asked(Retry(error=error))
        case _:
            flags = ", ".join(said) or "none of them"
            return Failed(HandlerError(f"a result must set one of {', '.join(_FLAGS)}; this one sets {flags}"))


def _with_responses(result: Any) -> Outcome:
    responses = tuple(getattr(result, "response_messages", None) or ())
    if all(isinstance(each, (Message, FollowUp)) for each in responses):
        return Handled(responses)
    return Failed(HandlerError("the response messages of a result must be Message objects"))


def outcome_of_error(error: BaseException) -> Outcome:
    """The outcome of a handler that raised *error*."""
    if isinstance(error, Signal):
        settlement = error.settlement
        return Rejected() if settlement is None else Asked(settlement)
    return Failed(error, delay=_retry_after(error))


def _retry_after(error: BaseException) -> timedelta | None:
    """The least delay an exception carries, as those of HTTP clients do; what is no delay is no hint."""
    with suppress(Exception):  # it may be a property that raises anything, or something else by the same name
        return read_hint(getattr(error, "retry_after", None))
    return None


def outcome_of_error_handler(answer: Any, before: Outcome) -> Outcome:
    """The outcome when the error handler answered *answer*: truthy acknowledges, falsy changes nothing."""
    if isinstance(answer, SETTLEMENTS):
        return Asked(answer, error_of(before))
    return Asked(Ack(), error_of(before)) if answer else before
