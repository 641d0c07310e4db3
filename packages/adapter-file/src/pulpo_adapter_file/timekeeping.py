"""Moments as the file keeps them, and what to do when the clock on the wall is set.

The file keeps wall-clock time in microseconds since 1970: it is the only time that all processes
and all runs share. A lease and the delay of a retry are spans, though, and must not end early or
late because somebody sets the clock. So a row keeps when its span began (`since`) beside when it
ends (`due`), and `Timekeeper` notices when wall time and monotonic time disagree: then the spans
that were running are moved with the clock. A moment that a publisher named has no `since` and is
never moved: at ten o'clock is at ten o'clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from pulpo_core import Clock

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SECOND: Final = 1_000_000
_MICROSECOND: Final = timedelta(microseconds=1)

#: Wall time that runs ahead or behind by less than this is a clock being slewed, not set.
TOLERANCE: Final = 2 * SECOND

#: What "until somebody says otherwise" is in the file: later than any moment that a calendar holds.
FOREVER: Final = 2**62


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // _MICROSECOND


def span(duration: timedelta) -> int:
    """Microseconds of *duration*."""
    return duration // _MICROSECOND


def moment_of(value: int) -> datetime:
    """The moment *value* microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)


def optional_micros(moment: datetime | None) -> int | None:
    """As `micros`; `None` stays."""
    return None if moment is None else micros(moment)


def optional_moment(value: int | None) -> datetime | None:
    """As `moment_of`; `None` stays."""
    return None if value is None else moment_of(value)


@attrs.frozen(slots=True)
class Now:
    """One reading of the clock: on the wall, in microseconds, and monotonic, in seconds."""

    wall: int
    monotonic: float


@attrs.frozen(slots=True)
class Step:
    """The wall clock was set.

    Attributes:
        before: what it said at the last reading before.
        shift: by how many microseconds it was moved; below 0 for back.
    """

    before: int
    shift: int


class Timekeeper:
    """Reads a clock, and remembers a step until it was dealt with. Used by one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: Now | None = None
        self.step: Step | None = None

    def read(self) -> Now:
        """What time it is; `step` afterwards says whether the clock was set since the last `forget`."""
        now = Now(micros(self._clock.now()), self._clock.monotonic())
        last, self._last = self._last, now
        if last is not None:
            shift = (now.wall - last.wall) - round((now.monotonic - last.monotonic) * SECOND)
            if abs(shift) > TOLERANCE:
                self._note(Step(last.wall, shift))
        return now

    def _note(self, step: Step) -> None:
        owed = self.step
        self.step = step if owed is None else Step(owed.before, owed.shift + step.shift)

    def forget(self) -> None:
        """The step was dealt with."""
        self.step = None
