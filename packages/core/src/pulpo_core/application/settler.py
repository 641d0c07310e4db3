"""Handing settlements to the queue: in batches, beside everything else, until each is confirmed or hopeless."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core.domain.backoff import Backoff
from pulpo_core.domain.decision import Tally
from pulpo_core.domain.errors import AdapterError, LeaseLost
from pulpo_core.ports.adapter import Provider, Settling
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event, LeaseGone, SettleFailed

from .answers import answer_of
from .held import Held, Stage
from .idlers import Idlers

SETTLING: Final = Stage.SETTLING  # a plain name: looking up a member costs as much as calling a function

#: Calls on their way at once, so that a slow one does not hold up the next batch.
FLUSHES: Final = 4

_BACKOFF: Final = Backoff(base=timedelta(milliseconds=200), cap=timedelta(seconds=5))


@attrs.define(slots=True, eq=False, kw_only=True)
class Settler:
    """Settles what one route has decided.

    What is pending when a call returns goes out with the next one: a busy route makes large
    batches and a quiet one does not wait for company.

    Attributes:
        on_settled: told where each delivery ends up in the ledger, exactly once for each.
        on_flushed: told after each batch of those.
        on_failure: told when nothing can be settled any more: access was withdrawn, or the adapter has a defect.
    """

    route: str
    provider: Provider
    clock: Clock
    jitter: Jitter
    emit: Callable[[Event], None]
    on_settled: Callable[[Held, Tally], None]
    on_flushed: Callable[[], None]
    on_failure: Callable[[BaseException], None]
    _pending: deque[Held] = attrs.field(init=False, factory=deque)
    _idle: Idlers = attrs.field(init=False, factory=Idlers)
    _unsettled: int = attrs.field(init=False, default=0)
    _all_settled: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _group: asyncio.TaskGroup = attrs.field(init=False, factory=asyncio.TaskGroup)

    @property
    def unsettled(self) -> int:
        """Decided, and not yet confirmed."""
        return self._unsettled

    def add(self, held: Held) -> None:
        """Take over *held*, which is to be settled as its decision says; never blocks."""
        if held.decision is None or held.decision.settlement is None:
            raise AssertionError("only what is decided and to be settled comes here")
        held.tally = held.decision.tally
        held.settling = Settling(held.delivery, held.decision.settlement, held.follow_ups)
        self._unsettled += 1
        self._pending.append(held)
        if self._idle.waiting:
            self._idle.wake_one()

    def again(self) -> None:
        """Look again at what is pending: an extension has ended."""
        if self._pending:
            self._idle.wake_one()

    async def run(self) -> None:
        """Settle until cancelled."""
        async with self._group:
            for _ in range(FLUSHES):
                self._group.create_task(self._flush_for_ever())

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing is unsettled, up to *seconds*; whether it is so."""
        self._all_settled.clear()
        return self._unsettled == 0 or await self.clock.wait(self._all_settled, seconds)

    async def _flush_for_ever(self) -> None:
        while True:
            batch = self._take()
            if batch:
                await self._flush(batch)
            else:
                await self._idle.wait()

    def _take(self) -> list[Held]:
        batch: list[Held] = []
        waiting: list[Held] = []
        while self._pending:
            held = self._pending.popleft()
            (waiting if held.extending else batch).append(held)
        self._pending.extend(waiting)
        return batch

    async def _flush(self, batch: list[Held]) -> None:
        now = self.clock.monotonic()
        ours = []
        for held in batch:
            if not self._is_lost(held, now):
                held.stage = SETTLING
                held.settle_attempts += 1
                ours.append(held)
        for held, error in zip(ours, await self._settle(ours), strict=True):
            if error is None:
                self._end(held, held.tally)
            else:
                self._failed(held, error)
        self.on_flushed()

    def _is_lost(self, held: Held, now: float) -> bool:
        """Whether its lease ended while it waited here: then nothing may be sent for it any more."""
        lease = held.delivery.lease
        if not lease.lost and now < lease.deadline:
            return False
        if held.tally is Tally.ACKED and self.provider.capabilities.late_ack:
            return False
        self._lose(held)
        return True

    async def _settle(self, batch: list[Held]) -> Sequence[AdapterError | None]:
        if not batch:
            return ()
        try:
            return await answer_of(self.provider.settle([held.settling for held in batch if held.settling]))
        except AdapterError as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - told where all routes are stopped for it, in order
            self.on_failure(error)
            return [_refusal(error)] if len(batch) == 1 else await self._settle_each(batch)

    async def _settle_each(self, batch: list[Held]) -> Sequence[AdapterError | None]:
        """Ask for each alone: what was settled before the call failed says so, since to settle it again is no error."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._settle([held])) for held in batch]
        return [error for task in asked for error in task.result()]

    def _failed(self, held: Held, error: AdapterError) -> None:
        if isinstance(error, LeaseLost):
            self._lose(held)
            return
        again = self._may_repeat(held, error)
        self.emit(SettleFailed(route=self.route, delivery=held.delivery, error=error, final=not again))
        if again:
            held.stage = Stage.HANDLED  # its lease is kept again meanwhile
            self._group.create_task(self._later(held))
        elif error.in_doubt:
            self._end(held, Tally.IN_DOUBT)
        else:
            self._end(held, Tally.LEASE_LOST)

    def _may_repeat(self, held: Held, error: AdapterError) -> bool:
        """Repeating an `Ack` does no harm; anything else in doubt may have been done, and is left alone."""
        if held.delivery.lease.lost or self.clock.monotonic() >= held.delivery.lease.deadline:
            return False
        return held.tally is Tally.ACKED if error.in_doubt else error.temporary

    async def _later(self, held: Held) -> None:
        await self.clock.sleep(_BACKOFF.delay(held.settle_attempts, self.jitter.random()).total_seconds())
        self._pending.append(held)
        self._idle.wake_one()

    def _lose(self, held: Held) -> None:
        if not held.delivery.lease.lost:
            held.delivery.lease.lost = True
            self.emit(LeaseGone(route=self.route, delivery=held.delivery))
        self._end(held, Tally.LEASE_LOST)

    def _end(self, held: Held, column: Tally) -> None:
        held.stage = Stage.DONE
        self._unsettled -= 1
        if not self._unsettled:
            self._all_settled.set()
        self.on_settled(held, column)


def _refusal(error: Exception) -> AdapterError:
    refusal = AdapterError(f"nothing can be settled: {type(error).__name__}")
    refusal.__cause__ = error
    return refusal
