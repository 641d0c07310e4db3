"""Chance that can be repeated."""

from __future__ import annotations

import random


class SeededJitter:
    """The `Jitter` port from a seed: the same seed, the same numbers."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._random = random.Random(seed)

    def random(self) -> float:
        """The next number in [0, 1)."""
        return self._random.random()

    def getrandbits(self, bits: int) -> int:
        """The next *bits* bits."""
        return self._random.getrandbits(bits)
