"""What can be asked of the writer. Those of one kind that are pending together run together.

==========  =========================================  ===================================
kind        asked by                                   flushed to the disk before answered
==========  =========================================  ===================================
`Extend`    provider                                   where ``durability=full``
`Settle`    provider                                   with follow-ups, or ``full``
`Publish`   publisher                                  unless ``durability=normal``
`Change`    inspector, import                          if it stores, unless ``normal``
`Receive`   provider                                   where ``durability=full``
`Look`      inspector                                  changes nothing
==========  =========================================  ===================================

Nobody changes an operation; they are not frozen because some are made for every message, and a
frozen one takes twice as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

import attrs

from pulpo_core import Settlement

from .codec import NewRow
from .desk import Desk
from .settings import Durability
from .transaction import Reading, Transaction

T = TypeVar("T")

#: So many messages share one transaction at most when one call brings more: others take their turn between two.
MOST_AT_ONCE: Final = 2000


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """*items* in portions that one operation takes."""
    for start in range(0, len(items), MOST_AT_ONCE):
        yield items[start : start + MOST_AT_ONCE]


@attrs.define(slots=True, eq=False)
class Receipt:
    """What settles a delivery: the message, and the generation of the lease that is ours.

    Attributes:
        until: when the lease ends, in seconds of the monotonic clock, told conservatively.
        settled: how it was settled, once that is committed.
    """

    desk: Desk
    id: int
    generation: int
    until: float
    settled: type[Settlement] | None = None


@attrs.define(slots=True, eq=False)
class Extend:
    """Lengthen leases. Answer: for each whether it is still held."""

    desk: Desk
    receipts: Sequence[Receipt]
    stores = False


@attrs.define(slots=True, eq=False)
class SettleItem:
    """One settlement, with the rows of its follow-ups."""

    receipt: Receipt
    settlement: Settlement
    follow_ups: Sequence[NewRow] = ()


@attrs.define(slots=True, eq=False)
class Settle:
    """Settle deliveries. Answer: for each whether it was still held (or settled in this way before)."""

    desk: Desk
    items: Sequence[SettleItem]

    @property
    def stores(self) -> bool:
        """Whether messages are stored."""
        return any(item.follow_ups for item in self.items)


@attrs.define(slots=True, eq=False)
class Publish:
    """Store messages. Answer: their ids."""

    desk: Desk
    rows: Sequence[NewRow]
    stores = True


@attrs.define(slots=True, eq=False)
class Change:
    """Any other change of the file. Answer: what *action* returns."""

    desk: Desk
    action: Callable[[Transaction], Any]
    stores: bool = False
    makes_file: bool = False


@attrs.define(slots=True, eq=False)
class Receive:
    """Take messages. Answer: `Taken`."""

    desk: Desk
    limit: int
    stores = False


@attrs.define(slots=True, eq=False)
class Taken:
    """What a receive brought.

    Attributes:
        rows: `codec.ENVELOPE_COLUMNS`, attempts, lost, generation; best first.
        pause: with no rows: seconds until something becomes ready by itself; ``inf`` for never.
    """

    rows: Sequence[tuple[Any, ...]] = ()
    pause: float = 0.0


@attrs.define(slots=True, eq=False)
class Look:
    """Look at the file at one instant. Answer: what *question* returns."""

    desk: Desk
    question: Callable[[Reading], Any]
    stores = False


Operation = Extend | Settle | Publish | Change | Receive | Look


def makes_file(operation: Operation) -> bool:
    """Whether the file is created for it: to publish and to work, not to look."""
    return isinstance(operation, (Publish, Receive)) or (isinstance(operation, Change) and operation.makes_file)


def must_be_flushed(operation: Operation) -> bool:
    """Whether it is on the disk before it is answered."""
    level = operation.desk.settings.durability
    return level is Durability.FULL or (level is Durability.PUBLISH and operation.stores)
