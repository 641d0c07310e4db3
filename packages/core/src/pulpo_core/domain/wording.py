"""What went wrong, told in one line that a queue can store and a terminal can show; never the body of a message."""

from __future__ import annotations

import re
from typing import Final

from .outcome import Abandoned, Asked, Exhausted, Expired, Failed, Outcome, TimedOut, Unroutable, Untranslatable
from .settlement import Bury, Retry

ERROR_TEXT_LIMIT: Final = 2_000  # characters of an error that travel with a buried message

#: Characters that UTF-8, XML or a terminal cannot carry: an error must not keep its message from being buried.
_UNSPEAKABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def error_text(error: BaseException, *, limit: int = ERROR_TEXT_LIMIT) -> str:
    """One line about *error*, at most *limit* characters; never raises, whatever the exception does."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the user's own exceptions may raise anything here
        text = "(no text: its __str__ raises)"
    line = _UNSPEAKABLE.sub("\ufffd", " ".join(text.split()))
    name = type(error).__qualname__
    return (f"{name}: {line}" if line else name)[:limit]


def error_of(outcome: Outcome) -> str:
    """What went wrong, as one line; empty when nothing did."""
    match outcome:
        case Failed(error=error) | Untranslatable(error=error):
            return error_text(error)
        case Asked(settlement=Retry(error=text) | Bury(error=text)) if text:
            return text
        case Asked(error=text):
            return text
        case TimedOut(limit=limit):
            return f"the handler ran longer than {limit.total_seconds():g} s"
        case Unroutable(request_type=None):
            return "no handler for messages without a request type"
        case Unroutable(request_type=request_type):
            return f"no handler for request type {request_type!r:.80}"
        case Expired(expiration=moment):
            return f"expired at {moment.isoformat()}"
        case Exhausted(attempt=attempt, lost=lost):
            cause = f"{lost} before it ended without an outcome" if lost else "its attempts were used up before"
            return f"delivery {attempt} was not run: {cause}"
        case Abandoned(after=after):
            return f"the handler was still running {after.total_seconds():g} s after it should have ended"
        case _:
            return ""
