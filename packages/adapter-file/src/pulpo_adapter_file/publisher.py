"""Publishing."""

from __future__ import annotations

from collections.abc import Sequence

from pulpo_core import AdapterError, Capabilities, Envelope

from .calls import Calls
from .codec import NewRow, encode
from .operations import Publish, portions


class FilePublisher:
    """Puts messages into one queue of a file."""

    def __init__(self, calls: Calls, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._calls = calls
        self._desk = calls.desk

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """Store each that can be stored, all in one transaction."""
        encoded = [encode(envelope, max_body=self._desk.settings.max_body) for envelope in batch]
        rows = [row for row in encoded if isinstance(row, NewRow)]
        stored: list[int] = []
        for portion in portions(rows):
            stored += await self._calls.ask(Publish(self._desk, portion))
        ids = iter(stored)
        return [str(next(ids)) if isinstance(row, NewRow) else row for row in encoded]
