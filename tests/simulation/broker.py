"""The simulated broker: a queue that is the reference model itself, so that it does what a queue may do and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Capabilities,
    Delivery,
    Envelope,
    Lease,
    LeaseLost,
    Policy,
    Retry,
    Settlement,
    State,
)
from pulpo_core.testing import START
from pulpo_core.testing.model import Entry, Model

from .books import Books
from .fate import Fate


@attrs.define(eq=False)
class Reservation:
    """One handing-out, as the broker and the books see it.

    Attributes:
        holder: the session that has it.
        blame: the fault that may have kept it from being settled in time.
    """

    broker: Broker
    name: str
    number: int
    holder: Any
    attempt: int
    blame: str = ""

    @property
    def live(self) -> bool:
        """Whether it is the one that counts, now."""
        self.broker.move()
        return self.broker.model.holds(self.name, self.number)


@attrs.define(eq=False)
class Poll:
    """A receive that waits at the broker."""

    limit: int
    holder: Any
    answer: Any  # called with the reservations, once


class QueueModel(Model):
    """The reference model, which tells who loses a lease, and hands out several of a group in one answer."""

    def __init__(self, capabilities: Capabilities, broker: Broker) -> None:
        super().__init__(capabilities)
        self.broker = broker
        self.together: list[Entry] = []

    def move_to(self, now: float) -> None:
        held = [name for name, entry in self.entries.items() if entry.state is State.RESERVED and entry.until <= now]
        super().move_to(now)
        for name in held:
            self.broker.lease_ended(name)

    def _siblings(self, entry: Entry) -> list[Entry]:
        return [each for each in super()._siblings(entry) if not any(each is other for other in self.together)]


class Broker:
    """One queue of the simulated world.

    Attributes:
        policy: of every route that receives from it.
        away_until: nobody reaches it before.
        sessions: those who are connected.
    """

    def __init__(self, url: str, capabilities: Capabilities, policy: Policy, fate: Fate, books: Books) -> None:
        self.url = url
        self.policy = policy
        self.capabilities = capabilities
        self.fate = fate
        self.books = books
        self.model = QueueModel(capabilities, self)
        self.envelopes: dict[str, Envelope] = {}
        self.burials: dict[str, Bury] = {}
        self.current: dict[str, Reservation] = {}
        self.polls: list[Poll] = []
        self.away_until = 0.0
        self.sessions: list[Any] = []
        self._alarm: asyncio.TimerHandle | None = None

    # --- time

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def move(self) -> None:
        """Let happen what is due."""
        self.model.move_to(self.now)

    def changed(self) -> None:
        """Serve whoever waits, and look again when the next thing falls due."""
        self.move()
        self.serve()
        if self._alarm is not None:
            self._alarm.cancel()
        due = [each.until for each in self.model.of(State.DELAYED, State.RESERVED).values()]
        self._alarm = asyncio.get_running_loop().call_at(min(due), self.changed) if due else None

    def lease_ended(self, name: str) -> None:
        """The lease of *name* is over: that takes a reason."""
        reservation = self.current.pop(name)
        self.books.note("lease ended", self.url, name, reservation.blame)
        if not reservation.blame:
            self.books.object(f"{self.url} {name}: its lease ended for no reason (delivery {reservation.attempt})")

    # --- receive

    def poll(self, poll: Poll) -> None:
        """Somebody asks for messages."""
        self.polls.append(poll)
        self.changed()

    def serve(self) -> None:
        """Hand out what is ready."""
        for poll in list(self.polls):
            taken = self._take(poll)
            if taken:
                self.polls.remove(poll)
                poll.answer(taken)

    def _take(self, poll: Poll) -> list[Reservation]:
        taken: list[Reservation] = []
        self.model.together.clear()
        while len(taken) < poll.limit and (name := self._next()) is not None:
            taken.append(self._reserve(name, poll.holder))
        self.model.together.clear()
        return taken

    def _next(self) -> str | None:
        ready = self.model.of(State.READY)
        for name in sorted(ready, key=lambda name: (ready[name].priority, ready[name].order)):
            if self.model.objection(ready[name]) is None:
                return name
        return None

    def _reserve(self, name: str, holder: Any) -> Reservation:
        entry = self.model.entries[name]
        lease = self.capabilities.lease
        assert lease is not None
        delivery = Delivery(id=name, envelope=self.envelopes[name], lease=Lease(0))
        number = self.model.receive(delivery, until=self.now + lease.total_seconds())
        self.model.together.append(entry)
        self.current[name] = Reservation(self, name, number, holder, entry.attempts)
        return self.current[name]

    # --- settle and extend

    def settle(
        self, reservation: Reservation, settlement: Settlement, follow_ups: Sequence[Envelope]
    ) -> AdapterError | None:
        """Do it, or say why not."""
        name = reservation.name
        entry = self.model.entries[name]
        if not reservation.live:
            if entry.held == reservation.number and entry.settled is type(settlement):
                return None
            late = isinstance(settlement, Ack) and self.capabilities.late_ack and not follow_ups
            if late and entry.state is State.READY:
                self.books.gone(self, name)
                self.model.delete([name])
                return None
            return LeaseLost("somebody else's by now")
        for envelope in follow_ups:
            self.publish(envelope)
        if isinstance(settlement, Ack):
            self.books.gone(self, name)
        elif isinstance(settlement, Retry):
            self.books.retried(self, name, entry.attempts)
        elif isinstance(settlement, Bury):
            self.burials[name] = settlement
        self.model.settle(name, settlement)
        self.current.pop(name, None)
        self.books.note(type(settlement).__name__, self.url, name)
        self.changed()
        return None

    def extend(self, reservation: Reservation, sent_at: float) -> float | AdapterError:
        """The full lease again."""
        lease = self.capabilities.lease
        assert lease is not None
        if not reservation.live:
            return LeaseLost("not held any more")
        self.model.entries[reservation.name].until = self.now + lease.total_seconds()
        self.changed()
        return sent_at + lease.total_seconds()

    # --- publish

    def publish(self, envelope: Envelope) -> str:
        """Store it; its id."""
        name = f"{self.url.rpartition('/')[2]}-{len(self.envelopes) + 1}"
        delay = (envelope.not_before - START).total_seconds() + 1000 - self.now if envelope.not_before else 0.0
        group = envelope.group if self.capabilities.groups else None
        self.envelopes[name] = attrs.evolve(envelope, group=group, metadata={"id": name})
        self.model.publish(name, envelope.body, priority=envelope.priority, group=group, delay=delay)
        self.books.stored(self, name, envelope.uid)
        self.changed()
        return name

    # --- faults

    def revoke(self, reservations: Sequence[Reservation], why: str) -> None:
        """End leases before their time."""
        for each in reservations:
            if each.live:
                each.blame = each.blame or why
                self.model.entries[each.name].until = self.now
        self.changed()

    def blame(self, why: str, holder: Any = None) -> None:
        """Whatever is reserved now, by *holder* alone if given, may be lost because of *why*."""
        for each in self.current.values():
            if holder is None or each.holder is holder:
                each.blame = each.blame or why
