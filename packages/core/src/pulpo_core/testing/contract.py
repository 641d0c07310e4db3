"""The contract as a class of tests for pytest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from .clauses import CLAUSES
from .harness import Harness
from .registry import Clause
from .trial import Skipped, run_clause


class AdapterContract(Harness):
    """Every promise of the port, tried on an adapter: subclass it in a test module, say how to make queues.

    See `Harness` for what to override. Each clause is one test; it runs in an event loop of its
    own, so no asyncio plug-in is needed, and one that is there does not matter.

    Attributes:
        known_failures: clauses that the adapter is known to break, and why: each must fail, so the
            day it is mended is noticed.
        may_skip: the clauses that may be skipped; `None` for any. Naming them keeps a lost hook or
            a changed capability from silently making the contract smaller. Those about what a queue may offer
            besides may be skipped by any.
    """

    known_failures: ClassVar[Mapping[str, str]] = {}
    may_skip: ClassVar[frozenset[str] | None] = None

    @pytest.mark.parametrize("clause", CLAUSES, ids=repr)
    def test_clause(self, clause: Clause, request: pytest.FixtureRequest) -> None:
        """The queue keeps the promise."""
        if reason := self.known_failures.get(clause.id):
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        try:
            self.run(run_clause(clause, self))
        except Skipped as skipped:
            if self.may_skip is not None and clause.offer is None and clause.id not in self.may_skip:
                pytest.fail(f"{clause!r} may not be skipped, but {skipped}")
            pytest.skip(str(skipped))

    def test_exceptions_name_clauses(self) -> None:
        """What is excepted from the contract is named by ids that there are."""
        named = {*self.known_failures, *(self.may_skip or ())}

        unknown = named - {clause.id for clause in CLAUSES}
        assert not unknown, f"there are no clauses {sorted(unknown)}"
