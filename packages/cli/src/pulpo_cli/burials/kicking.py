"""Putting buried messages back to work, as fast as is good for those who handle them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.output import complain, confirmed, note, say, say_json
from pulpo_cli.progress import Progress, progress
from pulpo_cli.units import plural
from pulpo_core import (
    Clock,
    ConfigurationError,
    MessageNotFound,
    Queue,
    RateLimit,
    SystemClock,
    open_queue,
)

from .choice import Choice, chosen, messages
from .listing import show_chosen

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


@attrs.define(kw_only=True)
class KickRun:
    """One `pulpo buried kick`: what was chosen, and what came of it."""

    choice: Choice = attrs.field(kw_only=False)
    rate: RateLimit | None
    dry_run: bool
    yes: bool
    as_json: bool
    meant: int | None = attrs.field(init=False, default=None)
    partial: bool = attrs.field(init=False, default=False)
    kicking: Kicking | None = attrs.field(init=False, default=None)

    async def work(self, url: str) -> int:
        """Choose, ask, and kick; the exit status."""
        async with open_queue(url) as queue:
            ids = await self._ids(queue)
            if self.dry_run:
                return errors.DONE
            if self.meant != 0 and not confirmed(f"Kick {messages(self.meant)} of {url}?", yes=self.yes):
                note("nothing was kicked")
                return errors.FAILED
            with progress("kicking", total=self.meant, wanted=self.rate is not None) as show:
                self.kicking = Kicking(queue=queue, clock=SystemClock(), rate=self.rate, show=show)
                await self._kick(self.kicking, ids)
        return errors.DONE

    async def _ids(self, queue: Queue) -> Sequence[str] | None:
        """Those that are meant; `None` for whatever is buried."""
        choice = self.choice
        if choice.ids:
            self.meant = len(choice.ids)
            return choice.ids
        if not choice.filter and not self.dry_run:
            buried_now = (await queue.stats()).buried
            self.meant = buried_now if choice.limit is None or buried_now is None else min(buried_now, choice.limit)
            return None
        page = await chosen(queue, choice.filter, limit=choice.limit, now=SystemClock().now())
        self.meant, self.partial = len(page.records), page.partial
        show_chosen(page, as_json=self.as_json)
        return [record.id for record in page.records]

    async def _kick(self, kicking: Kicking, ids: Sequence[str] | None) -> None:
        if ids is None:
            await kicking.oldest(self.choice.limit)
        elif self.choice.ids:
            await kicking.named(ids)
        else:
            await kicking.found(ids)

    def conclude(self) -> None:
        """Tell what came of it, however it ended."""
        if self.kicking is None and not (self.dry_run and self.meant is not None):
            return
        kicked, missing = (self.kicking.kicked, len(self.kicking.missing)) if self.kicking else (0, 0)
        if self.as_json:
            facts = {"chosen": self.meant, "kicked": kicked, "missing": missing, "partial": self.partial}
            say_json(facts | {"dry_run": self.dry_run})
        else:
            say(f"would kick {messages(self.meant)}" if self.dry_run else f"kicked {plural(kicked, 'message')}")
        if missing:
            complain(f"{plural(missing, 'message')} not buried any more when the turn came")
