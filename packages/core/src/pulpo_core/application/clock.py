"""The real clock and the real dice."""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from datetime import UTC, datetime


class SystemClock:
    """Time as the operating system tells it; see `ports.clock.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this is the port's one real implementation

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0))

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        if event.is_set():
            return True
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await event.wait()
        except TimeoutError:
            return False
        return True


#: Seeded by the operating system, and anew in a forked child, so that no two processes share it.
_SOURCE = random.Random()  # spreads delays and tells messages apart; keeps no secret

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_SOURCE.seed)


class SystemJitter:
    """Chance; see `ports.clock.Jitter`."""

    random = staticmethod(_SOURCE.random)
    getrandbits = staticmethod(_SOURCE.getrandbits)
