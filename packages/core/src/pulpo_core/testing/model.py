"""What a queue is, in a few lines that can be read: the model beside which real queues are walked.

Slow and simple on purpose. It shares nothing with the queue in memory but the lifecycle table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

import attrs

from pulpo_core.domain.capabilities import Capabilities, Order
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.lifecycle import Move, State, advance, newborn
from pulpo_core.domain.settlement import Ack, Bury, Release, Retry, Settlement

MOVE_OF: dict[type[Settlement], Move] = {
    Ack: Move.ACKED,
    Retry: Move.RETRIED,
    Bury: Move.BURIED,
    Release: Move.RELEASED,
}


@attrs.define
class Entry:
    """One message as the model sees it.

    Attributes:
        order: place by arrival.
        until: end of the delay when delayed, of the lease when reserved.
        held: how often it was reserved; the number of a delivery's reservation.
        settled: how the latest reservation was settled.
        placeless: it was kicked or published with a delay, and has no particular place among its equals.
        again: it is delayed because it was retried.
        kicked: it was buried and kicked, which where that is done by copies gives it another id.
    """

    body: bytes
    order: int
    priority: int
    group: str | None
    state: State
    until: float = 0.0
    attempts: int = 0
    lost: int = 0
    held: int = 0
    settled: type[Settlement] | None = None
    placeless: bool = False
    again: bool = False
    kicked: bool = False


class Model:
    """All messages of one queue, and what may happen to them."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.now = 0.0
        self.entries: dict[str, Entry] = {}
        self._capabilities = capabilities

    # --- time ---

    def move_to(self, now: float) -> None:
        """Let everything happen that is due by *now*."""
        self.now = now
        for entry in self.entries.values():
            if entry.until > now:
                continue
            if entry.state is State.DELAYED:
                entry.state = advance(entry.state, Move.DELAY_ELAPSED)
            elif entry.state is State.RESERVED:
                entry.state = advance(entry.state, Move.LEASE_EXPIRED)
                entry.lost += 1

    def near_a_deadline(self, moment: float, margin: float) -> bool:
        """Whether anything falls due within *margin* of *moment*."""
        waiting = [entry for entry in self.entries.values() if entry.state in {State.DELAYED, State.RESERVED}]
        return any(abs(entry.until - moment) < margin for entry in waiting)

    # --- what is there ---

    def of(self, *states: State) -> dict[str, Entry]:
        """The messages in any of *states*."""
        return {name: entry for name, entry in self.entries.items() if entry.state in states}

    def counts(self) -> Counter[str]:
        """How many messages are in each state, by its name."""
        return Counter(entry.state.value for entry in self.entries.values())

    def _siblings(self, entry: Entry) -> list[Entry]:
        if entry.group is None or not self._capabilities.groups:
            return []
        return [each for each in self.entries.values() if each.group == entry.group and each is not entry]

    def _comes_before(self, one: Entry, other: Entry) -> bool:
        """Whether *one* must be handed out before *other*, were both free to be."""
        if self._capabilities.order is not Order.PRIORITY:
            return False
        if self._capabilities.priority and one.priority != other.priority:
            return one.priority < other.priority
        return not (one.placeless or other.placeless) and one.order < other.order

    def is_free(self, entry: Entry) -> bool:
        """Whether nothing keeps *entry* from being handed out: not even a sibling that might come first."""
        if entry.state is not State.READY:
            return False
        return not any(
            sibling.state in {State.READY, State.RESERVED} or (sibling.state is State.DELAYED and sibling.again)
            for sibling in self._siblings(entry)
            if sibling.state is State.RESERVED or sibling.order < entry.order or sibling.placeless or entry.placeless
        )

    def is_held_back(self, entry: Entry) -> bool:
        """Whether a sibling in hand, or retried and not yet due, keeps *entry* from everybody."""
        return any(
            sibling.state is State.RESERVED or (sibling.state is State.DELAYED and sibling.again)
            for sibling in self._siblings(entry)
        )

    def objection(self, entry: Entry, *, beside: Container[str] = ()) -> str | None:
        """Why *entry* must not be handed out now, together with those named *beside* by one receive."""
        if entry.state is not State.READY:
            return f"it is {entry.state}"
        for sibling in self._siblings(entry):
            if sibling.state is State.RESERVED:
                if self._together(sibling, beside):
                    continue
                return "another of its group is in hand"
            blocks = sibling.state is State.READY or (sibling.state is State.DELAYED and sibling.again)
            if blocks and sibling.order < entry.order and not (sibling.placeless or entry.placeless):
                return "an earlier one of its group was not handed out yet"
        overtaken = [each for each in self.entries.values() if self.is_free(each) and self._comes_before(each, entry)]
        return f"{len(overtaken)} others come before it" if overtaken else None

    def _together(self, sibling: Entry, beside: Container[str]) -> bool:
        """Whether *sibling* was handed out by the same receive, and such queues do that: a group at once, in order."""
        named = any(name in beside for name, entry in self.entries.items() if entry is sibling)
        return named and self._capabilities.order is Order.GROUP

    # --- what happens ---

    def publish(self, name: str, body: bytes, *, priority: int, group: str | None, delay: float) -> None:
        """A message was published."""
        assert name not in self.entries, f"the id {name!r} was given twice"
        entry = Entry(body, len(self.entries), priority, group, newborn(delayed=delay > 0), self.now + delay)
        entry.placeless = delay > 0
        self.entries[name] = entry

    def receive(self, delivery: Delivery, *, until: float, beside: Container[str] = ()) -> int:
        """*delivery* was handed out, with those named *beside* by the same receive; the number of its reservation."""
        entry = self.entries.get(delivery.id)
        assert entry is not None, f"{delivery.id!r} was never published"
        objection = self.objection(entry, beside=beside)
        assert objection is None, f"{delivery.id!r} was handed out, but {objection}"
        entry.state = advance(entry.state, Move.RECEIVED)
        entry.attempts += 1
        entry.held += 1
        entry.settled = None
        entry.until = until
        assert delivery.envelope.body == entry.body, "the body was changed"
        return entry.held

    def holds(self, name: str, reservation: int) -> bool:
        """Whether that reservation is live."""
        entry = self.entries[name]
        return entry.state is State.RESERVED and entry.held == reservation

    def settle(self, name: str, settlement: Settlement) -> None:
        """The live reservation of *name* was settled."""
        entry = self.entries[name]
        entry.settled = type(settlement)
        entry.state = advance(entry.state, MOVE_OF[type(settlement)])
        if isinstance(settlement, Retry):
            entry.until = self.now + (settlement.delay.total_seconds() if settlement.delay else 0)
            entry.again = True
            self.move_to(self.now)
        elif isinstance(settlement, Release) and not self._capabilities.attempt_slack:
            entry.attempts -= 1

    def kick(self, names: Iterable[str]) -> None:
        """These were kicked."""
        for name in names:
            entry = self.entries[name]
            entry.state = advance(entry.state, Move.KICKED)
            entry.attempts, entry.lost = 0, 0
            entry.placeless, entry.again, entry.kicked = True, False, True

    def delete(self, names: Iterable[str]) -> None:
        """These were deleted or purged."""
        for name in names:
            self.entries[name].state = advance(self.entries[name].state, Move.DELETED)
