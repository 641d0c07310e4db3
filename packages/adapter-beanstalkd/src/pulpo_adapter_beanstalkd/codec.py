"""Envelopes as jobs and jobs as envelopes: pure, with every limit named.

A job is a body and four numbers (priority, delay, time to run, id). There is no room for headers,
so whatever else a message carries is in its body, where translators put it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pulpo_core import DEFAULT_PRIORITY, AdapterError, Envelope, State

#: beanstalkd keeps delays and times to run in 32 bits of whole seconds.
MAX_SECONDS: Final = 2**32 - 1

#: beanstalkd refuses longer names of tubes, and other characters in them.
TUBE_LIMIT: Final = 200
_TUBE: Final = re.compile(r"[A-Za-z0-9+/;.$_()][-A-Za-z0-9+/;.$_()]*")

#: Where the records of buried jobs are: a tube of its own beside each tube.
RECORDS_SUFFIX: Final = ".buried"

#: A delivery is told to end this much before beanstalkd ends it, for the way there and a late timer;
#: of very short times to run it is a quarter.
MARGIN: Final = timedelta(seconds=1)


def check_tube(name: str) -> str:
    """*name*, if a tube and the tube of its records can have it.

    Raises:
        ValueError: they cannot.
    """
    longest = TUBE_LIMIT - len(RECORDS_SUFFIX)
    if not _TUBE.fullmatch(name) or len(name) > longest:
        raise ValueError(
            f"{name!r:.80} is not a tube; expected 1 to {longest} letters, digits and -+/;.$_(), not beginning with -"
        )
    return name


def records_tube(tube: str) -> str:
    """The name of the tube with the records of what is buried in *tube*."""
    return tube + RECORDS_SUFFIX


def whole_seconds(span: timedelta) -> int:
    """*span* in whole seconds, rounded up: never earlier than asked.

    Raises:
        AdapterError: beanstalkd cannot hold so long a span.
    """
    seconds = max(0, math.ceil(span / timedelta(seconds=1)))
    if seconds > MAX_SECONDS:
        raise AdapterError(f"beanstalkd cannot hold {seconds} s; expected at most {MAX_SECONDS} s")
    return seconds


def delay_of(envelope: Envelope, now: datetime) -> int:
    """The delay with which to put *envelope*, in seconds.

    Raises:
        AdapterError: it is longer than beanstalkd can hold.
    """
    return whole_seconds(envelope.not_before - now) if envelope.not_before else 0


def told_lease(ttr: float) -> float:
    """For how long a job with *ttr* seconds to run is told to be ours, in seconds."""
    return ttr - min(MARGIN.total_seconds(), ttr / 4)


def envelope_of(
    job_id: int, body: bytes, *, tube: str, now: Callable[[], datetime], stats: Mapping[str, Any] | None
) -> Envelope:
    """The envelope of a job; priority and age are known only with its *stats*."""
    if stats is None:
        return Envelope(body=body, uid=f"beanstalkd:{job_id}", metadata={"tube": tube})
    return Envelope(
        body=body,
        uid=f"beanstalkd:{job_id}",
        priority=stats.get("pri", DEFAULT_PRIORITY),
        published_at=now() - timedelta(seconds=stats["age"] + 1),  # never too late: ages are cut to whole seconds
        metadata=stats,
    )


STATES: Final[Mapping[str, State]] = {
    "ready": State.READY,
    "delayed": State.DELAYED,
    "reserved": State.RESERVED,
    "buried": State.BURIED,
}


def job_id_of(text: str) -> int | None:
    """The number of the job whose id is *text*; `None` when no job can have it."""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,18}", text) else None
