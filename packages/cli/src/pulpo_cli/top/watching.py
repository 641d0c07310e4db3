"""Looking at one queue on and on, whatever becomes of its broker. Nothing is ever received."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from pulpo_cli.errors import one_line
from pulpo_cli.records import content_of
from pulpo_core import Clock, Peek, PulpoError, Queue, QueueStats, Record, open_queue

from .history import History, Sample

#: Buried messages looked at for their reasons.
MOST_BURIED: Final = 200

#: Burials are looked at no more often, in seconds: on beanstalkd that takes their records for a moment.
LIST_EVERY: Final = 3.0

#: Pause before a queue that cannot be opened is tried again, in seconds.
_TRY_AGAIN: Final = 1.0

NO_REASON: Final = "(none recorded)"
CANNOT_LOOK: Final = "looking at them would receive them: pulpo buried list does"


@attrs.frozen
class Burial:
    """One buried message as the view shows it; its body is not looked at any further than for its type."""

    record: Record
    request_type: str

    @classmethod
    def of(cls, record: Record) -> Burial:
        """What is shown of *record*."""
        message = content_of(record.envelope).message
        return cls(record, (message.request_type if message else None) or "-")

    @property
    def reason(self) -> str:
        """Why it was buried."""
        return self.record.reason or NO_REASON


@attrs.define(eq=False)
class Watched:
    """One queue under watch.

    Attributes:
        queue: while it is open.
        error: why the last look failed; empty if it did not.
        burials: the buried messages, newest first, as far as they were looked at.
        note: what is to be said about `burials`.
        settled: asked for what workers on this host have settled.
    """

    url: str
    settled: Callable[[], int | None] = attrs.field(default=lambda: None)
    history: History = attrs.field(factory=History)
    queue: Queue | None = None
    error: str = ""
    burials: Sequence[Burial] = ()
    note: str = ""
    _listed: int | None = None
    _list_again: float = -math.inf

    @property
    def stats(self) -> QueueStats | None:
        """The newest count."""
        return self.history.last.stats if self.history.last else None

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Burials by reason, the most frequent first."""
        return Counter(burial.reason for burial in self.burials).most_common()

    async def watch(self, interval: float, clock: Clock, changed: Callable[[], None]) -> None:
        """Look every *interval* seconds until cancelled; *changed* is called after each look.

        A queue that cannot be opened is tried again and again; one that fails keeps its connections, which are
        its adapter's business.
        """
        while True:
            try:
                async with open_queue(self.url, clock=clock) as self.queue:
                    while True:
                        await self.look(clock)
                        changed()
                        await clock.sleep(interval)
            except PulpoError as error:
                self.error = one_line(str(error))
                changed()
                await clock.sleep(max(interval, _TRY_AGAIN))
            finally:
                self.queue = None

    async def look(self, clock: Clock) -> None:
        """Count once, and look at what is buried if there is news."""
        if self.queue is None:
            return
        try:
            stats = await self.queue.stats()
            self.history.add(Sample(clock.monotonic(), stats, self.settled()))
            if stats.buried != self._listed and clock.monotonic() >= self._list_again:
                self._list_again = clock.monotonic() + LIST_EVERY
                await self._list_buried(self.queue, stats.buried)
            self.error = ""
        except PulpoError as error:
            self.error = one_line(str(error))

    async def _list_buried(self, queue: Queue, count: int | None) -> None:
        if Peek.BURIED not in queue.capabilities.peek:
            self.note = CANNOT_LOOK
        else:
            page = await queue.buried(limit=MOST_BURIED)
            self.burials = [Burial.of(record) for record in reversed(page.records)]
            self.note = f"among the oldest {MOST_BURIED}" if len(page.records) == MOST_BURIED else page.note
        self._listed = count
