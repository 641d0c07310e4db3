"""The dispatcher in a world where everything goes wrong: in every life every message is accounted for.

Each life is drawn from its seed and repeats exactly; a broken promise tells the command that shows it.
"""

import os
import subprocess
import sys
import time
from collections import Counter

import attrs
import pytest

from tests.servers import ROOT
from tests.soak import share

from .books import Violation
from .fate import FAULTS
from .life import again, live

SEEDS = range(150)

pytestmark = pytest.mark.timeout(300)  # seconds are enough, unless the machine is busy


@attrs.define
class Lives:
    """Many lives, summed up."""

    number: int = 0
    broken: list[str] = attrs.field(factory=list)
    faults: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)

    def add(self, seed: int) -> None:
        self.number += 1
        try:
            world = live(seed)
        except Violation as violation:
            self.broken.append(str(violation))
        else:
            self.faults += world.fate.happened
            self.events += world.books.counts

    def table(self) -> str:
        """What a long run prints."""
        rows = [("lives", self.number), ("lives with a broken promise", len(self.broken))]
        rows += [(f"  {name}", self.events[name]) for name in ("stored", "handler starts", "lease ended")]
        rows += [(f"  {name}", number) for name, number in self.faults.most_common()]
        return "\n".join(f"{name:<42}{number:>12,}" for name, number in rows)


@pytest.fixture(scope="module")
def lives():
    many = Lives()
    for seed in SEEDS:
        many.add(seed)
    return many


def test_in_no_life_is_a_promise_broken(lives):
    assert lives.broken == [], "\n".join(lives.broken[:3])


def test_every_fault_was_among_them_and_every_outcome(lives):
    assert {fault for fault in FAULTS if not lives.faults[fault]} == set()
    for kind in ("Ack", "Retry", "Bury", "Release", "lease ended", "worker failed", "worker ended by its handler"):
        assert lives.events[kind], f"{kind} has never come about"


@pytest.mark.parametrize("seed", [3])
def test_a_seed_gives_the_same_life_in_every_process(seed):
    command = [sys.executable, *again(seed).split()[1:]]
    stories = [
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": number}, capture_output=True, check=True)
        for number in ("1", "2")
    ]

    assert stories[0].stdout == stories[1].stdout
    assert live(seed).books.fingerprint in stories[0].stdout.decode()


@pytest.mark.soak
def test_in_no_life_of_thousands_is_a_promise_broken():
    end, many, first = time.monotonic() + 60 * share("simulation"), Lives(), time.time_ns() // 1_000_000_000
    while many.number < len(SEEDS) or time.monotonic() < end:
        many.add(first + many.number)
    print(f"\nseeds {first} to {first + many.number - 1}\n{many.table()}")

    assert many.broken == [], "\n".join(many.broken[:10])
