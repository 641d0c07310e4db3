"""What workers have reported about their deliveries, added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from pulpo_core import Ledger, total


@attrs.define(kw_only=True)
class Account:
    """What one worker has reported last.

    Attributes:
        place: of the worker among its fellows, from 1.
        final: it was made after the worker's run, so nothing is missing from it.
        failure: what ended its run, in one line; else empty.
    """

    place: int
    pid: int = 0
    status: int | None = None
    final: bool = False
    ledgers: dict[str, Ledger] = attrs.field(factory=dict)
    requests: dict[str, dict[str, int]] = attrs.field(factory=dict)
    paused: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()
    abandoned: int = 0
    failure: str = ""

    @property
    def ledger(self) -> Ledger:
        """All its routes added up."""
        return total(self.ledgers.values())

    def take(self, facts: Mapping[str, Any]) -> None:
        """Take in what the worker says: everything it names is as it says from now on."""
        if "ledgers" in facts:
            self.ledgers = {route: Ledger(**columns) for route, columns in facts["ledgers"].items()}
        self.requests = facts.get("requests", self.requests)
        self.paused = tuple(facts.get("paused", self.paused))
        self.unsettled = tuple(facts.get("unsettled", self.unsettled))
        self.abandoned = facts.get("abandoned", self.abandoned)
        self.failure = facts.get("failure", self.failure)
        self.final = facts.get("final", self.final)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "worker": self.place,
            "pid": self.pid,
            "status": self.status,
            "final": self.final,
            "total": self.ledger.as_dict(),
        }


#: So many accounts of one place are kept apart; what came before is added up. Crashes have no end.
KEPT: Final = 50


def folded(accounts: list[Account]) -> list[Account]:
    """*accounts* of one place, the oldest ones as one if there are too many."""
    if len(accounts) <= KEPT:
        return accounts
    former, recent = accounts[: -KEPT + 1], accounts[-KEPT + 1 :]
    whole = Account(
        place=former[0].place,
        final=all(account.final for account in former),
        ledgers=added_ledgers(former),
        requests=added_requests(former),
        unsettled=tuple(id_ for account in former for id_ in account.unsettled)[-KEPT:],
        abandoned=sum(account.abandoned for account in former),
    )
    return [whole, *recent]


def added_ledgers(accounts: Iterable[Account]) -> dict[str, Ledger]:
    """For each route, what became of its deliveries in all workers."""
    by_route: dict[str, list[Ledger]] = {}
    for account in accounts:
        for route, ledger in account.ledgers.items():
            by_route.setdefault(route, []).append(ledger)
    return {route: total(ledgers) for route, ledgers in by_route.items()}


def added_requests(accounts: Iterable[Account]) -> dict[str, dict[str, int]]:
    """For each route whose queue counts them, the requests of all workers by operation."""
    added: dict[str, dict[str, int]] = {}
    for account in accounts:
        for route, requests in account.requests.items():
            counted = added.setdefault(route, {})
            for operation, count in requests.items():
                counted[operation] = counted.get(operation, 0) + count
    return added


def shares(whole: int | None, among: int) -> list[int | None]:
    """*whole* messages shared out among so many workers; `None` is no limit."""
    if whole is None:
        return [None] * among
    return [whole // among + (place < whole % among) for place in range(among)]
