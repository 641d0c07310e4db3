"""One delivery in hand, from its receipt to its place in the ledger."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import timedelta
from enum import Enum, auto
from typing import Final

import attrs

from pulpo_core.domain.decision import Decision, Tally
from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import Abandoned, Cancelled, Outcome, TimedOut
from pulpo_core.ports.adapter import Settling

from .isolation import leave
from .places import Places


class Stage(Enum):
    """How far it has come."""

    WAITING = auto()  # for a slot, or in it for its turn among all handlers of the process
    IN_LINE = auto()  # in its slot, for the thread or the process that its handler needs
    RUNNING = auto()
    HANDLED = auto()
    SETTLING = auto()
    DONE = auto()


_INTERRUPTIBLE: Final = frozenset({Stage.IN_LINE, Stage.RUNNING})


@attrs.define(slots=True, eq=False)
class Held:
    """A delivery in hand. Changed only from the event loop, by the route that holds it.

    Attributes:
        received_at: `Clock.monotonic` at its receipt.
        task: what runs its handler, while `stage` is IN_LINE or RUNNING.
        cause: why its handler was interrupted, or is not to be begun; the first cause stays.
        limit: how long its handler may take, once that has begun.
        timer: interrupts it when that time is over.
        place: where it has a place that nothing has made use of yet.
        message: once it is translated.
        context: context variables of its handling, once that has begun; its error handler sees them too.
        decision: once its handling has ended.
        follow_ups: envelopes to publish in the transaction of its acknowledgement.
        announced: the messages in them, where somebody wants to be told.
        handling: seconds that its handler took, where somebody wants to know.
        extending: an extension of its lease is on its way, so nothing may be settled meanwhile.
        tally: the column of the ledger that waits for it, once its settlement is confirmed.
        settling: what the queue is asked to do with it.
        settle_attempts: how often settling it has been tried.
    """

    delivery: Delivery
    received_at: float
    stage: Stage = Stage.WAITING
    task: asyncio.Task[None] | None = None
    cause: Outcome | None = None
    limit: timedelta | None = None
    timer: asyncio.TimerHandle | None = None
    place: Places | None = None
    message: Message | None = None
    context: contextvars.Context | None = None
    decision: Decision | None = None
    follow_ups: tuple[Envelope, ...] = ()
    announced: tuple[Message, ...] = ()
    handling: float | None = None
    extending: bool = False
    tally: Tally = Tally.LEASE_LOST
    settling: Settling | None = None
    settle_attempts: int = 0

    def interrupt(self, cause: Outcome) -> None:
        """Cancel its handler, or its waiting in line, because of *cause*; without effect before and after.

        A handler that is interrupted runs inside the slot's task, which is suspended inside it:
        so the cancellation always reaches the handler and never the slot. Once is enough, so that
        it can clean up in peace; only the end of the worker's grace interrupts again and again.
        """
        if self.stage not in _INTERRUPTIBLE or self.task is None:
            return
        if self.cause is None or isinstance(cause, Cancelled):
            self.cause = self.cause or cause
            self.task.cancel()

    def call_off(self, cause: Outcome) -> None:
        """Let it not be begun, because of *cause*; without effect once it is."""
        if self.stage is Stage.WAITING:
            self.cause = cause
        elif self.stage is Stage.IN_LINE:
            self.interrupt(cause)

    def start_timer(self) -> None:
        """From now on, what runs for it has as long as `limit` says."""
        if self.limit is not None:
            self.timer = asyncio.get_running_loop().call_later(
                self.limit.total_seconds(), self.interrupt, TimedOut(self.limit)
            )

    def stop_timer(self) -> None:
        """Nothing runs that has a limit, or not yet."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def leave_place(self) -> None:
        """Pass on a place that nothing has made use of, if there is one."""
        if self.place is not None:
            self.place.leave()
            self.place = None

    def give_up(self, cause: Abandoned) -> bool:
        """Leave a handler that refuses to be cancelled where it stands; whether there was one to leave."""
        if self.stage is not Stage.RUNNING or self.task is None or self.context is None:
            return False
        self.cause = cause
        leave(self.context)
        self.task.cancel()
        return True
