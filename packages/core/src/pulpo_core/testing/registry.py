"""A clause: one promise of the port to a queue, as a coroutine that raises `AssertionError` when it is broken.

The first paragraph of its docstring is the promise, in a sentence; documents and reports print it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.ports.adapter import Queue

if TYPE_CHECKING:
    from .bench import Bench

Check = Callable[["Bench"], Awaitable[None]]


@attrs.frozen(slots=True)
class Need:
    """What a queue must declare, or must not, for a clause to concern it.

    Attributes:
        text: what it is, as it reads after "the queue declares".
        declared: whether a queue declares it.
        wanted: whether the clause is for those that do, or for those that do not.
    """

    text: str
    declared: Callable[[Capabilities], bool]
    wanted: bool = True

    def unmet(self, capabilities: Capabilities) -> str | None:
        """Why a queue with *capabilities* is not concerned; `None` when it is."""
        if self.declared(capabilities) is self.wanted:
            return None
        return f"the queue declares {'no ' if self.wanted else ''}{self.text}"


def lacks(need: Need) -> Need:
    """The opposite of *need*: the clause says how its absence is told."""
    return attrs.evolve(need, wanted=not need.wanted)


@attrs.frozen(slots=True, eq=False)
class Clause:
    """One promise.

    Attributes:
        id: stable name, for reports and `AdapterContract.known_failures`.
        group: the capability it belongs to, which is the name of its module.
        needs: what the queue must declare, else the clause does not concern it.
        hooks: what the harness must offer, by the names of its methods.
        offer: what the open queue must offer beside its port, by a protocol of `ports.offers`.
        steered: whether so much time passes that the clock must be one that can be moved.
    """

    id: str
    name: str
    group: str
    promise: str
    check: Check
    needs: Sequence[Need] = ()
    hooks: Sequence[str] = ()
    steered: bool = False
    offer: type | None = None

    def unmet(self, capabilities: Capabilities) -> str | None:
        """Why this clause does not concern a queue with *capabilities*; `None` when it does."""
        return next((reason for need in self.needs if (reason := need.unmet(capabilities))), None)

    def unoffered(self, queue: Queue) -> str | None:
        """Why this clause does not concern *queue*, which is open; `None` when it does."""
        if self.offer is None or isinstance(queue, self.offer):
            return None
        return f"the queue does not offer {self.offer.__name__}"

    def __repr__(self) -> str:
        return f"{self.id}-{self.name}"


#: Every clause, in the order of definition: importing `pulpo_core.testing.clauses` fills it.
REGISTRY: Final[dict[str, Clause]] = {}


def clause(
    name: str,
    *,
    needs: Sequence[Need] = (),
    hooks: Sequence[str] = (),
    steered: bool = False,
    offer: type | None = None,
) -> Callable[[Check], Check]:
    """Register the decorated coroutine as the clause *name*, such as ``C030``."""

    def register(check: Check) -> Check:
        if name in REGISTRY:
            raise ValueError(f"two clauses are called {name}: {REGISTRY[name].name} and {check.__name__}")
        promise = " ".join((inspect.getdoc(check) or "").partition("\n\n")[0].split())
        group = check.__module__.rpartition(".")[2]
        REGISTRY[name] = Clause(name, check.__name__, group, promise, check, tuple(needs), tuple(hooks), steered, offer)
        return check

    return register
