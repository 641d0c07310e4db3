"""Looking at buried messages: received with a short invisibility, each once, and made visible again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from pulpo_core import Clock, ConfigurationError, Record, State

from .batching import MAX_BATCH, chunks
from .channel import Channel
from .codec import decode, receives
from .copies import Burial, read_burial
from .receipt import Receipt

#: How long, in seconds, a message that is looked at stays away from everybody else.
LOOK: Final = 60

#: A scan ends so long before the first message that it holds would be seen by others again.
_SCAN_SECONDS: Final = 45.0

#: A receive that brings nothing may have asked the wrong servers; so many in a row have not.
_EMPTIES: Final = 3

#: The reason of what the queue itself has set aside: its redrive policy records none.
REDRIVEN: Final = "redriven"

_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


@attrs.frozen(slots=True, eq=False)
class Found:
    """A buried message that is held to be looked at."""

    record: Record
    receipt: Receipt

    @property
    def names(self) -> frozenset[str]:
        """What people may call it: its id where it is, its id where it came from, its uid."""
        burial = _burial_of(self.receipt.message)
        source_id = burial.source_id if burial else ""
        return frozenset({self.record.id, self.record.envelope.uid, source_id} - {""})


@attrs.define(slots=True, eq=False)
class Scan:
    """What one look into a queue has brought.

    Attributes:
        found: oldest burial first.
        partial: the scan ended before the queue did.
        foreign: messages of other queues that bury in the same one; left alone.
        kept: found and not to be made visible again, since they are gone.
    """

    found: list[Found] = attrs.field(factory=list)
    partial: bool = False
    foreign: int = 0
    kept: set[str] = attrs.field(factory=set)

    def gone(self, found: Found) -> None:
        """Note that *found* was moved or deleted."""
        self.kept.add(found.record.id)


@asynccontextmanager
async def scan(grave: Channel, *, most: int, origins: Iterable[str], clock: Clock) -> AsyncIterator[Scan]:
    """Hold up to *most* messages of *grave* for the time of the context, each once.

    Only messages buried from *origins*, and those of which nobody says where they come from.

    Raises:
        ConfigurationError: receiving from *grave* would move its messages on.
    """
    if grave.source.dead_letter_arn is not None:
        raise ConfigurationError(
            f"queue {grave.source.name!r} has a dead-letter queue of its own: looking at its messages would move them"
            " there, so remove its redrive policy first"
        )
    held: dict[str, Receipt] = {}
    result = Scan()
    try:
        result.partial = await _hold(grave, held, most, clock)
        _sort_out(held.values(), frozenset(origins), result)
        yield result
    finally:
        await _let_go(grave, [receipt for id_, receipt in held.items() if id_ not in result.kept])


async def _hold(grave: Channel, held: dict[str, Receipt], most: int, clock: Clock) -> bool:
    """Receive until there is nothing more; whether there may be more all the same."""
    end = clock.monotonic() + _SCAN_SECONDS
    empties = 0
    while empties < _EMPTIES:
        if len(held) >= most or clock.monotonic() > end:
            return True
        taken_at = clock.monotonic()
        messages = await grave.receive(MAX_BATCH, visibility=LOOK)
        fresh = {m["MessageId"]: _receipt(grave, m, taken_at) for m in messages}
        empties = 0 if fresh.keys() - held.keys() else empties + 1
        held.update(fresh)
    return False


def _receipt(grave: Channel, message: Mapping[str, Any], taken_at: float) -> Receipt:
    return Receipt(
        channel=grave, message=message, extras=decode(message)[1], taken_at=taken_at, deadline=taken_at + LOOK
    )


def _sort_out(held: Iterable[Receipt], origins: frozenset[str], result: Scan) -> None:
    for receipt in held:
        record = record_of(receipt.message)
        if record.origin is None or record.origin in origins:
            result.found.append(Found(record, receipt))
        else:
            result.foreign += 1
    result.found.sort(key=lambda found: found.record.buried_at or _LONG_AGO)


def _burial_of(message: Mapping[str, Any]) -> Burial | None:
    return read_burial(message.get("MessageAttributes") or {})


def record_of(message: Mapping[str, Any]) -> Record:
    """A buried *message* as people want to see it."""
    envelope, _ = decode(message)
    system: Mapping[str, str] = message.get("Attributes") or {}
    burial = _burial_of(message)
    if burial is None:
        return Record(
            id=message["MessageId"],
            state=State.BURIED,
            envelope=envelope,
            attempts=receives(message) - 1,
            reason=REDRIVEN,
            origin=system.get("DeadLetterQueueSourceArn"),
        )
    return Record(
        id=message["MessageId"],
        state=State.BURIED,
        envelope=envelope,
        attempts=burial.attempts,
        reason=burial.reason,
        error=burial.error or None,
        buried_at=burial.buried_at,
        origin=burial.origin or None,
    )


async def _let_go(grave: Channel, receipts: Sequence[Receipt]) -> None:
    for part in chunks(receipts):
        await grave.hide_at_once({receipt.handle: 0 for receipt in part})
