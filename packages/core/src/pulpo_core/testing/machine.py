"""Random walks: a Hypothesis state machine that does the same to a queue and to its model.

::

    TestWalks = queue_machine(KafkaHarness, examples=50, steps=40).TestCase

What both say is compared at every step. A failure shrinks to a short story, and ends with a line
that has it again, put around the machine: ``reproduce_failure('…', b'…')(queue_machine(KafkaHarness))``.
Deliveries are never taken out of the machine's hands: settling, extending and settling again are
tried with stale ones as often as with live ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from pulpo_core.domain.capabilities import Order
from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import AdapterError, LeaseLost, MessageNotFound
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.message import DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY
from pulpo_core.domain.settlement import Ack, Bury, Release, Retry, Settlement
from pulpo_core.ports.adapter import Record

from .harness import Harness
from .model import Model
from .stage import Holder, Stage

T = TypeVar("T")

#: Nothing may fall due so close to a step: a moment passes in the queue too, while it is asked.
_MARGIN = 0.5

_HOLDERS = 3

SETTLEMENTS = st.sampled_from(["ack", "ack", "retry", "retry later", "bury", "bury", "release"])


@attrs.frozen(eq=False)
class Held:
    """One delivery in somebody's hands, live or stale, of the message that the model calls *name*."""

    name: str
    delivery: Delivery
    reservation: int
    holder: int
    stay: int  # of the holder: how often it had opened the queue

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"<delivery {self.reservation} of message {self.name}>")


