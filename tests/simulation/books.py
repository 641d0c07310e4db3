"""What really happened, kept beside the dispatcher: who handled what, what may be gone, and every promise broken.

The dispatcher is compared with these books at every step; nothing in them comes from its own accounts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from pulpo_core import Delivery, OnExpired, State
from pulpo_core.testing import LoopClock


class Violation(AssertionError):
    """A promise was broken."""


@attrs.define(eq=False)
class Run:
    """One run of a handler."""

    place: tuple[str, str]  # the queue's URL and the message's id in it
    worker: Any
    route: str
    delivery: Delivery
    in_thread: bool


@attrs.define(eq=False)
class Books:
    """The truth about one life.

    Attributes:
        violations: promises broken, the first one first.
        confirmed: places of messages whose publisher was told that they are stored.
        uids: of everything that was ever stored.
        done: for each place, the follow-ups that each completed run has asked for, by uid.
        runs: handlers at work.
        starts: runs begun, for each place.
        story: what happened, for whoever asks.
    """

    telling: bool = False
    violations: list[str] = attrs.field(factory=list)
    confirmed: set[tuple[str, str]] = attrs.field(factory=set)
    uids: set[str] = attrs.field(factory=set)
    done: dict[tuple[str, str], list[frozenset[str]]] = attrs.field(factory=dict)
    runs: dict[Run, None] = attrs.field(factory=dict)
    starts: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    counts: Counter[str] = attrs.field(factory=Counter)
    _digest: Any = attrs.field(factory=hashlib.sha256)

    # --- the story

    def note(self, what: str, *about: object) -> None:
        """Write one line of the story."""
        line = f"{asyncio.get_running_loop().time() - 1000:12.4f}  {what}  {'  '.join(map(str, about))}"
        self._digest.update(line.encode())
        self.counts[what] += 1
        if self.telling:
            print(line)

    def object(self, text: str) -> None:
        """A promise was broken."""
        self.violations.append(f"at {asyncio.get_running_loop().time() - 1000:.4f} s: {text}")
        self.note("VIOLATION", text)

    @property
    def fingerprint(self) -> str:
        """The same for the same story."""
        return str(self._digest.hexdigest())

    # --- what brokers say

    def stored(self, broker: Any, name: str, uid: str) -> None:
        """A message is in a queue."""
        self.uids.add(uid)
        self.note("stored", broker.url, name)

    def gone(self, broker: Any, name: str) -> None:
        """A message is acknowledged: that takes a run that was completed, and its follow-ups."""
        place = (broker.url, name)
        envelope = broker.envelopes[name]
        if envelope.expiration is not None and broker.policy.on_expired is OnExpired.DROP:
            return
        completed = self.done.get(place)
        if completed is None:
            self.object(f"{name} was acknowledged, and nobody has handled it")
        elif not any(follow_ups <= self.uids for follow_ups in completed):
            self.object(f"{name} was acknowledged before its follow-ups were stored")

    def retried(self, broker: Any, name: str, attempt: int) -> None:
        """A message is to come again."""
        if attempt >= broker.policy.attempts_limit:
            self.object(f"{name} was retried after attempt {attempt}, of {broker.policy.attempts_limit}")

    # --- what handlers say

    def begin(self, run: Run, *, limit: int) -> None:
        """A handler starts; *limit* may run at once in its route."""
        self.note("handler starts", run.route, run.delivery.id, run.delivery.attempt)
        self.starts[run.place] += 1
        if not run.in_thread:
            self._check_lease(run)
            self._check_limit(run, limit)
        self._check_order(run)
        self.runs[run] = None

    def end(self, run: Run) -> None:
        """A handler has ended."""
        self.runs.pop(run, None)

    def complete(self, place: tuple[str, str], follow_ups: Sequence[str] = ()) -> None:
        """A handler has done its work: its message may be gone once *follow_ups* are stored."""
        self.done.setdefault(place, []).append(frozenset(follow_ups))

    def _check_lease(self, run: Run) -> None:
        lease = run.delivery.lease
        if lease.lost or LoopClock().monotonic() > lease.deadline:
            self.object(f"{run.delivery.id} was started after its lease had ended")
        reservation = run.delivery.receipt
        twin = next((each for each in self.runs if each.place == run.place and each.worker.alive), None)
        if twin is not None and not twin.in_thread and not twin.delivery.receipt.blame and reservation.live:
            self.object(f"{run.delivery.id} is run twice at the same time")

    def _check_limit(self, run: Run, limit: int) -> None:
        mine = [each for each in self.runs if each.worker is run.worker and not each.in_thread]
        if sum(each.route == run.route for each in mine) >= limit:
            self.object(f"{run.route} runs more than {limit} handlers")
        if run.worker.concurrency and len(mine) >= run.worker.concurrency:
            self.object(f"a worker runs more than {run.worker.concurrency} handlers")

    def _check_order(self, run: Run) -> None:
        """Of one group, nothing starts while an earlier one is still to be done."""
        reservation = run.delivery.receipt
        entries = reservation.broker.model.entries
        entry = entries[run.delivery.id]
        if entry.group is None or entry.placeless or not reservation.live:
            return
        for name, other in entries.items():
            earlier = other.group == entry.group and other.order < entry.order and not other.placeless
            if earlier and other.state not in {State.GONE, State.BURIED}:
                self.object(f"{run.delivery.id} was started, though {name} of its group is {other.state}")
