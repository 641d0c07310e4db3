"""How long the long forms of tests run: `./dev soak` says so in minutes, and each kind of test has its part.

Tests whose work can go on for any time are given minutes (`share`, `rounds`); those that do a
number of things are given a number (`scaled`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

#: Parts of the whole time. What is left over is for draining, and for tests whose work is `scaled`.
_PARTS: Final = {
    "simulation": 0.1,
    "campaign": 0.07,  # each; as long again takes the draining
    "walks in memory": 0.06,
    "walks through a file": 0.06,
    "walks through sqs": 0.04,  # each
}

#: Minutes for which the numbers of scaled tests are meant.
_USUAL: Final = 30.0


def minutes() -> float:
    """The whole time."""
    return float(os.environ.get("PULPO_SOAK_MINUTES", "30"))


def share(kind: str) -> float:
    """The minutes for one kind of test."""
    return minutes() * _PARTS[kind]


def rounds(kind: str) -> Iterator[int]:
    """0, 1, 2 … for as long as that kind of test may take; at least one."""
    end, number = time.monotonic() + 60 * share(kind), 0
    yield number
    while time.monotonic() < end:
        number += 1
        yield number


def scaled(number: int) -> int:
    """*number* rounds or examples of the usual half an hour, for the time there is."""
    return max(1, round(number * minutes() / _USUAL))
