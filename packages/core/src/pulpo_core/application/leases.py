"""Keeping deliveries ours while they are in hand, buffered ones included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core.domain.errors import AdapterError, LeaseLost
from pulpo_core.domain.outcome import LostLease, TimedOut
from pulpo_core.ports.adapter import Provider
from pulpo_core.ports.clock import Clock
from pulpo_core.ports.observer import Event, LeaseExtended, LeaseGone

from .answers import answer_of
from .held import Held, Stage

#: A lease is extended once this part of it has passed: two more tries fit in before it ends.
_EXTEND_AFTER: Final = 1 / 3

#: Leases are looked at so often in one lease; a look costs a pass over what is in hand.
_LOOKS: Final = 12

_KEPT_STAGES: Final = frozenset({Stage.WAITING, Stage.IN_LINE, Stage.RUNNING, Stage.HANDLED})


@attrs.define(slots=True, eq=False, kw_only=True)
class LeaseKeeper:
    """Extends the leases of what one route holds, in batches, and notices those that are lost.

    An extension and a settlement of the same delivery never overlap: what is being extended waits
    to be settled, and what is being settled is not extended, so that no extension can overwrite a
    retry's delay.

    Attributes:
        lease: how long one lasts.
        max_hold: no delivery is kept longer than this; its handler has timed out then.
        in_hand: what the route holds; looked at, never changed.
        on_failure: told when nothing can be extended any more: access was withdrawn, or the adapter has a defect.
        settle_again: called when extensions have ended, for what waited to be settled.
    """

    route: str
    provider: Provider
    lease: timedelta
    max_hold: timedelta
    clock: Clock
    in_hand: Iterable[Held]
    emit: Callable[[Event], None]
    on_failure: Callable[[BaseException], None]
    settle_again: Callable[[], None]
    anything: asyncio.Event

    async def run(self) -> None:
        """Keep leases until cancelled."""
        pause = self.lease.total_seconds() / _LOOKS
        async with asyncio.TaskGroup() as extensions:
            while True:
                await self.anything.wait()
                await self.clock.sleep(pause)
                due = self._look()
                if due:  # beside the next look: an answer that takes its time must not cost the leases of others
                    extensions.create_task(self._extend(due))

    def _look(self) -> list[Held]:
        """Let go what is over; what is due to be extended."""
        now = self.clock.monotonic()
        due = []
        for held in list(self.in_hand):
            if held.delivery.lease.lost or held.stage not in _KEPT_STAGES:
                continue
            if now >= held.delivery.lease.deadline:
                self._lose(held)
            elif held.extending:
                continue
            elif now - held.received_at >= self.max_hold.total_seconds():
                held.interrupt(TimedOut(self.max_hold))
            elif held.delivery.lease.deadline - now <= self.lease.total_seconds() * (1 - _EXTEND_AFTER):
                held.extending = True
                due.append(held)
        return due

    async def _extend(self, due: list[Held]) -> None:
        try:
            answers = await answer_of(self.provider.extend([held.delivery for held in due]))
        except AdapterError:
            return  # tried again at the next look, as long as the leases last
        except Exception as error:  # noqa: BLE001 - told where all routes are stopped for it, in order
            self.on_failure(error)
            return
        finally:
            for held in due:
                held.extending = False
            self.settle_again()
        self._note(due, answers)

    def _note(self, due: list[Held], answers: Iterable[float | AdapterError]) -> None:
        extended = 0
        for held, answer in zip(due, answers, strict=True):
            if isinstance(answer, LeaseLost):
                self._lose(held)
            elif not isinstance(answer, AdapterError):
                held.delivery.lease.deadline = max(answer, held.delivery.lease.deadline)
                extended += 1
        if extended:
            self.emit(LeaseExtended(route=self.route, count=extended))

    def _lose(self, held: Held) -> None:
        held.delivery.lease.lost = True
        self.emit(LeaseGone(route=self.route, delivery=held.delivery))
        held.interrupt(LostLease())
