"""The clauses of the contract."""

from __future__ import annotations

import sys
from itertools import groupby

from pulpo_core.testing import CLAUSES, Clause, Need

from .markdown import code, first_paragraph, paragraphs, table


def page() -> str:
    """Every clause, in its group."""
    groups = groupby(sorted(CLAUSES, key=lambda each: (each.group, each.id)), key=lambda each: each.group)
    return paragraphs(
        "# The contract of a queue",
        "What every adapter promises, as far as the [capabilities](capabilities.md) of its queues say that it can. Each"
        f" of these {len(CLAUSES)} clauses is tried on every adapter of this repository, on real servers; your own"
        " adapter is put to the same test with a [few lines](../how-to/write-an-adapter.md), a live broker with"
        " `pulpo contract URL`.",
        "Where a clause names a capability, queues that do not declare it are not concerned; where it names a hook,"
        " the test must be able to do that to the broker.",
        *[_group(name, list(clauses)) for name, clauses in groups],
    )


def _group(name: str, clauses: list[Clause]) -> str:
    module = sys.modules[clauses[0].check.__module__]
    rows = [(code(each.id), each.promise, _concerned(each)) for each in clauses]
    return paragraphs(
        f"## {name.capitalize()}", _without_label(first_paragraph(module)), table(("", "promise", "concerns"), rows)
    )


def _without_label(text: str) -> str:
    """``Delays: never early`` under the title *Delay* says it twice."""
    label, colon, rest = text.partition(": ")
    return rest[:1].upper() + rest[1:] if colon and " " not in label else text


def _concerned(clause: Clause) -> str:
    reasons = [_need(each) for each in clause.needs]
    reasons += [f"tests with {code(hook + '()')}" for hook in clause.hooks]
    reasons += ["clocks that can be moved"] if clause.steered else []
    return "; ".join(reasons) or "all"


def _need(need: Need) -> str:
    return need.text if need.wanted else f"no {need.text}"
