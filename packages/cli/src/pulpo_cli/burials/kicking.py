"""Putting buried messages back to work, as fast as is good for those who handle them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli.progress import Progress
from pulpo_core import Clock, ConfigurationError, MessageNotFound, Queue, RateLimit

#: Messages that are kicked in one call: few enough that Ctrl-C is heard soon.
_CHUNK: Final = 100


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """Messages in a time: ``10/s``, ``100/m``, ``5/10s``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RateLimit:
        """The rate that *value* names."""
        try:
            return RateLimit.of(value)
        except ConfigurationError:
            self.fail(f"{value!r} is not a rate; write 10/s, 100/m or 5/10s", param, ctx)


@attrs.define(kw_only=True)
class Kicking:
    """One run of the command: how far it is.

    Attributes:
        rate: `None` for as fast as the queue does it.
        kicked: how many are ready again.
        missing: ids that were not buried any more when their turn came.
    """

    queue: Queue
    clock: Clock
    rate: RateLimit | None = None
    show: Progress
    kicked: int = attrs.field(init=False, default=0)
    missing: list[str] = attrs.field(init=False, factory=list)

    async def named(self, ids: Sequence[str]) -> None:
        """Kick *ids*.

        Raises:
            MessageNotFound: one of them is not buried; nothing was kicked.
        """
        self._count(await self.queue.kick(ids))

    async def found(self, ids: Sequence[str]) -> None:
        """Kick *ids*, which were found a moment ago; those that are gone since are `missing`."""
        size = self._chunk
        for start in range(0, len(ids), size):
            await self._kick(ids[start : start + size])
            await self._pause(min(size, len(ids) - start), last=start + size >= len(ids))

    async def oldest(self, limit: int | None) -> None:
        """Kick whatever is buried, the oldest first, up to *limit*."""
        if self.rate is None:
            self._count(await self.queue.kick(limit=limit))
            return
        left = math.inf if limit is None else limit
        while left > 0:
            asked = int(min(self._chunk, left))
            done = await self.queue.kick(limit=asked)
            self._count(done)
            left -= done
            if done < asked:
                return
            await self._pause(done, last=left <= 0)

    @property
    def _chunk(self) -> int:
        """So many at once that at a given rate something happens each second."""
        return _CHUNK if self.rate is None else max(1, min(_CHUNK, int(timedelta(seconds=1) / self._apart)))

    @property
    def _apart(self) -> timedelta:
        """The time for one message, at the rate."""
        return self.rate.per / self.rate.count if self.rate else timedelta()

    async def _kick(self, ids: Sequence[str]) -> None:
        try:
            self._count(await self.queue.kick(ids))
        except MessageNotFound:
            if len(ids) == 1:
                self.missing += ids
                return
            for each in ids:
                await self._kick([each])

    def _count(self, kicked: int) -> None:
        self.kicked += kicked
        self.show(self.kicked)

    async def _pause(self, after: int, *, last: bool) -> None:
        if not last:
            await self.clock.sleep((self._apart * after).total_seconds())
