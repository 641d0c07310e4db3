"""What beanstalkd answers, as the errors of the port: one table.

Two answers say less than they seem to. When its log cannot be written, beanstalkd answers
INTERNAL_ERROR to a bury and OUT_OF_MEMORY to a delayed release *after* the job has left the list of
reserved jobs: the job is then nobody's until a restart. So both are in doubt, never "still ours".
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import greenstalk

from pulpo_core import AdapterError, LeaseLost, MessageNotFound, MessageTooLarge, Unavailable

from .connection import Lost


class Doing(StrEnum):
    """What was asked for: the same answer means different things to different requests."""

    RECEIVE = "receive"
    PUBLISH = "publish"
    SETTLE = "settle"
    EXTEND = "extend"
    LOOK = "look"
    REPAIR = "repair"


#: After these, jobs in hand on the connection that heard them may not be ours any more: it is ended.
BETRAYALS: Final[tuple[type[Exception], ...]] = (greenstalk.InternalError, greenstalk.OutOfMemoryError)

_Row = tuple[type[AdapterError], str, bool, bool]  # class, text, temporary, in doubt

_GONE: Final[_Row] = (LeaseLost, "the job is not reserved by this connection any more", False, False)
_ABSENT: Final[_Row] = (MessageNotFound, "there is no such job", False, False)

#: (what was asked, what was answered) → error. Anything that is not here is a misunderstanding.
TABLE: Final[Mapping[tuple[Doing, type[Exception]], _Row]] = {
    (Doing.PUBLISH, greenstalk.JobTooBigError): (
        MessageTooLarge,
        "the job is over its -z limit",
        False,
        False,
    ),
    (Doing.PUBLISH, greenstalk.DrainingError): (Unavailable, "beanstalkd is draining and takes no jobs", True, False),
    (Doing.PUBLISH, greenstalk.OutOfMemoryError): (Unavailable, "beanstalkd has no room for the job", True, False),
    (Doing.PUBLISH, greenstalk.InternalError): (Unavailable, "beanstalkd failed to store the job", True, True),
    (Doing.PUBLISH, greenstalk.BuriedError): (
        Unavailable,
        "beanstalkd stored the job but buried it at once, for want of memory or room in its log",
        True,
        True,
    ),
    (Doing.SETTLE, greenstalk.NotFoundError): _GONE,
    (Doing.SETTLE, greenstalk.InternalError): (Unavailable, "beanstalkd failed on the job", True, True),
    (Doing.SETTLE, greenstalk.OutOfMemoryError): (Unavailable, "beanstalkd has no room for the job", True, True),
    (Doing.SETTLE, greenstalk.BuriedError): (Unavailable, "beanstalkd buried the job for want of memory", True, True),
    (Doing.EXTEND, greenstalk.NotFoundError): _GONE,
    (Doing.EXTEND, greenstalk.InternalError): (Unavailable, "beanstalkd failed on the job", True, False),
    (Doing.RECEIVE, greenstalk.OutOfMemoryError): (Unavailable, "beanstalkd is out of memory", True, False),
    (Doing.RECEIVE, greenstalk.InternalError): (Unavailable, "beanstalkd failed to hand out a job", True, False),
    (Doing.LOOK, greenstalk.NotFoundError): _ABSENT,
    (Doing.LOOK, greenstalk.InternalError): (Unavailable, "beanstalkd failed to tell", True, False),
    (Doing.LOOK, greenstalk.OutOfMemoryError): (Unavailable, "beanstalkd is out of memory", True, False),
    (Doing.REPAIR, greenstalk.NotFoundError): _ABSENT,
    (Doing.REPAIR, greenstalk.InternalError): (Unavailable, "beanstalkd failed on the job", True, True),
    (Doing.REPAIR, greenstalk.OutOfMemoryError): (Unavailable, "beanstalkd is out of memory", True, True),
}

#: To lose the answer to one of these leaves a doubt: it changes what is stored.
_CHANGES: Final = frozenset({Doing.PUBLISH, Doing.SETTLE, Doing.REPAIR})


def error_of(answer: Any, doing: Doing) -> AdapterError | None:
    """The error that *answer* means to what was asked; `None` when it is not an error."""
    if not isinstance(answer, Exception):
        return None
    if isinstance(answer, AdapterError):  # it was never asked
        return answer
    error = _lost(answer, doing) if isinstance(answer, Lost) else _answered(answer, doing)
    error.__cause__ = answer
    return error


def _lost(answer: Lost, doing: Doing) -> AdapterError:
    if doing is Doing.EXTEND or (doing is Doing.SETTLE and not answer.sent):
        return LeaseLost(f"{answer}; its jobs went back to the queue")
    return Unavailable(str(answer), in_doubt=answer.sent and doing in _CHANGES)


def _answered(answer: Exception, doing: Doing) -> AdapterError:
    row = TABLE.get((doing, type(answer)))
    if row is None:
        return AdapterError(f"beanstalkd did not understand the request to {doing}: {type(answer).__name__}")
    kind, text, temporary, in_doubt = row
    return kind(text, temporary=temporary, in_doubt=in_doubt)


def checked(answers: list[Any], doing: Doing) -> list[Any]:
    """*answers*, if none of them is an error.

    Raises:
        AdapterError: the first that is.
    """
    for answer in answers:
        error = error_of(answer, doing)
        if error is not None:
            raise error
    return answers
