"""The count of what happened to every delivery."""

from __future__ import annotations

from collections.abc import Iterable

import attrs


@attrs.define(slots=True)
class Ledger:
    """What became of the deliveries of one route, or of several added up.

    The equation ``received = acked + retried + buried + released + dropped + lease_lost + in_doubt +
    deferred + in_hand`` holds at every instant; `in_hand` is counted apart from the others, so that
    the equation says something.

    Attributes:
        lease_lost: not ours any more before they were settled; another worker gets them.
        in_doubt: settled, but the queue's answer was lost and may not be asked for again.
        deferred: sent on their way by the adapter itself, to come back when they are due.
        in_hand: received and not yet counted elsewhere.
    """

    received: int = 0
    acked: int = 0
    retried: int = 0
    buried: int = 0
    released: int = 0
    dropped: int = 0
    lease_lost: int = 0
    in_doubt: int = 0
    deferred: int = 0
    in_hand: int = 0

    @property
    def settled(self) -> int:
        """Everything that is no longer in hand."""
        return (
            self.acked
            + self.retried
            + self.buried
            + self.released
            + self.dropped
            + self.lease_lost
            + self.in_doubt
            + self.deferred
        )

    @property
    def balanced(self) -> bool:
        """Whether every delivery is accounted for."""
        return self.received == self.settled + self.in_hand

    def as_dict(self) -> dict[str, int]:
        """The columns by name, in the order of the equation."""
        return attrs.asdict(self)


def total(ledgers: Iterable[Ledger]) -> Ledger:
    """The sum of *ledgers*, column by column."""
    rows = [ledger.as_dict() for ledger in ledgers]
    return Ledger(**{field.name: sum(row[field.name] for row in rows) for field in attrs.fields(Ledger)})
