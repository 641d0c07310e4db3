"""How many jobs to ask for at once, and when to look who else asks: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs

#: Batches while a backlog is worked off: small at first, since what is asked for in vain costs time too.
FIRST_BATCH: Final = 4
LARGEST_BATCH: Final = 256

#: Jobs that came within so many round trips, and at least so many seconds, were there already.
AT_ONCE: Final = 2.0
AT_ONCE_SECONDS: Final = 0.0005

#: So many of these in a row mean a backlog.
IN_A_ROW: Final = 2

#: Seconds between looks at who else takes from the tube, and for how long one such look is believed.
WATCH_EVERY: Final = 1.0
SHARED_FOR: Final = 60.0


@attrs.define(slots=True)
class Pace:
    """How many jobs to ask for without waiting.

    Attributes:
        batch: so many; 0 while the tube is dry, and a job must be waited for.
    """

    batch: int = 0
    _round_trip: float = math.inf
    _at_once: int = 0

    def answered(self, seconds: float) -> None:
        """A question that beanstalkd answers at once took so long."""
        self._round_trip = min(self._round_trip, seconds)

    def caught(self, waited: float) -> None:
        """A job was waited for, and came after so many seconds."""
        soon = max(AT_ONCE * self._round_trip, AT_ONCE_SECONDS) if math.isfinite(self._round_trip) else AT_ONCE_SECONDS
        self._at_once = self._at_once + 1 if waited <= soon else 0
        self.batch = FIRST_BATCH if self._at_once >= IN_A_ROW else 0

    def took(self, *, asked: int, got: int) -> None:
        """*asked* jobs were asked for at once, and *got* were there."""
        full = got == asked
        self.batch = min(max(asked * 4, FIRST_BATCH), LARGEST_BATCH) if full else 0
        self._at_once = IN_A_ROW - 1 if got else 0


@attrs.define(slots=True)
class Company:
    """Whether anybody else takes jobs from the tube, which makes ids alone a poor guide to what is new."""

    _next_look: float = -math.inf
    _shared_until: float = -math.inf

    def look_is_due(self, now: float) -> bool:
        """Whether to ask for the statistics of the tube."""
        return now >= self._next_look

    def postpone_look(self, now: float) -> None:
        """A connection of ours was closed; until beanstalkd knows, it would be taken for somebody else's."""
        self._next_look = now + WATCH_EVERY

    def looked(self, now: float, stats: Mapping[str, Any], *, ours: int) -> None:
        """Take note of the statistics of the tube, from which so many connections of ours take jobs."""
        self._next_look = now + WATCH_EVERY
        if stats["current-watching"] > ours:
            self._shared_until = now + SHARED_FOR

    def is_shared(self, now: float) -> bool:
        """Whether somebody else takes jobs, did a moment ago, or may do so since nobody has looked."""
        return now < self._shared_until or now >= self._next_look
