"""The messages of one queue in memory: states, order, timers. No I/O, no clock, nothing asynchronous.

Two rules. A message changes its state only by `pulpo_core.domain.lifecycle.advance`, so what is
not in that table cannot happen here. And nothing is searched for: a heap holds what is ready, one
what is delayed and one the leases; an entry whose message has moved on meanwhile is stale, and is
thrown away when it comes to the top.

Callers hold `Store.lock` and say what time it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, Final

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError, LeaseLost, MessageNotFound
from pulpo_core.domain.lifecycle import Move, State, advance, newborn
from pulpo_core.domain.settlement import Ack, Bury, Release, Retry, Settlement

from .bell import Bell
from .groups import Groups
from .stored import Burial, Stored

# Members by names of the module: before Python 3.12 asking their class for one costs as much as the move it names.
READY, DELAYED, RESERVED, BURIED = State.READY, State.DELAYED, State.RESERVED, State.BURIED
RECEIVED, ACKED, DELETED = Move.RECEIVED, Move.ACKED, Move.DELETED

#: Stale leases are swept out when there are so many entries, and then whenever these have doubled.
_FIRST_SWEEP: Final = 1024

_NUMBERS: Final = count(1)  # of all queues, so that an id is never given twice in one process


#: When, and whose: order and token make an entry unlike any other, so that messages are never compared.
_Timer = tuple[float, int, int, Stored]


class Store:
    """What every `MemoryQueue` of one name shares."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.bell = Bell()
        self.paused_until = 0.0
        self._messages: dict[str, Stored] = {}
        self._ready: list[tuple[int, int, Stored]] = []
        self._delayed: list[_Timer] = []
        self._leases: list[_Timer] = []
        self._buried: dict[str, Stored] = {}  # oldest burial first
        self._groups = Groups()
        self._sweep_at = _FIRST_SWEEP

    def __bool__(self) -> bool:
        return bool(self._messages)

    # --- what becomes of messages by itself ---

    def pass_time(self, now: float) -> None:
        """Let everything happen that was due by *now*."""
        while self._delayed and self._delayed[0][0] <= now:
            when, _, _, stored = heappop(self._delayed)
            if stored.state is DELAYED and stored.until == when:
                self._make_ready(stored, Move.DELAY_ELAPSED)
        while self._leases and self._leases[0][0] <= now:
            when, _, _, stored = heappop(self._leases)
            if stored.state is RESERVED and stored.until == when:
                stored.lost += 1
                self._make_ready(stored, Move.LEASE_EXPIRED)

    def next_moment(self, now: float) -> float:
        """When something will happen by itself; ``inf`` for never."""
        moments = [heap[0][0] for heap in (self._delayed, self._leases) if heap]
        if self.paused_until > now:
            moments.append(self.paused_until)
        return min(moments, default=float("inf"))

    def _make_ready(self, stored: Stored, move: Move) -> None:
        stored.state = advance(stored.state, move)
        self._offer(stored)

    def _offer(self, stored: Stored) -> None:
        group = stored.envelope.group
        if group is None or self._groups.admit(group, stored):
            heappush(self._ready, (stored.envelope.priority, stored.order, stored))
            if self.bell.waiters:
                self.bell.ring()

    def _set_timer(self, heap: list[_Timer], when: float, stored: Stored) -> None:
        stored.until = when
        heappush(heap, (when, stored.order, stored.token, stored))
        self._tell_of(when)

    def _tell_of(self, moment: float) -> None:
        """Those who wait meant to wait for the moment that was next so far; *moment* may be before it."""
        if self.bell.waiters and moment <= self.next_moment(float("inf")):
            self.bell.ring_for_all()

    def _sweep_leases(self) -> None:
        live = [entry for entry in self._leases if entry[3].state is RESERVED and entry[3].until == entry[0]]
        heapify(live)
        self._leases[:] = live
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(live))

    # --- publish, receive, settle, extend ---

    def add(self, envelope: Envelope, *, ready_at: float, now: float) -> str:
        """Store *envelope*, to be ready at *ready_at*; its id."""
        number = next(_NUMBERS)
        name = str(number)
        if not envelope.uid:
            envelope = attrs.evolve(envelope, uid=f"memory:{name}")
        stored = Stored(name, envelope, number, newborn(delayed=ready_at > now))
        self._messages[name] = stored
        if stored.state is DELAYED:
            self._set_timer(self._delayed, ready_at, stored)
        else:
            self._offer(stored)
        return name

    def take(self, limit: int, *, until: float, now: float) -> list[Stored]:
        """Reserve at most *limit* messages, best first."""
        self.pass_time(now)
        taken: list[Stored] = []
        if now < self.paused_until:
            return taken
        while self._ready and len(taken) < limit:
            stored = heappop(self._ready)[2]
            if not self._may_come(stored):
                continue  # stale
            stored.state = advance(stored.state, RECEIVED)
            stored.attempts += 1
            stored.token += 1
            stored.settled = None
            stored.until = until
            heappush(self._leases, (until, stored.order, stored.token, stored))
            taken.append(stored)
        if taken:
            self._tell_of(until)
        if len(self._leases) > self._sweep_at:
            self._sweep_leases()
        return taken

    def _next_ready(self) -> Stored | None:
        """The message at the top, after whatever is stale above it was thrown away."""
        while self._ready:
            stored = self._ready[0][2]
            if self._may_come(stored):
                return stored
            heappop(self._ready)
        return None

    def _may_come(self, stored: Stored) -> bool:
        group = stored.envelope.group
        return stored.state is READY and (group is None or self._groups.is_head(group, stored))

    def has_ready(self) -> bool:
        """Whether `take` would find something, if time stood still and nothing is paused."""
        return self._next_ready() is not None

    def _held(self, receipt: Any, now: float) -> Stored | None:
        """The message that *receipt* holds now."""
        try:
            store, stored, token = receipt
        except (TypeError, ValueError):
            return None  # not a receipt of this kind of queue
        if store is self and stored.token == token and stored.state is RESERVED and now < stored.until:
            held: Stored = stored
            return held
        return None

    def settle(
        self, receipt: Any, settlement: Settlement, *, now: float, at: Callable[[], datetime]
    ) -> AdapterError | None:
        """Do what *settlement* says with what *receipt* holds, or say why not and change nothing."""
        stored = self._held(receipt, now)
        if stored is None:
            return None if _already(receipt, settlement) else lease_lost(receipt)
        stored.settled = type(settlement)
        match settlement:
            case Ack():
                self._remove(stored, ACKED)
            case Retry(delay=delay):
                stored.state = advance(stored.state, Move.RETRIED)
                self._set_timer(self._delayed, now + (delay.total_seconds() if delay else 0.0), stored)
                self.pass_time(now)
            case Bury(reason=reason, error=error):
                self._bury(stored, Burial(reason, error, at()))
            case Release():
                stored.attempts -= 1  # nobody's fault: it does not count
                self._make_ready(stored, Move.RELEASED)
        return None

    def holds(self, receipt: Any, now: float) -> bool:
        """Whether *receipt* could be settled now."""
        return self._held(receipt, now) is not None

    def extend(self, receipt: Any, *, until: float, now: float) -> float | AdapterError:
        """Let the lease of *receipt* end at *until*, if that is later; when it ends."""
        stored = self._held(receipt, now)
        if stored is None:
            return lease_lost(receipt)
        stored.state = advance(stored.state, Move.LEASE_EXTENDED)
        if until > stored.until:
            self._set_timer(self._leases, until, stored)
        return stored.until

    def _bury(self, stored: Stored, burial: Burial) -> None:
        stored.state = advance(stored.state, Move.BURIED)
        stored.burial = burial
        self._buried[stored.id] = stored
        if stored.envelope.group is not None:
            self._leave_group(stored.envelope.group, stored)

    def _remove(self, stored: Stored, move: Move) -> None:
        stored.state = advance(stored.state, move)
        del self._messages[stored.id]
        if stored.burial is not None:
            del self._buried[stored.id]
        if stored.envelope.group is not None:
            self._leave_group(stored.envelope.group, stored)

    def _leave_group(self, group: str, stored: Stored) -> None:
        successor = self._groups.leave(group, stored)
        if successor is not None:
            self._offer(successor)

    # --- look and repair ---

    def all(self) -> Iterable[Stored]:
        """Every message there is."""
        return self._messages.values()

    def get(self, name: str) -> Stored | None:
        """The message with that id."""
        return self._messages.get(name)

    def first(self, state: State) -> Stored | None:
        """The next message of *state*."""
        if state is READY:
            return self._next_ready()
        if state is BURIED:
            return next(iter(self._buried.values()), None)
        while self._delayed and self._delayed[0][3].state is not DELAYED:
            heappop(self._delayed)
        return self._delayed[0][3] if self._delayed else None

    def buried(self) -> Sequence[Stored]:
        """What is buried, oldest burial first."""
        return list(self._buried.values())

    def kick(self, names: Sequence[str]) -> None:
        """Make these ready again, with a fresh budget of attempts.

        Raises:
            MessageNotFound: one of them is not buried; nothing was kicked.
        """
        for name in names:
            if name not in self._buried:
                raise MessageNotFound(f"no message {name!r} is buried here; nothing was kicked")
        for name in names:
            stored = self._buried.pop(name)
            stored.attempts = stored.lost = 0
            stored.burial = None
            self._make_ready(stored, Move.KICKED)

    def delete(self, name: str) -> AdapterError | None:
        """Remove a message that nobody is handling, or say why not."""
        stored = self._messages.get(name)
        if stored is None:
            return MessageNotFound(f"there is no message {name!r} here")
        if stored.state is RESERVED:
            return AdapterError(f"message {name!r} is being handled; try again when it is not", temporary=True)
        self._remove(stored, DELETED)
        return None

    def purge(self, states: frozenset[State]) -> int:
        """Remove every message of *states*; how many there were."""
        doomed = [stored for stored in self._messages.values() if stored.state in states]
        for stored in doomed:
            self._remove(stored, DELETED)
        for state, heap in ((READY, self._ready), (DELAYED, self._delayed)):
            if state in states:
                heap.clear()  # it holds stale entries only
        return len(doomed)


def _already(receipt: Any, settlement: Settlement) -> bool:
    """Whether the reservation of *receipt* was settled in just this way."""
    return (
        isinstance(receipt, tuple)
        and len(receipt) == 3
        and isinstance(receipt[1], Stored)
        and receipt[1].token == receipt[2]
        and receipt[1].settled is type(settlement)
    )


def lease_lost(receipt: Any) -> LeaseLost:
    """The refusal of a receipt that holds nothing any more."""
    known = isinstance(receipt, tuple) and len(receipt) == 3 and isinstance(receipt[1], Stored)
    name = f"message {receipt[1].id!r}" if known else "this receipt"
    return LeaseLost(f"{name} is no longer held by this delivery: its lease ended or it was settled otherwise")
