"""Chance, and what goes wrong by it: everything in one life follows from its seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

#: Every fault by its name, and how likely it is at each occasion when the seed has it at its usual strength.
FAULTS: Final = {
    # a request on its way
    "slow request": 0.10,
    "slow answer": 0.10,
    "request refused": 0.05,
    "request lost": 0.03,
    "answer lost": 0.03,
    "item refused": 0.04,
    "item refused for good": 0.01,
    "item in doubt, done": 0.02,
    "item in doubt, not done": 0.02,
    "driver cancels itself": 0.01,
    "defect in the adapter": 0.001,
    # a receive
    "taken for nobody": 0.03,
    # what happens in the world, now and then
    "connections cut": 0.15,
    "broker away": 0.08,
    "broker restarts": 0.05,
    "lease revoked": 0.25,
    "worker killed": 0.12,
    "worker cancelled": 0.05,
    "worker stopped": 0.15,
    "worker stopped at once": 0.06,
    "clock steps": 0.06,
    "route paused": 0.06,
    "loop blocked": 0.05,
    # what handlers do beside their work
    "handler raises": 0.10,
    "handler is slow": 0.06,
    "handler cancels itself": 0.02,
    "handler swallows its cancellation": 0.05,
    "handler never ends": 0.01,
    "handler raises oddly": 0.03,
    "handler asks": 0.10,
    "thread hangs": 0.03,
    "error handler raises": 0.10,
}

#: Strengths of one fault in one seed: many seeds are without it, so that others show what they do alone.
_STRENGTHS: Final = (0.0, 0.0, 0.3, 1.0, 3.0)


class Fate:
    """The dice of one seed.

    Attributes:
        calm: nothing goes wrong any more.
        happened: how often each fault has happened.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.calm = False
        self.happened: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._odds = {fault: odds * self._chance.choice(_STRENGTHS) for fault, odds in FAULTS.items()}

    def happens(self, fault: str) -> bool:
        """Whether *fault* happens now."""
        odds = self._odds[fault]
        if self.calm or not odds or self._chance.random() >= odds:
            return False
        self.happened[fault] += 1
        return True

    def choice(self, options: Sequence[T]) -> T:
        """Any of *options*."""
        return self._chance.choice(options)

    def chance(self, odds: float) -> bool:
        """Whether something that is no fault comes about."""
        return self._chance.random() < odds

    def whole(self, lowest: int, highest: int) -> int:
        """A whole number, both ends included."""
        return self._chance.randint(lowest, highest)

    def span(self, *highest: float) -> float:
        """Seconds, up to any of *highest*."""
        return self._chance.random() * self._chance.choice(highest)
