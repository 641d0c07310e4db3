"""How often somebody has asked this process to stop."""

from __future__ import annotations

import math
import signal
from typing import ClassVar, Final

from pulpo_core.ports.clock import Clock

#: Seconds. Some tell a process and then its whole group, as `timeout` does; nobody presses keys so fast.
SAME: Final = 0.1


class StopSignals:
    """Counts SIGINT and SIGTERM. What comes within a tenth of a second of the last that counted is the same one.

    Attributes:
        count: how many there were.
    """

    NUMBERS: ClassVar = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        self._clock = clock
        self._last = -math.inf

    def note(self) -> bool:
        """One has come; whether it counts."""
        now = self._clock.monotonic()
        if now - self._last < SAME:
            return False
        self.count, self._last = self.count + 1, now
        return True
