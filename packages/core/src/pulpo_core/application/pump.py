"""One route at work: receive, hand to slots, settle, keep leases, and come to a stop in two phases.

::

    receiver ──► buffer ──► slots (pipeline) ──► settler ──► ledger
        ▲                        │    ▲             │
        └──── a slot is free ────┘    └── lease keeper (interrupts what is lost)

Routes share nothing but the limits of the process, so none can delay another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.decision import Decision, Tally
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.outcome import Abandoned, Cancelled, GroupFailed
from pulpo_core.ports.adapter import Provider
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event, Received, Settled
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
from .slots import Slots
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
    _slots: Slots = attrs.field(init=False)
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
        self._slots = Slots(
            route=self.name,
            concurrency=self.concurrency,
            buffer=self._buffer,
            pipeline=self.pipeline,
            follow_ups=self.follow_ups,
            gate=self.gate,
            clock=self.clock,
            emit=self.emit,
            stopping=self._stopping,
            on_decided=self._hand_over,
            on_free=self._free,
            on_failure=self.on_failure,
        )

    # --------------------------------------------------------------------------------------------------- life of it

    async def run(self) -> None:
        """Run to the end; returns when everything received is in the ledger."""
        self.pipeline.calls.runner = asyncio.current_task()
        async with asyncio.TaskGroup() as helpers:
            tasks = [helpers.create_task(self._settler.run()), helpers.create_task(self._keep_leases())]
            async with self._slots.group as slots:
                self._receiver = slots.create_task(self._receive_until_stopped())
                await asyncio.wait([self._receiver])
                await self._wind_down()
            await self._settler.drained(self.flush_for.total_seconds())
            for task in tasks:
                task.cancel()
        self.unsettled = [held.delivery.id for held in self.in_hand]  # only now: answers came until the very end

    def stop(self) -> None:
        """Receive no more; what runs goes on, what waits to run is given back."""
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
        while self._slots.taken or self._buffer.waiting:
            await self._nothing.wait()
        self._stopping.set()
        self._slots.let_go()

    # ------------------------------------------------------------------------------------------------------ receiving

    async def _receive_until_stopped(self) -> None:
        try:
            await self._make_receiver().run()
        except Exception as error:  # noqa: BLE001 - told where all routes are stopped for it, in order
            self.on_failure(error)

    def _make_receiver(self) -> Receiver:
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
            take_in=self._take_in,
            busy=lambda: bool(self.in_hand),
            something_to_wait_for=self._something_to_wait_for,
            stopping=self._stopping,
        )

    def _room_for(self) -> int:
        """How many more deliveries can be taken in: slots are free, and not too many wait for their confirmation."""
        waiting = len(self._buffer.waiting)
        free = self.concurrency + self.prefetch - self._slots.taken - waiting
        bound = self.concurrency + self.prefetch + max(MIN_UNSETTLED, UNSETTLED_PER_SLOT * self.concurrency)
        return int(min(free, bound - len(self.in_hand), self.gate.room - waiting))

    async def _something_to_wait_for(self) -> bool:
        """Whether anything was in hand: its end may have put something into the queue."""
        if not self.in_hand:
            return False
        while self.in_hand and not self._stopping.is_set():
            await self._nothing.wait()
        return True

    def _take_in(self, deliveries: Sequence[Delivery]) -> None:
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
        self._slots.rouse()

    # --------------------------------------------------------------------------------------------------- handing over

    def _free(self) -> None:
        """A slot is free: there is room to receive, and perhaps nothing left to wait for."""
        if self._room.waiting:
            self._room.wake_one()
        if self._nothing.waiting:
            self._nothing.wake_one()

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
            held.call_off(Cancelled())
        self.gate.hurry()

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
        self._slots.go_on()

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