class QueueWalk(RuleBasedStateMachine):
    """The walk; `queue_machine` makes one for a harness."""

    harness: Callable[[], Harness]

    messages: Bundle[str] = Bundle("messages")
    deliveries: Bundle[Held] = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(type(self).harness())
        self.bench = self.stage.bench
        self.caps = self.bench.caps
        self.model = Model(self.caps)
        self.names: dict[bytes, str] = {}
        self.in_hand: list[Held] = []
        self.holders = [Holder(self.bench) for _ in range(_HOLDERS)]
        for holder in self.holders:
            self.stage.do(holder.reopen())
        self._look_at_the_clock()

    def teardown(self) -> None:
        """Whatever was not acknowledged or deleted comes in the end, and nothing else."""
        try:
            if sys.exc_info()[1] is None:  # else the walk has failed already, and its own error is the one to tell
                self._settle_accounts()
        finally:
            for holder in self.holders:
                self.stage.do(holder.close())
            self.stage.close()

    def _look_at_the_clock(self) -> None:
        self.model.move_to(self.bench.clock.monotonic())

    # --- steps ---

    @initialize(number=st.integers(0, 6))
    def begin(self, number: int) -> None:
        """There is something in the queue from the beginning, mostly."""
        for _ in range(number):
            self.publish(DEFAULT_PRIORITY, 0, None)

    @rule(
        target=messages,
        priority=st.sampled_from([DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY]),
        delay=st.sampled_from([0, 0, 0, 5, 20, 300]),
        group=st.sampled_from([None, None, "a", "b"]),
    )
    def publish_one(self, priority: int, delay: int, group: str | None) -> str:
        """Publish one message."""
        return self.publish(priority, delay, group)

    def publish(self, priority: int, delay: int, group: str | None) -> str:
        """Publish, as far as the queue can have it so."""
        fields: dict[str, Any] = {}
        if self.caps.priority:
            fields["priority"] = priority
        if self.caps.groups:
            fields["group"] = group
        if self.caps.max_delay is not None:
            delay = min(delay, int(self.caps.max_delay.total_seconds()))
        envelope = self.bench.delayed(delay, **fields) if delay else self.bench.envelope(**fields)
        self._look_at_the_clock()
        (name,) = self.stage.do(self.bench.publish(envelope))
        self.names[envelope.body] = name
        self.model.publish(name, envelope.body, priority=envelope.priority, group=envelope.group, delay=delay)
        return name

    @rule(target=deliveries, limit=st.integers(1, 4), holder=st.integers(0, _HOLDERS - 1))
    def receive(self, limit: int, holder: int) -> Any:
        """Receive what there is, and keep it in hand."""
        return multiple(*self.received(limit, holder))

    @rule(target=deliveries, limit=st.integers(1, 3), holder=st.integers(0, _HOLDERS - 1), settlement=SETTLEMENTS)
    def handle(self, limit: int, holder: int, settlement: str) -> Any:
        """Receive what there is, and settle it."""
        held = self.received(limit, holder)
        for each in held:
            self.settle_any(each, settlement)
        return multiple(*held)

    def received(self, limit: int, holder: int) -> list[Held]:
        """Receive, and see whether it is what should come."""
        queue, stay = self.holders[holder].queue, self.holders[holder].stay
        received = self.stage.do(self.bench.receive(limit, queue=queue))
        self._look_at_the_clock()
        assert len(received) <= limit
        held = self._all_taken(received, holder, stay)
        left = [name for name, entry in self.model.entries.items() if self.model.is_free(entry)]
        complete = self.caps.order is Order.PRIORITY or not received
        assert not (complete and left and len(received) < limit), f"{left} are ready and were not handed out"
        return held

    def _all_taken(self, received: Sequence[Delivery], holder: int, stay: int) -> list[Held]:
        """What one receive has brought."""
        held: list[Held] = []
        for delivery in received:
            held.append(self._taken(delivery, holder, stay, beside={each.name for each in held}))
        return held

    def _taken(self, delivery: Delivery, holder: int, stay: int, *, beside: Container[str]) -> Held:
        lease = self.caps.lease.total_seconds() if self.caps.lease else float("inf")
        name = self.names.get(delivery.envelope.body)
        assert name is not None, f"{delivery.id!r} has a body that was never published"
        entry = self.model.entries[name]
        assert delivery.id == name or entry.kicked, f"{name!r} was handed out as {delivery.id!r}"
        until = self.model.now + lease
        reservation = self.model.receive(attrs.evolve(delivery, id=name), until=until, beside=beside)
        if self.caps.exact_attempts:
            assert delivery.attempt == entry.attempts, "attempts are miscounted"
        assert delivery.attempt >= 1
        assert 0 <= delivery.lost <= entry.lost, "losses are miscounted"
        held = Held(name, delivery, reservation, holder, stay)
        self.in_hand.append(held)
        return held

    def live(self) -> list[Held]:
        """What can be settled now."""
        self._look_at_the_clock()
        live = [each for each in self.in_hand if self.model.holds(each.name, each.reservation)]
        return [each for each in live if not self._is_of_the_past(each)]

    @precondition(lambda self: self.live())
    @rule(data=st.data(), settlement=SETTLEMENTS)
    def settle(self, data: st.DataObject, settlement: str) -> None:
        """Settle a live delivery."""
        self.settle_any(data.draw(st.sampled_from(self.live())), settlement)

    @rule(held=deliveries, settlement=SETTLEMENTS)
    def settle_any(self, held: Held, settlement: str) -> None:
        """Settle a delivery, live or stale, perhaps not for the first time."""
        if self._is_of_the_past(held):
            return
        asked = self._settlement(settlement)
        self._look_at_the_clock()
        live = self.model.holds(held.name, held.reservation)
        if not live and self._removes_or_not(held, asked):
            return
        queue = self.holders[held.holder].queue
        answer = self.stage.do(self.bench.settle(held.delivery, asked, queue=queue))
        if live:
            assert answer is None, f"a live delivery could not be settled: {answer!r}"
            self.model.settle(held.name, asked)
        elif answer is not None:
            assert isinstance(answer, LeaseLost), f"expected LeaseLost, not {answer!r}"
        else:
            self._accepted_although_stale(held, asked)

    def _settlement(self, name: str) -> Settlement:
        kinds: dict[str, Settlement] = {
            "ack": Ack(),
            "retry": Retry(self.caps.min_retry_delay),
            "retry later": Retry(20),
            "bury": Bury("fatal", "an error"),
            "release": Release(),
        }
        return kinds[name]

    def _removes_or_not(self, held: Held, asked: Settlement) -> bool:
        """Whether it is left to the queue what becomes of a late `Ack`: the message may be gone afterwards, or not."""
        ready = self.model.entries[held.name].state is State.READY
        return self.caps.late_ack and isinstance(asked, Ack) and not ready

    def _accepted_although_stale(self, held: Held, asked: Settlement) -> None:
        """Allowed if it was settled so before, or late with an `Ack` where that is declared to be safe."""
        entry = self.model.entries[held.name]
        if entry.held > held.reservation or entry.settled is type(asked):
            return  # what it was settled with may be forgotten, and what is forgotten cannot be compared
        late = self.caps.late_ack and isinstance(asked, Ack) and entry.state is State.READY
        assert late, f"a stale {type(asked).__name__} was accepted; the message is {entry.state}"
        self.model.delete([held.name])

    def _is_of_the_past(self, held: Held) -> bool:
        """Its holder has closed the queue since."""
        return self.holders[held.holder].stay != held.stay

    @rule(held=deliveries)
    def extend(self, held: Held) -> None:
        """Extend a delivery, live or stale."""
        if self._is_of_the_past(held):
            return
        self._look_at_the_clock()
        live = self.model.holds(held.name, held.reservation)
        (answer,) = self.stage.do(self.bench.extend(held.delivery, queue=self.holders[held.holder].queue))
        if not live:
            assert isinstance(answer, AdapterError), f"a stale delivery was extended until {answer!r}"
        else:
            assert isinstance(answer, float), f"a live delivery could not be extended: {answer!r}"
            self.model.entries[held.name].until = answer

    @precondition(lambda self: self.model.of(State.DELAYED, State.RESERVED))
    @rule(number=st.integers(0, 5))
    def nearly_due(self, number: int) -> None:
        """Let time pass until some deadline is just not reached."""
        self._look_at_the_clock()
        deadlines = sorted(entry.until for entry in self.model.of(State.DELAYED, State.RESERVED).values())
        moment = deadlines[number % len(deadlines)] - 1.2 * _MARGIN
        self.lapse(max(moment - self.bench.clock.monotonic(), 0))

    @rule(seconds=st.sampled_from([1, 5, 13, 47, 400]))
    def lapse(self, seconds: float) -> None:
        """Let time pass."""
        moment = self.bench.clock.monotonic() + seconds
        while self.model.near_a_deadline(moment, _MARGIN):
            moment += 2 * _MARGIN
        self.stage.do(self.bench.advance(moment - self.bench.clock.monotonic()))
        self._look_at_the_clock()

    @precondition(lambda self: self.model.of(State.BURIED))
    @rule(limit=st.sampled_from([None, 1, 2]))
    def kick(self, limit: int | None) -> None:
        """Kick some burials."""
        records = self.stage.do(self.bench.buried())
        before = self._named(records)
        assert before.keys() == self.model.of(State.BURIED).keys()
        assert {(record.reason, record.error) for record in records} == {("fatal", "an error")}
        kicked = self.stage.do(self.bench.call(self.bench.queue.kick(limit=limit)))
        after = self._named(self.stage.do(self.bench.buried()))
        assert kicked == len(before) - len(after) == (len(before) if limit is None else min(limit, len(before)))
        self.model.kick(before.keys() - after.keys())

    def _named(self, records: Sequence[Record]) -> dict[str, str]:
        """The ids of buried messages, which may be copies, by the names that the model has for them."""
        return {self.names[record.envelope.body]: record.id for record in records}

    @rule(name=messages)
    def kick_one(self, name: str) -> None:
        """Kick a message, buried or not."""
        ids = self._named(self.stage.do(self.bench.buried()))
        self._look_at_the_clock()
        try:
            kicked = self.stage.do(self.bench.call(self.bench.queue.kick([ids.get(name, name)])))
        except MessageNotFound:
            assert self.model.entries[name].state is not State.BURIED
        else:
            assert kicked == 1
            self.model.kick([name])

    @precondition(lambda self: self.caps.purge_states and len(self.model.entries) > 8)
    @rule(number=st.integers(0, 2))
    def purge(self, number: int) -> None:
        """Empty one state; not early, or there would be little to walk through."""
        states = sorted(self.bench.purgeable())
        if number >= len(states):
            return
        self._look_at_the_clock()
        doomed = self.model.of(states[number])
        purged = self.stage.do(self.bench.call(self.bench.queue.purge(frozenset({states[number]}))))
        if purged != len(doomed):  # it may reach only what it could hand out
            doomed = {name: entry for name, entry in doomed.items() if not self.model.is_held_back(entry)}
        assert purged == len(doomed)
        self.model.delete(doomed)

    @rule(holder=st.integers(0, _HOLDERS - 1))
    def reopen(self, holder: int) -> None:
        """Close the queue with deliveries in hand, and open it again."""
        self.stage.do(self.holders[holder].reopen())

    @invariant()
    def counts_agree(self) -> None:
        """As many messages are in each state as there should be."""
        stats = self.stage.do(self.bench.call(self.bench.queue.stats()))
        self._look_at_the_clock()
        if stats.exact:
            counts = self.model.counts()
            for name in self.caps.count_states:
                assert getattr(stats, name) == counts[name], f"{name}: {getattr(stats, name)}, not {counts[name]}"

    def _settle_accounts(self) -> None:
        self.stage.do(self.bench.call(self.bench.queue.kick()))
        self.stage.do(self.bench.advance(400))
        self.stage.do(self.bench.pass_lease())
        self._look_at_the_clock()
        self.model.kick(self.model.of(State.BURIED))
        while came := self.stage.do(self.bench.receive(self.caps.max_batch)):
            self._look_at_the_clock()
            held = self._all_taken(came, 0, 0)
            self.stage.do(self.bench.ack(*came))
            for each in held:
                self.model.settle(each.name, Ack())
        left = self.model.of(State.READY, State.DELAYED, State.RESERVED, State.BURIED)
        assert not left, f"{sorted(left)} were never acknowledged, and never come"


def queue_machine(harness: Callable[[], Harness], *, examples: int | None = None, steps: int = 40) -> type[QueueWalk]:
    """A state machine for the queues of *harness*, which is called once for each walk.

    Args:
        examples: how many walks; `None` for what the Hypothesis profile says.
        steps: how long a walk is at most.

    Raises:
        TypeError: the time of these queues cannot be moved, and nobody would wait so long.
    """
    if harness().time == "real":
        raise TypeError("the time of these queues cannot be moved, so there is nothing to walk through")

    class Walk(QueueWalk):
        pass

    Walk.harness = staticmethod(harness)
    chosen = settings(
        stateful_step_count=steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    Walk.TestCase.settings = chosen if examples is None else settings(chosen, max_examples=examples)
    return Walk
