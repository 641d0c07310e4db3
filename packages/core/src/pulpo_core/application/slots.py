"""The slots of a route: tasks that live as long as it does, each handling one delivery after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from pulpo_core.domain.decision import Decision
from pulpo_core.domain.outcome import Cancelled, Failed, LostLease, Outcome
from pulpo_core.domain.settlement import Ack
from pulpo_core.ports.clock import Clock
from pulpo_core.ports.observer import Event, LeaseGone

from .buffer import Buffer
from .follow_ups import FollowUps
from .gate import Entry
from .held import Held
from .idlers import Idlers
from .pipeline import Pipeline


@attrs.define(slots=True, eq=False, kw_only=True)
class Slots:
    """Handles what waits in *buffer*, so much at once.

    Attributes:
        concurrency: that many; they are opened as they are needed.
        gate: bounds the handlers of the whole process.
        stopping: set when nothing more is to be begun.
        on_decided: given each delivery and the decision about it, once its follow-ups are where they belong.
        on_free: told after that.
        on_failure: told when user code ends the process.
        group: where the slots live.
        taken: how many slots have a delivery.
    """

    route: str
    concurrency: int
    buffer: Buffer
    pipeline: Pipeline
    follow_ups: FollowUps
    gate: Entry
    clock: Clock
    emit: Callable[[Event], None]
    stopping: asyncio.Event
    on_decided: Callable[[Held, Decision], None]
    on_free: Callable[[], None]
    on_failure: Callable[[BaseException], None]
    group: asyncio.TaskGroup = attrs.field(init=False, factory=asyncio.TaskGroup)
    taken: int = attrs.field(init=False, default=0)
    _open: int = attrs.field(init=False, default=0)
    _idle: Idlers = attrs.field(init=False, factory=Idlers)

    def rouse(self) -> None:
        """Something waits: wake an idle slot, which wakes the next, or open another."""
        self._idle.wake_one()
        wanted = min(len(self.buffer.waiting) + self.taken, self.concurrency)
        while self._open < wanted:
            self._open += 1
            self.group.create_task(self._slot())

    def go_on(self) -> None:
        """What waited for others of its group may run now."""
        self._idle.wake_one()

    def let_go(self) -> None:
        """Let slots end that have nothing to do, once all is stopping."""
        self._idle.wake_all()

    async def _slot(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a slot runs as a task")
        woken = False
        while True:
            held = self.buffer.take()
            if held is None:
                if self.stopping.is_set():
                    return
                await self._idle.wait()
                woken = True
                continue
            if self._idle.waiting and self.buffer.waiting:
                self._call_others(woken=woken)
                woken = False
            self.taken += 1
            decision = await self._decision_on(held, task)
            self.taken -= 1
            self.on_decided(held, decision)
            self.on_free()

    def _call_others(self, *, woken: bool) -> None:
        """More waits. A slot that was just *woken* calls two others, so that handlers that suspend are soon at work."""
        if woken:
            self._idle.wake(min(2, len(self.buffer.waiting) - self._idle.on_the_way))
        else:
            self._idle.wake_one()

    async def _decision_on(self, held: Held, task: asyncio.Task[None]) -> Decision:
        if self.gate.unlimited:
            decision = await self._handle(held, task)
        else:
            async with self.gate:
                decision = await self._handle(held, task)
        settlement = decision.settlement
        if isinstance(settlement, Ack) and settlement.follow_ups:
            return await self._follow_up(held, decision, settlement, task)
        return decision

    def _handle(self, held: Held, task: asyncio.Task[None]) -> Awaitable[Decision]:
        if held.cause is not None:  # called off while it waited for the gate
            return self._unstarted(held, held.cause)
        if self._is_lost(held):
            return self._unstarted(held, LostLease())
        return self.pipeline.handle(held, task)

    async def _unstarted(self, held: Held, outcome: Outcome) -> Decision:
        return self.pipeline.decide(held, outcome)

    def _is_lost(self, held: Held) -> bool:
        """Whether its lease ended while it waited for a slot: then another worker may have it already."""
        lease = held.delivery.lease
        if not lease.lost and self.clock.monotonic() >= lease.deadline:
            lease.lost = True
            self.emit(LeaseGone(route=self.route, delivery=held.delivery))
        return lease.lost

    async def _follow_up(self, held: Held, decision: Decision, ack: Ack, task: asyncio.Task[None]) -> Decision:
        try:
            await self.follow_ups.attach(held, ack)
        except Exception as error:  # noqa: BLE001 - translators and middleware are user code
            return self.pipeline.decide(held, Failed(error))
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            return self.pipeline.decide(held, Failed(error))  # its own: the slot must not end of it
        except (SystemExit, KeyboardInterrupt) as end:
            self.on_failure(end)
            return self.pipeline.decide(held, Cancelled())
        return decision
