"""Publishing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pulpo_core import AdapterError, Capabilities, Envelope

from .calls import Calls
from .codec import NewRow, encode
from .operations import MOST_AT_ONCE, Publish, portions

_Encoded = NewRow | AdapterError


class FilePublisher:
    """Puts messages into one queue of a file."""

    def __init__(self, calls: Calls, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._calls = calls
        self._desk = calls.desk

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """Store each that can be stored, all in one transaction."""
        encoded, rows = self._encoded(batch)
        stored: list[int] = []
        for portion in portions(rows):
            stored += await self._calls.ask(Publish(self._desk, portion))
        return _answers(encoded, stored)

    def publish_blocking(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError] | None:
        """The same in the calling thread, where nobody else is at the file."""
        encoded, rows = self._encoded(batch)
        if len(rows) > MOST_AT_ONCE:
            return None
        stored = self._calls.do_here(Publish(self._desk, rows)) if rows else ()
        return None if stored is None else _answers(encoded, stored)

    def _encoded(self, batch: Sequence[Envelope]) -> tuple[list[_Encoded], list[NewRow]]:
        encoded = [encode(envelope, max_body=self._desk.settings.max_body) for envelope in batch]
        return encoded, [row for row in encoded if isinstance(row, NewRow)]


def _answers(encoded: Sequence[_Encoded], stored: Iterable[int]) -> Sequence[str | AdapterError]:
    """The id of each that is *stored*, and for the others the error in their place."""
    ids = iter(stored)
    return [str(next(ids)) if isinstance(row, NewRow) else row for row in encoded]
