"""When a run ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core.domain.fields import as_span, is_span, whole_from

#: A route holds its part of a limit that others wait for no longer than this while it brings nothing.
_TURN: Final = timedelta(seconds=1)


_at_least_one: Final = attrs.validators.optional(whole_from(1))


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
    max_messages: int | None = attrs.field(default=None, validator=_at_least_one)
    max_empty_polls: int | None = attrs.field(default=None, validator=_at_least_one)
    poll_interval: timedelta = attrs.field(default=timedelta(seconds=5), converter=as_span, validator=is_span)

    @property
    def polls(self) -> bool:
        """Whether receives ask once instead of waiting for a message."""
        return self.once or self.burst or self.max_empty_polls is not None


class Quota:
    """How many messages may still be received, over all routes.

    A route claims before it receives, so that never more are received than allowed; what a receive
    did not bring goes back, and goes to those who wait for it, in turn.

    Args:
        limit: `None` for any number.
        routes: how many share it; each claims no more than its part of what is left.
    """

    def __init__(self, limit: int | None = None, *, routes: int = 1) -> None:
        self._left = limit
        self._claimed = 0
        self._routes = routes
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._called = False

    def patience(self, wait: timedelta) -> timedelta:
        """How long a receive may wait for its first message, while others may be waiting for its claim."""
        return wait if self._left is None or self._routes == 1 else min(wait, _TURN)

    async def claim(self, wanted: int) -> int:
        """Up to *wanted*, to be answered by `used`; 0 when the limit is reached for good."""
        if self._left is None:
            return wanted
        if self._waiting or self._called:
            await self._turn()
        while self._left and self._left == self._claimed:
            await self._turn()
        claimed = min(wanted, -(-(self._left - self._claimed) // self._routes))
        self._claimed += claimed
        self._call_next()
        return claimed

    def used(self, count: int, *, of: int) -> None:
        """*count* of a claim were received, the rest may be claimed by others."""
        if self._left is None:
            return
        self._claimed -= of
        self._left -= count
        self._call_next()

    async def _turn(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
            self._called = False
        except asyncio.CancelledError:
            if future.cancelled():
                with contextlib.suppress(ValueError):  # passed over already
                    self._waiting.remove(future)
            else:
                self._called = False
                self._call_next()
            raise

    def _call_next(self) -> None:
        """Let the longest waiting look, and nobody overtake it, once it can have something or nobody ever will."""
        while self._waiting and not self._called and (not self._left or self._left > self._claimed):
            future = self._waiting.popleft()
            if not future.done():  # else its task was cancelled a moment ago, and does not know yet
                self._called = True
                future.set_result(None)
