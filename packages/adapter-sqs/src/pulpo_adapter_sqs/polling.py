"""Reading queues: as many requests at a time as there is work for, and as few as can be when there is none.

Theory of operation. A *poll* is one ReceiveMessage. It runs as a task of the queue, not of the
caller, and what it brings goes to its *tap* (one queue of the set), from where the next call of
`Intake.receive` takes it. So nothing is stranded when a caller is cancelled or a deadline passes:
the poll goes on, and what nobody comes for within `PATIENCE` is given back.

How many polls of one queue run together is its *level*: it begins with one, each poll that comes
back full adds one, every second one in a row that comes back empty takes one away. An idle queue
thus has a single long poll under way, whatever the number of callers.

Of several queues the first that is not known to be empty is polled, and nothing below it until
that poll has come back. A queue is known to be empty while a long poll of it is under way. Every
N-th poll looks at a lower queue first, so that none starves.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, Clock, ConfigurationError, Delivery

from .background import Background
from .batching import MAX_BATCH, chunks
from .channel import Channel

#: Polls of one queue at a time: a hundred messages per round trip.
MAX_LEVEL: Final = 10

#: How long, in seconds, deliveries wait for somebody to receive them before they are given back.
PATIENCE: Final = 1.0

#: A poll that does not wait asks some servers of SQS, and those may know of no message; so many in a row have asked
#: enough of them. One that waits asks all.
_LOOKS: Final = 3

#: SQS waits for whole seconds; a receive waits up to so much longer than it was told to fit them in.
_OVERTIME: Final = 0.5

#: A delivery that has waited here for more than this part of its lease is left to it, and not handed out.
_FRESH: Final = 0.5

#: Makes deliveries of received messages. *taken_at* is the monotonic moment before the request.
Admit = Callable[[Channel, Sequence[Mapping[str, Any]], float], Sequence[Delivery]]


@attrs.define(eq=False)
class Tap:
    """One queue of the set, as far as reading it goes.

    Attributes:
        level: polls that may run together.
        polls: polls under way.
        standing: long polls among them.
        due: when the last long poll begun ends at the latest.
        asked: messages that the polls under way may bring.
        quiet: the last poll came back empty.
        arrived: deliveries that nobody has taken yet.
    """

    channel: Channel
    level: int = 1
    polls: int = 0
    standing: int = 0
    due: float = 0.0
    asked: int = 0
    quiet: bool = False
    arrived: deque[Delivery] = attrs.field(factory=deque)
    _empties: int = 0

    def learn(self, *, asked: int, got: int) -> None:
        """Adapt to what a poll has brought."""
        self.quiet = got == 0
        self._empties = 0 if got else self._empties + 1
        if got == asked == MAX_BATCH:
            self.level = min(self.level + 1, MAX_LEVEL)
        elif self._empties >= 2:
            self._empties = 0
            self.level = max(self.level - 1, 1)

    def ends_by(self, moment: float) -> bool:
        """Whether polls are under way that were to be over at *moment*."""
        return self.polls > self.standing or (self.standing > 0 and self.due <= moment)


class Intake:
    """Receives from the queues of a set, in their order. Any number of callers at a time."""

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        clock: Clock,
        tasks: Background,
        visibility: int,
        lower_every: int,
        admit: Admit,
    ) -> None:
        self._taps = [Tap(channel) for channel in channels]
        self._clock = clock
        self._tasks = tasks
        self._visibility = visibility
        self._longest_poll = max(1, min(20, visibility // 3))  # a lease counts from before the poll that took it
        self._lower_every = lower_every
        self._rounds = 0
        self._admit = admit
        self._wanted = 0
        self._changed = asyncio.Event()
        self._failure: AdapterError | ConfigurationError | None = None
        self._interrupted = False
        self._patience: asyncio.Task[None] | None = None

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`."""
        self._tasks.check_open()
        if limit <= 0:
            return ()
        self._wanted += limit
        try:
            return await self._wait_for_some(limit, self._clock.monotonic() + wait.total_seconds())
        finally:
            self._wanted -= limit
            self._mind_what_nobody_wants()

    def interrupt(self) -> None:
        """Begin no further polls, and let those who wait go when the polls under way have ended."""
        self._interrupted = True
        self._changed.set()

    async def close(self) -> None:
        """Give back what has arrived and nobody has taken."""
        for tap in self._taps:
            await self._give_back(tap)

    async def _wait_for_some(self, limit: int, end: float) -> Sequence[Delivery]:
        asked: Counter[Tap] = Counter()
        while True:
            if taken := self._take(limit):
                return taken
            self._raise_failure()
            left = end - self._clock.monotonic()
            if not self._interrupted:
                self._begin_polls(asked, limit, left)
            if not self._may_still_come(left, end):
                return ()
            self._changed.clear()
            await self._clock.wait(self._changed, left if left > 0 else math.inf)

    def _may_still_come(self, left: float, end: float) -> bool:
        if self._interrupted:
            return any(tap.polls for tap in self._taps)
        return left > 0 or any(tap.ends_by(end + _OVERTIME) for tap in self._taps)

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # --- which queue to poll, and how

    def _begin_polls(self, asked: Counter[Tap], limit: int, left: float) -> None:
        """Begin what is to be begun now; *asked* remembers how often this call has looked into each queue."""
        seconds = max(0, min(self._longest_poll, int(left + _OVERTIME)))
        if seconds and len(self._taps) == 1:
            self._keep_standing(self._taps[0], asked, seconds)
            return
        for tap in self._taps:
            if (tap.standing and seconds) or (asked[tap] >= _LOOKS and not seconds):
                continue  # known to be empty
            if tap.polls > tap.standing:
                return  # what it brings is waited for before a lower queue is looked at
            if not (seconds and tap.quiet):
                self._look_into(self._or_lower(tap), asked, limit)
                return
            asked[tap] = _LOOKS
            self._begin(tap, min(MAX_BATCH, self._wanted), seconds)

    def _keep_standing(self, tap: Tap, asked: Counter[Tap], seconds: int) -> None:
        """As many polls as the level allows and the callers want; none for a few, while another is under way."""
        asked[tap] = _LOOKS
        while tap.polls < tap.level and tap.asked < self._wanted:
            count = min(MAX_BATCH, self._wanted - tap.asked)
            if count < MAX_BATCH and tap.polls:
                return
            self._begin(tap, count, seconds)

    def _look_into(self, tap: Tap, asked: Counter[Tap], limit: int) -> None:
        asked[tap] += 1
        for part in range(min(tap.level, -(-limit // MAX_BATCH))):
            self._begin(tap, min(MAX_BATCH, limit - part * MAX_BATCH), 0)

    def _or_lower(self, tap: Tap) -> Tap:
        """Now and then one of the queues below *tap* instead of it, each in its turn."""
        self._rounds += 1
        lower = [below for below in self._taps[self._taps.index(tap) + 1 :] if not below.polls]
        if lower and self._lower_every and self._rounds % self._lower_every == 0:
            return lower[self._rounds // self._lower_every % len(lower)]
        return tap

    def _begin(self, tap: Tap, count: int, seconds: int) -> None:
        tap.polls += 1
        tap.asked += count
        if seconds:
            tap.standing += 1
            tap.due = self._clock.monotonic() + seconds
        self._tasks.start(self._poll(tap, count, seconds))

    async def _poll(self, tap: Tap, count: int, seconds: int) -> None:
        taken_at = self._clock.monotonic()
        try:
            messages = await tap.channel.receive(count, visibility=self._visibility, wait=seconds)
            tap.learn(asked=count, got=len(messages))
            tap.arrived.extend(self._admit(tap.channel, messages, taken_at))
        except (AdapterError, ConfigurationError) as error:
            if self._wanted:
                self._failure = error
        finally:
            tap.polls -= 1
            tap.asked -= count
            tap.standing -= bool(seconds)
            self._changed.set()
            self._mind_what_nobody_wants()

    # --- what has arrived

    def _take(self, limit: int) -> list[Delivery]:
        """Up to *limit* deliveries, of the upper queues first, with most of their lease before them."""
        taken: list[Delivery] = []
        for tap in self._taps:
            while tap.arrived and len(taken) < limit:
                delivery = tap.arrived.popleft()
                if self._is_fresh(delivery):
                    taken.append(delivery)
        return taken

    def _is_fresh(self, delivery: Delivery) -> bool:
        return delivery.lease.deadline - self._clock.monotonic() > self._visibility * _FRESH

    def _mind_what_nobody_wants(self) -> None:
        unwanted = not self._wanted and any(tap.arrived for tap in self._taps)
        if unwanted and not self._tasks.closed and (self._patience is None or self._patience.done()):
            self._patience = self._tasks.start(self._wait_for_takers())

    async def _wait_for_takers(self) -> None:
        if not self._interrupted:
            await self._clock.sleep(PATIENCE)
        if not self._wanted:
            await self.close()

    async def _give_back(self, tap: Tap) -> None:
        handles = [delivery.receipt.handle for delivery in tap.arrived]
        tap.arrived.clear()
        with suppress(ConfigurationError):  # what cannot be given back comes back when its lease ends
            for part in chunks(handles):
                await tap.channel.hide_at_once(dict.fromkeys(part, 0))
