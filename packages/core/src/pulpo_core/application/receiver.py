"""The receiving half of a route: one receive after the other, whenever there is room and nothing forbids it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core.domain.backoff import Backoff, JitterMode
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import AdapterError
from pulpo_core.ports.adapter import Provider
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event, ReceiveFailed, ReceiveRecovered

from .answers import answer_of
from .flow import Flow
from .idlers import Idlers
from .until import Quota, Until

#: Pauses between receives that fail: quick at first, since most faults pass at once.
RECEIVE_BACKOFF: Final = Backoff(base=timedelta(milliseconds=200), cap=timedelta(seconds=30), jitter=JitterMode.EQUAL)


@attrs.define(slots=True, eq=False, kw_only=True)
class Receiver:
    """Receives for one route until it is stopped, or until its `Until` is reached.

    Attributes:
        room: how many more deliveries the route can take in.
        made_room: where to wait for more of it.
        take_in: given what was received, in order.
        busy: whether anything is in hand.
        something_to_wait_for: whether anything was in hand, once it no longer is.
    """

    route: str
    provider: Provider
    wait: timedelta
    until: Until
    quota: Quota
    flow: Flow
    clock: Clock
    jitter: Jitter
    emit: Callable[[Event], None]
    room: Callable[[], int]
    made_room: Idlers
    take_in: Callable[[Sequence[Delivery]], None]
    busy: Callable[[], bool]
    something_to_wait_for: Callable[[], Awaitable[bool]]
    stopping: asyncio.Event
    _failures: int = 0
    _just_received: bool = False
    _empty_polls: int = 0

    async def run(self) -> None:
        """Receive on and on.

        Raises:
            AdapterError: for good.
        """
        wait = timedelta() if self.until.polls else self.quota.patience(self.wait)
        while room := await self._wanted():
            claimed = await self.quota.claim(room)
            if not claimed:
                return
            busy = self.busy()
            answer = await self._receive(claimed, wait)
            if isinstance(answer, AdapterError):
                await self._back_off(answer)
            elif await self._is_done(answer, busy=busy):
                return

    async def _wanted(self) -> int:
        """Wait until something may be received; how many, 0 when the route is being stopped."""
        while not self.stopping.is_set():
            room = self.room()
            if room <= 0:
                self._just_received = False
                await self.made_room.wait()
                continue
            if self._just_received:
                self._just_received = False
                await self._let_slots_begin()
                continue
            allowed = self.flow.allows()
            if allowed > 0:
                return int(min(room, allowed))
            await self.flow.until_changed()
        return 0

    async def _receive(self, wanted: int, wait: timedelta) -> int | AdapterError:
        """Receive once, and take in what came; how many that were, or why it failed for now."""
        received = 0
        try:
            if self.stopping.is_set():
                return 0
            deliveries = await answer_of(self.provider.receive(wanted, wait))
            received = len(deliveries)
        except AdapterError as error:
            if not error.temporary:
                raise
            return error
        finally:
            self.quota.used(received, of=wanted)
        if self._failures:
            self.emit(ReceiveRecovered(route=self.route, failures=self._failures))
            self._failures = 0
        self.flow.took(received)
        self.take_in(deliveries)
        self._just_received = received > 0
        return received

    @staticmethod
    async def _let_slots_begin() -> None:
        """Two turns: one for handlers that end at once and leave their room, one for whom they wake, such as a stop."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _back_off(self, error: AdapterError) -> None:
        self._failures += 1
        delay = RECEIVE_BACKOFF.delay(self._failures, self.jitter.random())
        self.emit(ReceiveFailed(route=self.route, error=error, delay=delay))
        await self.clock.wait(self.stopping, delay.total_seconds())

    async def _is_done(self, received: int, *, busy: bool) -> bool:
        """Whether `Until` is reached; pauses between polls that brought nothing.

        A queue that was found empty while anything was in hand is looked at again: the end of that may have put
        something into it after the look.
        """
        self._empty_polls = 0 if received else self._empty_polls + 1
        if self.until.once:
            return True
        if received:
            return False
        if self.until.burst:
            return not (await self.something_to_wait_for() or busy)
        if self.until.max_empty_polls is not None:
            if self._empty_polls >= self.until.max_empty_polls:
                return True
            await self.clock.wait(self.stopping, self.until.poll_interval.total_seconds())
        return False
