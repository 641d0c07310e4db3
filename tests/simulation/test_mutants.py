"""The simulation is worth something: whatever is broken in it, it says so."""

import pytest

from .books import Violation
from .life import live
from .mutants import MUTANTS

#: Lives within which a mutant must be caught.
ENOUGH = 40


@pytest.mark.parametrize("name", MUTANTS)
def test_it_is_noticed_when(name, monkeypatch):
    mutant = MUTANTS[name]
    mutant.into(monkeypatch)

    with pytest.raises(Violation, match=mutant.told):
        lives(ENOUGH)


def lives(number):
    for seed in range(number):
        live(seed)
