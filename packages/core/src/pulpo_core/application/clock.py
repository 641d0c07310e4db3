"""The real clock and the real dice."""

from __future__ import annotations

import asyncio
import math
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


class SystemJitter:
    """Chance from the operating system, so that forked processes do not share it."""

    def __init__(self) -> None:
        self._source = random.SystemRandom()

    def random(self) -> float:
        return self._source.random()

    def getrandbits(self, bits: int) -> int:
        return self._source.getrandbits(bits)
