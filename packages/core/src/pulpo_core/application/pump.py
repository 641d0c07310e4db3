"""One route at work: receive, hand to slots, settle, keep leases, and come to a stop in two phases.

::

    receiver ──► buffer ──► slots (pipeline) ──► settler ──► ledger
        ▲                        │    ▲             │
        └──── a slot is free ────┘    └── lease keeper (interrupts what is lost)

Routes share nothing but the limits of the process, so none can delay another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.decision import Decision, Tally
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.outcome import Abandoned, Cancelled, Failed, GroupFailed, LostLease, Outcome
from pulpo_core.domain.settlement import Ack
from pulpo_core.ports.adapter import Provider
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event, LeaseGone, Received, Settled
from pulpo_core.ports.offers import Accounting

from .buffer import Buffer, GroupBuffer
from .flow import Flow
from .follow_ups import FollowUps
from .gate import Entry
from .held import Held, Stage
from .idlers import Idlers
from .leases import LeaseKeeper
from .ledger import Ledger
from .pipeline import Pipeline
from .receiver import Receiver
from .settler import Settler
from .until import Quota, Until

#: Deliveries whose handler has ended and whose settlement is not confirmed yet, beside those in slots: for each slot,
#: and at least. Over a network a confirmation takes as long as a receive, and neither is to wait for the other.
UNSETTLED_PER_SLOT: Final = 4
MIN_UNSETTLED: Final = 20

#: Seconds for a receive that is on its way when the grace ends; then it is given up.
LAST_RECEIVE: Final = 1.0

_DONE_TALLIES: Final = frozenset({Tally.ACKED, Tally.BURIED, Tally.DROPPED})


@attrs.define(slots=True, eq=False, kw_only=True)
class Pump:
    """Runs one route until it is stopped, or until its `Until` is reached.

    Attributes:
        gate: bounds the handlers of the whole process.
        flow: whether anything may be received at all.
        on_failure: told when it cannot go on; expected to stop every route, this one too.
        flush_for: how long settlements may take at the end.
    """

    name: str
    concurrency: int
    prefetch: int
    wait: timedelta
    provider: Provider
    capabilities: Capabilities
    pipeline: Pipeline
    follow_ups: FollowUps
    clock: Clock
    jitter: Jitter
    emit: Callable[[Event], None]
    on_failure: Callable[[BaseException], None]
    watched: bool
    until: Until
    quota: Quota
    gate: Entry
    flow: Flow
    max_hold: timedelta
    flush_for: timedelta
    ledger: Ledger = attrs.field(init=False, factory=Ledger)
    in_hand: dict[Held, None] = attrs.field(init=False, factory=dict)
    last_receive: float | None = attrs.field(init=False, default=None)
    last_settled: float | None = attrs.field(init=False, default=None)
    unsettled: list[str] = attrs.field(init=False, factory=list)
    abandoned: int = attrs.field(init=False, default=0)
    _buffer: Buffer = attrs.field(init=False)
    _settler: Settler = attrs.field(init=False)
    _slots: int = attrs.field(init=False, default=0)
    _running: int = attrs.field(init=False, default=0)
    _idle: Idlers = attrs.field(init=False, factory=Idlers)
    _room: Idlers = attrs.field(init=False, factory=Idlers)
    _anything: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _nothing: Idlers = attrs.field(init=False, factory=Idlers)
    _stopping: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _receiver: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    _cut: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.gate.when_free = self._room.wake_one
        self._buffer = GroupBuffer() if self.capabilities.groups else Buffer()
        self._settler = Settler(
            route=self.name,
            provider=self.provider,
            clock=self.clock,
            jitter=self.jitter,
            emit=self.emit,
            on_settled=self._on_settled,
            on_flushed=self._flushed,
            on_failure=self.on_failure,
        )

    # --------------------------------------------------------------------------------------------------- life of it

    async def run(self) -> None:
        """Run to the end; returns when everything received is in the ledger."""
        self.pipeline.runner = asyncio.current_task()
        async with asyncio.TaskGroup() as helpers:
            tasks = [helpers.create_task(self._settler.run()), helpers.create_task(self._keep_leases())]
            async with asyncio.TaskGroup() as slots:
                self._receiver = slots.create_task(self._receive_until_stopped(slots))
                await asyncio.wait([self._receiver])
                await self._wind_down()
            await self._settler.drained(self.flush_for.total_seconds())
            for task in tasks:
                task.cancel()
        self.unsettled = [held.delivery.id for held in self.in_hand]  # only now: answers came until the very end

    def stop(self) -> None:
        """Receive no more; what runs goes on, what waits for a slot, a thread or a process is given back."""
        self._stopping.set()
        self.flow.changed.set()
        self.provider.interrupt()
        self._release_waiting()
        self._free()

    def pause(self) -> None:
        """Receive no more until `resume`; what runs goes on, what waits to run is given back."""
        self.flow.pause()
        self._release_waiting()

    def resume(self) -> None:
        """Receive again."""
        self.flow.resume()

    def cut(self) -> None:
        """The grace is over: cancel what still runs."""
        self.stop()
        if not self._cut and self._receiver is not None:
            asyncio.get_running_loop().call_later(LAST_RECEIVE, self._receiver.cancel)
        self._cut = True
        for held in list(self.in_hand):
            held.interrupt(Cancelled())

    def give_up(self, after: timedelta) -> None:
        """Leave handlers that have refused to be cancelled for so long: their deliveries are left to their leases."""
        self.abandoned += sum(held.give_up(Abandoned(after)) for held in list(self.in_hand))

    async def _wind_down(self) -> None:
        """Wait until no handler runs, then let the slots go."""
        while self._running or self._buffer.waiting:
            await self._nothing.wait()
        self._stopping.set()
        self._idle.wake_all()

    # ------------------------------------------------------------------------------------------------------ receiving

    async def _receive_until_stopped(self, slots: asyncio.TaskGroup) -> None:
        try:
            await self._receiver_of(slots).run()
        except Exception as error:  # noqa: BLE001 - told where all routes are stopped for it, in order
            self.on_failure(error)

    def _receiver_of(self, slots: asyncio.TaskGroup) -> Receiver:
        return Receiver(
            route=self.name,
            provider=self.provider,
            wait=self.wait,
            until=self.until,
            quota=self.quota,
            flow=self.flow,
            clock=self.clock,
            jitter=self.jitter,
            emit=self.emit,
            room=self._room_for,
            made_room=self._room,
            take_in=partial(self._take_in, slots),
            busy=lambda: bool(self.in_hand),
            something_to_wait_for=self._something_to_wait_for,
            stopping=self._stopping,
        )

    def _room_for(self) -> int:
        """How many more deliveries can be taken in: slots are free, and not too many wait for their confirmation."""
        waiting = len(self._buffer.waiting)
        free = self.concurrency + self.prefetch - self._running - waiting
        bound = self.concurrency + self.prefetch + max(MIN_UNSETTLED, UNSETTLED_PER_SLOT * self.concurrency)
        return int(min(free, bound - len(self.in_hand), self.gate.room - waiting))

    async def _something_to_wait_for(self) -> bool:
        """Whether anything was in hand: its end may have put something into the queue."""
        if not self.in_hand:
            return False
        while self.in_hand and not self._stopping.is_set():
            await self._nothing.wait()
        return True

    def _take_in(self, slots: asyncio.TaskGroup, deliveries: Sequence[Delivery]) -> None:
        now = self.last_receive = self.clock.monotonic()
        if not deliveries:
            return
        for delivery in deliveries:
            held = Held(delivery, now)
            self.in_hand[held] = None
            self._buffer.put(held)
        self.ledger.received += len(deliveries)
        self._anything.set()
        if self.watched:
            for delivery in deliveries:
                self.emit(Received(route=self.name, delivery=delivery))
        if self._stopping.is_set() or self.flow.paused:  # a receive that was on its way brought them
            self._release_waiting()
            return
        self._rouse(slots)

    # ---------------------------------------------------------------------------------------------------------- slots

    def _rouse(self, slots: asyncio.TaskGroup) -> None:
        """Wake an idle slot, which wakes the next, or open another."""
        self._idle.wake_one()
        wanted = min(len(self._buffer.waiting) + self._running, self.concurrency)
        while self._slots < wanted:
            self._slots += 1
            slots.create_task(self._slot())

    async def _slot(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a slot runs as a task")
        while True:
            held = self._buffer.take()
            if held is None:
                if self._stopping.is_set():
                    return
                await self._idle.wait()
                continue
            if self._idle.waiting and self._buffer.waiting:
                self._idle.wake_one()
            self._running += 1
            decision = await self._decision_on(held, task)
            self._running -= 1
            self._hand_over(held, decision)
            self._free()

    def _free(self) -> None:
        """A slot is free: there is room to receive, and perhaps nothing left to wait for."""
        if self._room.waiting:
            self._room.wake_one()
        if self._nothing.waiting:
            self._nothing.wake_one()

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
        if self._stopping.is_set():
            return self._unstarted(held, Cancelled())
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
            self.emit(LeaseGone(route=self.name, delivery=held.delivery))
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

    def _hand_over(self, held: Held, decision: Decision) -> None:
        held.decision = decision
        held.stage = Stage.HANDLED
        if self.flow.circuit is not None:
            self.flow.note(decision)
        if decision.settlement is None:
            held.stage = Stage.DONE
            self._on_settled(held, decision.tally)
            self._free()
        else:
            self._settler.add(held)

    def _flushed(self) -> None:
        self.last_settled = self.clock.monotonic()
        self._free()

    def _release_waiting(self) -> None:
        for held in self._buffer.drain():
            self._hand_over(held, self.pipeline.decide(held, Cancelled()))
        for held in self.in_hand:
            if held.stage is Stage.IN_LINE:
                held.interrupt(Cancelled())

    # ------------------------------------------------------------------------------------------------------- settling

    def _on_settled(self, held: Held, column: Tally) -> None:
        del self.in_hand[held]
        setattr(self.ledger, column, getattr(self.ledger, column) + 1)
        if not self.in_hand:
            self._anything.clear()
        if held.delivery.envelope.group is not None:
            self._go_on_with_group(held, column)
        if self.watched:
            self._tell(held, column)

    def _go_on_with_group(self, held: Held, column: Tally) -> None:
        for sibling in self._buffer.settled(held, done=column in _DONE_TALLIES):
            self._hand_over(sibling, self.pipeline.decide(sibling, GroupFailed()))
        self._idle.wake_one()

    def _tell(self, held: Held, column: Tally) -> None:
        decision = held.decision
        if decision is None:
            return
        settlement = decision.settlement
        self.emit(
            Settled(
                route=self.name,
                delivery=held.delivery,
                request_type=held.message.request_type if held.message else None,
                settlement=settlement,
                reason=decision.reason,
                tally=column,
                elapsed=timedelta(seconds=self.clock.monotonic() - held.received_at),
                handling=None if held.handling is None else timedelta(seconds=held.handling),
                error=getattr(settlement, "error", ""),
            )
        )
        self.follow_ups.tell(held, column)

    async def _keep_leases(self) -> None:
        lease = self.capabilities.lease
        if lease is None:
            return
        keeper = LeaseKeeper(
            route=self.name,
            provider=self.provider,
            lease=lease,
            max_hold=min(self.max_hold, self.capabilities.max_hold or self.max_hold),
            clock=self.clock,
            in_hand=self.in_hand,
            emit=self.emit,
            on_failure=self.on_failure,
            settle_again=self._settler.again,
            anything=self._anything,
        )
        await keeper.run()

    @property
    def running(self) -> int:
        """Handlers that run now; what waits for a slot, a thread or a process does not."""
        return sum(held.stage is Stage.RUNNING for held in self.in_hand)

    def snapshot(self) -> Ledger:
        """The ledger at this instant."""
        deferred = self.provider.deferred if isinstance(self.provider, Accounting) else 0
        received = self.ledger.received + deferred
        return attrs.evolve(self.ledger, received=received, deferred=deferred, in_hand=len(self.in_hand))

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests that the queue has sent, where it counts them; else empty."""
        return dict(self.provider.requests) if isinstance(self.provider, Accounting) else {}
