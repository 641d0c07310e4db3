"""``python -m tests.simulation SEED`` tells one life line by line, ``python -m tests.simulation 1-100`` runs many."""

from __future__ import annotations

import sys
from collections import Counter

from .books import Violation
from .life import live


def main(text: str) -> int:
    """Run what *text* names; 1 when a promise was broken."""
    first, dash, last = text.partition("-")
    failed = 0
    happened: Counter[str] = Counter()
    for seed in range(int(first), int(last or first) + 1):
        try:
            world = live(seed, telling=not dash)
            happened += world.fate.happened
            if not dash:
                print("fingerprint", world.books.fingerprint)
        except Violation as violation:
            failed += 1
            print(violation, flush=True)
    print(f"{failed} of {int(last or first) - int(first) + 1} failed;", dict(happened.most_common()))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
