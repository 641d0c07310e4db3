"""One delivery in hand, from its receipt to its place in the ledger."""

from __future__ import annotations

import asyncio
import contextvars
from enum import Enum, auto

import attrs

from pulpo_core.domain.decision import Decision, Tally
from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import Abandoned, Cancelled, Outcome
from pulpo_core.ports.adapter import Settling

from .isolation import leave


class Stage(Enum):
    """How far it has come."""

    WAITING = auto()
    RUNNING = auto()
    HANDLED = auto()
    SETTLING = auto()
    DONE = auto()


@attrs.define(slots=True, eq=False)
class Held:
    """A delivery in hand. Changed only from the event loop, by the route that holds it.

    Attributes:
        received_at: `Clock.monotonic` at its receipt.
        task: what runs its handler, while `stage` is RUNNING.
        cause: why its handler was interrupted; the first cause stays.
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
        """Cancel its handler because of *cause*; without effect before and after it runs.

        A handler that is interrupted runs inside the slot's task, which is suspended inside it:
        so the cancellation always reaches the handler and never the slot. Once is enough, so that
        it can clean up in peace; only the end of the worker's grace interrupts again and again.
        """
        if self.stage is not Stage.RUNNING or self.task is None:
            return
        if self.cause is None or isinstance(cause, Cancelled):
            self.cause = self.cause or cause
            self.task.cancel()

    def give_up(self, cause: Abandoned) -> bool:
        """Leave a handler that refuses to be cancelled where it stands; whether there was one to leave."""
        if self.stage is not Stage.RUNNING or self.task is None or self.context is None:
            return False
        self.cause = cause
        leave(self.context)
        self.task.cancel()
        return True
