"""What is done when a worker has ended: a pure function of how it ended, and of how it went before."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Final

import attrs

from pulpo_cli import errors
from pulpo_core import Backoff, JitterMode

#: A worker that ended sooner than this after its start has not got over what it stumbled on.
QUICK: Final = timedelta(seconds=10)

#: After so many quick ends in a row of one worker nobody waits for a better one. As many as a message has attempts,
#: so that one which kills its worker every time is buried before.
GIVE_UP_AFTER: Final = 10

_BACKOFF: Final = Backoff(base=timedelta(milliseconds=250), cap=timedelta(seconds=5), jitter=JitterMode.NONE)

#: Statuses that say that the deployment is wrong: another process would fare no better.
_WRONG: Final = frozenset({errors.USAGE, errors.NO_APPLICATION, errors.UNSUPPORTED})


@attrs.frozen(kw_only=True)
class Ending:
    """How a worker ended.

    Attributes:
        status: its exit status; negative for the signal that killed it.
        age: how long it had been there.
    """

    status: int
    age: timedelta

    def __str__(self) -> str:
        if self.status >= 0:
            return f"ended with status {self.status}"
        try:
            return f"was killed by {signal.Signals(-self.status).name}"
        except ValueError:
            return f"was killed by signal {-self.status}"


@attrs.frozen(kw_only=True)
class Past:
    """What is known about the place of a worker.

    Attributes:
        quick: quick ends in a row.
    """

    quick: int = 0

    def after(self, ending: Ending) -> Past:
        """The past once this has happened, too."""
        return Past(quick=self.quick + 1 if ending.age < QUICK else 1)


@attrs.frozen
class Done:
    """There is to be no other worker in its place."""


@attrs.frozen
class Again:
    """Start another one *after* a while."""

    after: timedelta


@attrs.frozen
class StopAll:
    """Stop the others, too, and end with *status*."""

    status: int
    gave_up: bool = False


Verdict = Done | Again | StopAll


def verdict(ending: Ending, past: Past, *, proven: bool, stopping: bool) -> Verdict:
    """What is to be done.

    Args:
        past: of its place, this ending included.
        proven: this worker or another one has had its queues open, so the broker has been there.
        stopping: all are to end.
    """
    if stopping or ending.status == errors.DONE:
        return Done()
    if ending.status in _WRONG or (ending.status == errors.UNREACHABLE and not proven):
        return StopAll(ending.status)
    if past.quick >= GIVE_UP_AFTER:
        return StopAll(ending.status if ending.status > 0 else errors.FAILED, gave_up=True)
    return Again(_BACKOFF.delay(past.quick, 0))
