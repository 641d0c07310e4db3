"""Pieces of the dispatcher and of the broker, each broken in one way that the simulation must notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from pulpo_core import Ack, State, Tally
from pulpo_core.application import pipeline
from pulpo_core.application.buffer import Buffer, GroupBuffer
from pulpo_core.application.follow_ups import FollowUps
from pulpo_core.application.leases import LeaseKeeper
from pulpo_core.application.pump import Pump
from pulpo_core.application.results import HANDLED
from pulpo_core.application.settler import Settler
from pulpo_core.domain.decision import Case

from .broker import Broker
from .network import Session


@attrs.frozen
class Mutant:
    """One thing broken.

    Attributes:
        place, name: the class or module, and the attribute of it that is replaced.
        broken: makes the replacement from the original.
        told: what the simulation says of it.
    """

    place: Any
    name: str
    broken: Callable[[Any], Any]
    told: str

    def into(self, patch: pytest.MonkeyPatch) -> None:
        """Break it."""
        patch.setattr(self.place, self.name, self.broken(getattr(self.place, self.name)))


def _nothing(_: Any) -> Any:
    return lambda *args, **kwargs: None


def _answering(value: Any) -> Callable[[Any], Any]:
    return lambda _: lambda *args, **kwargs: value


def _never(_: Any) -> Any:
    return property(lambda self: False)


async def _attach_nothing(self: FollowUps, held: Any, ack: Ack) -> None:
    """Follow-ups are forgotten."""


def _take_all(self: Settler) -> list[Any]:
    batch = list(self._pending)
    self._pending.clear()
    return batch


def _forgetting_one_column(original: Any) -> Any:
    def on_settled(self: Pump, held: Any, column: Tally) -> None:
        original(self, held, column)
        self.ledger.retried -= column is Tally.RETRIED

    return on_settled


def _repeating_everything(original: Any) -> Any:
    def may_repeat(self: Settler, held: Any, error: Any) -> bool:
        return bool(error.in_doubt) or original(self, held, error)

    return may_repeat


def _believing(original: Any) -> Any:
    def failed(self: Settler, held: Any, error: Any) -> None:
        if error.in_doubt:
            self._end(held, held.tally)
        else:
            original(self, held, error)

    return failed


def _losing(original: Any) -> Any:
    def publish(self: Broker, envelope: Any) -> str:
        name: str = original(self, envelope)
        if self.fate.chance(0.05):
            del self.model.entries[name]
        return name

    return publish


def _handing_out_twice(original: Any) -> Any:
    def reserve(self: Broker, name: str, holder: Any) -> Any:
        reservation = original(self, name, holder)
        self.model.entries[name].state = State.READY
        return reservation

    return reserve


def _a_slot_more(original: Any) -> Any:
    async def run(self: Pump) -> None:
        self._slots.concurrency += 1
        await original(self)

    return run


def _room_for_one_more(original: Any) -> Any:
    return lambda self: original(self) + 1


def _acking_releases(original: Any) -> Any:
    async def settle(self: Session, batch: Sequence[Any]) -> Any:
        return await original(self, [attrs.evolve(each, settlement=Ack()) for each in batch])

    return settle


MUTANTS = {
    "leases are not extended": Mutant(LeaseKeeper, "_look", _answering([]), "ended for no reason"),
    "a lease that is over is not noticed": Mutant(Settler, "_is_lost", _answering(False), "after its lease had ended"),
    "extensions race with settlements": Mutant(Settler, "_take", lambda _: _take_all, "being extended|being settled"),
    "groups are not kept in order": Mutant(GroupBuffer, "take", lambda _: Buffer.take, "of its group is"),
    "failures are acknowledged": Mutant(pipeline, "outcome_of_error", _answering(HANDLED), "nobody has handled it"),
    "follow-ups are forgotten": Mutant(FollowUps, "attach", lambda _: _attach_nothing, "before its follow-ups"),
    "attempts have no end": Mutant(Case, "exhausted", _never, "was retried after attempt"),
    "a column of the ledger is wrong": Mutant(Pump, "_on_settled", _forgetting_one_column, "out of balance"),
    "what waits is not given back": Mutant(
        Pump, "_release_waiting", _nothing, "for no reason|rounds of the loop|virtual time have passed"
    ),
    "a settlement in doubt is repeated": Mutant(Settler, "_may_repeat", _repeating_everything, "in doubt is repeated"),
    "a settlement in doubt is believed": Mutant(Settler, "_failed", _believing, "confirmed"),
    "one handler too many": Mutant(Pump, "run", _a_slot_more, "runs more than"),
    "one delivery too many": Mutant(Pump, "_room_for", _room_for_one_more, "not handled yet"),
    "the broker loses what it has confirmed": Mutant(Broker, "publish", _losing, "lost:|KeyError"),
    "the broker hands out what is in hand": Mutant(
        Broker, "_reserve", _handing_out_twice, "rounds of the loop|run twice|KeyError"
    ),
    "whatever happens is acknowledged": Mutant(Session, "settle", _acking_releases, "nobody has handled it"),
}
