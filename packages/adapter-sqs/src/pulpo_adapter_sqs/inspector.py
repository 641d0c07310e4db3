"""Look at a queue and repair it, as far as SQS lets anybody look.

SQS shows a message only by handing it out. What is buried is looked at that way, in a bounded
scan; nothing else is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from pulpo_core import (
    AdapterError,
    Clock,
    MessageNotFound,
    Page,
    Peek,
    QueueNotFound,
    QueueStats,
    Record,
    State,
    Unsupported,
)

from .batching import MAX_BATCH
from .channel import Channel
from .codec import decode
from .copies import kick_entry
from .graveyard import Graveyard
from .moving import move
from .scan import LOOK, Found, Scan, scan
from .source import read_attributes

#: So many buried messages are looked at before what was found counts as enough.
SCAN_LIMIT: Final = 1000

#: Receives that bring nothing, in a row, before a queue counts as empty.
_EMPTIES: Final = 3

_COUNTERS: Final = {
    "ready": "ApproximateNumberOfMessages",
    "delayed": "ApproximateNumberOfMessagesDelayed",
    "reserved": "ApproximateNumberOfMessagesNotVisible",
}
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


@attrs.frozen(slots=True, eq=False)
class Look:
    """What is buried, held for the time of a look.

    Attributes:
        scans: one for each queue that holds what was buried.
    """

    scans: Mapping[Channel, Scan]

    @property
    def oldest_first(self) -> list[tuple[Channel, Found]]:
        """Everything that was found, and where."""
        found = [(grave, each) for grave, scan in self.scans.items() for each in scan.found]
        return sorted(found, key=lambda pair: pair[1].record.buried_at or _LONG_AGO)

    @property
    def partial(self) -> bool:
        """Whether there may be more than was found."""
        return any(each.partial for each in self.scans.values())

    @property
    def foreign(self) -> int:
        """How many were buried from other queues; they are left alone."""
        return sum(each.foreign for each in self.scans.values())

    def named(self, ids: Sequence[str]) -> dict[str, tuple[Channel, Found]]:
        """Those of *ids* that were found, and where."""
        wanted = frozenset(ids)
        return {name: pair for pair in self.oldest_first for name in pair[1].names & wanted}


@attrs.define(slots=True, eq=False)
class SqsInspector:
    """The `Inspector` face of an open queue."""

    _channels: Sequence[Channel]
    _graveyard: Graveyard
    _clock: Clock

    # --- looking

    async def stats(self) -> QueueStats:
        """See `Inspector.stats`. Never receives; AWS's numbers, which may lag a minute behind."""
        counted = [await _counters(channel) for channel in self._channels]
        graves = [await _counters(channel) for channel in await self._graves()]
        return QueueStats(
            ready=_sum(counted, "ready"),
            delayed=_sum(counted, "delayed"),
            reserved=_sum(counted, "reserved"),
            buried=_sum(graves, "ready") + _sum(graves, "reserved"),
            exact=False,
        )

    async def _graves(self) -> list[Channel]:
        """The queues that hold what was buried; none where nothing can have been buried yet."""
        graves: dict[str, Channel] = {}
        for channel in self._channels:
            try:
                grave = await self._graveyard.of(channel)
            except QueueNotFound:
                continue
            graves[grave.source.arn] = grave
        return list(graves.values())

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002, ARG002 - the port's words
        """Nothing can be looked at without receiving it.

        Raises:
            Unsupported: always; `buried` is for what is buried.
        """
        raise Unsupported(f"peek {kind.value}: SQS shows no message without handing it out")

    async def buried(self, *, limit: int = SCAN_LIMIT) -> Page:
        """See `Inspector.buried`. Each look raises the receive counters of what is looked at."""
        async with self._look(most=max(limit, SCAN_LIMIT)) as look:
            records = [found.record for _, found in look.oldest_first]
            return Page(
                records=records[:limit],
                partial=look.partial or len(records) > limit,
                note=_note(len(records), look.foreign),
            )

    @asynccontextmanager
    async def _look(self, *, most: int = SCAN_LIMIT) -> AsyncIterator[Look]:
        origins = [channel.source.arn for channel in self._channels]
        async with AsyncExitStack() as stack:
            scans = {}
            for grave in await self._graves():
                scans[grave] = await stack.enter_async_context(
                    scan(grave, most=most, origins=origins, clock=self._clock)
                )
            yield Look(scans)

    # --- repairing

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """See `Inspector.kick`. Each goes to the queue it was buried from, as a copy with a fresh budget.

        Raises:
            AdapterError: some could not be moved; the text says how many were.
        """
        kicked = 0
        while limit is None or kicked < limit:
            async with self._look() as look:
                chosen = _chosen(look, ids, None if limit is None else limit - kicked)
                kicked += await self._kick(chosen, look)
            if ids is not None or not chosen or not look.partial:
                break
        return kicked

    async def _kick(self, chosen: Sequence[tuple[Channel, Found]], look: Look) -> int:
        answers: list[AdapterError | None] = []
        for grave, target in {(grave, self._origin(found)) for grave, found in chosen}:
            here = [found for at, found in chosen if at is grave and self._origin(found) is target]
            moved = await self._move_back(here, grave, target)
            for found, error in zip(here, moved, strict=True):
                if error is None:
                    look.scans[grave].gone(found)
            answers += moved
        return _count(answers, "kicked")

    async def _move_back(self, found: Sequence[Found], grave: Channel, target: Channel) -> list[AdapterError | None]:
        receipts = [each.receipt for each in found]
        entries = [
            kick_entry(each.receipt.message, each.record.envelope, each.receipt.extras, target.source) for each in found
        ]
        return await move(receipts, entries, source=grave, target=target)

    def _origin(self, found: Found) -> Channel:
        arn = found.record.origin
        return next((channel for channel in self._channels if channel.source.arn == arn), self._channels[0])

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """Delete buried messages; see `Inspector.delete`.

        What is not buried cannot be told from what is not there: SQS finds no message by its id.
        """
        async with self._look() as look:
            chosen = look.named(ids)
            deleted = dict(zip(chosen, await self._delete(list(chosen.values()), look), strict=True))
        return [deleted[name] if name in deleted else _not_buried(name) for name in ids]

    async def _delete(self, chosen: Sequence[tuple[Channel, Found]], look: Look) -> list[AdapterError | None]:
        errors: dict[Found, AdapterError | None] = {}
        for grave in dict.fromkeys(grave for grave, _ in chosen):
            here = list(dict.fromkeys(found for at, found in chosen if at is grave))
            for found, answer in zip(here, await grave.delete([each.receipt.handle for each in here]), strict=True):
                errors[found] = answer if isinstance(answer, AdapterError) else None
                if errors[found] is None:
                    look.scans[grave].gone(found)
        return [errors[found] for _, found in chosen]

    async def purge(self, states: frozenset[State]) -> int:
        """See `Inspector.purge`. Message by message: SQS's own purge would take delayed and held ones too.

        A FIFO queue shows nothing of a group that has a message in hand, so what waits behind it stays.
        """
        if states - {State.READY, State.BURIED}:
            raise Unsupported("purge: SQS hands out no message before its time, so only ready and buried ones can go")
        purged = 0
        if State.READY in states:
            purged += sum([await self._drain(channel) for channel in self._channels])
        if State.BURIED in states:
            purged += await self._delete_buried()
        return purged

    async def _delete_buried(self) -> int:
        deleted, partial = 0, True
        while partial:
            async with self._look() as look:
                answers = await self._delete(look.oldest_first, look)
                deleted += _count(answers, "deleted")
                partial = look.partial and bool(answers)
        return deleted

    async def _drain(self, channel: Channel) -> int:
        drained = empties = 0
        while empties < _EMPTIES:
            messages = [each for each in await channel.receive(MAX_BATCH, visibility=LOOK) if not self._is_early(each)]
            empties = 0 if messages else empties + 1
            answers = await channel.delete([message["ReceiptHandle"] for message in messages])
            drained += _count([each if isinstance(each, AdapterError) else None for each in answers], "deleted")
        return drained

    def _is_early(self, message: Mapping[str, object]) -> bool:
        """Whether *message* is on its way through a long delay, and so not ready."""
        time = decode(message)[1].not_before
        return time is not None and time > self._clock.now()

    async def pause(self, duration: timedelta | None = None) -> None:  # noqa: ARG002 - the port's words
        """SQS cannot pause a queue for everybody.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("pause: SQS cannot pause a queue for everybody; pause the route of each worker")

    async def resume(self) -> None:
        """See `pause`.

        Raises:
            Unsupported: always.
        """
        raise Unsupported("resume: SQS cannot pause a queue for everybody")


async def _counters(channel: Channel) -> Mapping[str, str]:
    source = channel.source
    return await read_attributes(channel.client, name=source.name, url=source.url)


def _sum(counted: Sequence[Mapping[str, str]], state: str) -> int:
    return sum(int(each.get(_COUNTERS[state], 0)) for each in counted)


def _chosen(look: Look, ids: Sequence[str] | None, limit: int | None) -> list[tuple[Channel, Found]]:
    if ids is None:
        return look.oldest_first[:limit]
    named = look.named(ids)
    missing = [name for name in ids if name not in named]
    if missing:
        raise MessageNotFound(f"{', '.join(missing[:10])}: not buried here; nothing was kicked")
    unique = {found.record.id: (grave, found) for grave, found in named.values()}
    return list(unique.values())[:limit]


def _count(answers: Sequence[AdapterError | None], done: str) -> int:
    """How many succeeded, when all did."""
    failures = [answer for answer in answers if answer is not None]
    if not failures:
        return len(answers)
    first = failures[0]
    raise AdapterError(
        f"{len(answers) - len(failures)} of {len(answers)} were {done}: {first}",
        temporary=first.temporary,
        in_doubt=first.in_doubt,
    ) from first


def _not_buried(name: str) -> AdapterError:
    return MessageNotFound(f"{name}: not buried here; SQS finds only what is buried by its id")


def _note(count: int, foreign: int) -> str:
    looked = f"looking received them: the receive counters of {count} rose" if count else ""
    others = f"{foreign} buried from other queues were left alone" if foreign else ""
    return "; ".join(text for text in (looked, others) if text)
