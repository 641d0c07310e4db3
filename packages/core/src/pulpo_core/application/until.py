"""When a run ends by itself."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Any

import attrs

from pulpo_core.domain.backoff import seconds
from pulpo_core.domain.errors import ConfigurationError


def _from_one(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigurationError(f"{attribute.name}: expected a whole number from 1, not {value!r:.40}")


@attrs.frozen(kw_only=True, slots=True)
class Until:
    """When to stop receiving; what is in hand then is handled all the same. Never, unless something is given.

    Attributes:
        once: after one receive of each route.
        burst: once the queue has nothing ready and nothing is in hand; what is delayed stays there.
        max_messages: after so many messages, over all routes.
        max_empty_polls: after so many receives in a row that brought nothing; any message starts
            the count anew. There is a pause between two of them, and none after the last.
        poll_interval: that pause.
    """

    once: bool = False
    burst: bool = False
    max_messages: int | None = attrs.field(default=None, validator=_from_one)
    max_empty_polls: int | None = attrs.field(default=None, validator=_from_one)
    poll_interval: timedelta = attrs.field(default=timedelta(seconds=5), converter=seconds)

    @property
    def polls(self) -> bool:
        """Whether receives ask once instead of waiting for a message."""
        return self.once or self.burst or self.max_empty_polls is not None


class Quota:
    """How many messages may still be received, over all routes; `None` for any number."""

    def __init__(self, limit: int | None = None) -> None:
        self._left = math.inf if limit is None else limit
        self._claimed = 0
        self._changed = asyncio.Event()

    async def claim(self, wanted: int) -> int:
        """Up to *wanted*, to be answered by `used`; 0 when the limit is reached for good."""
        while self._left <= self._claimed:
            if not self._claimed:
                return 0
            self._changed.clear()
            await self._changed.wait()
        claimed = int(min(wanted, self._left - self._claimed))
        self._claimed += claimed
        return claimed

    def used(self, count: int, *, of: int) -> None:
        """*count* of a claim were received, the rest may be claimed by others."""
        self._claimed -= of
        self._left -= count
        self._changed.set()
