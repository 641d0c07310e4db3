"""Looking and repairing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pulpo_core import AdapterError, Capabilities, Page, Peek, QueueStats, Record, State, Unsupported

from . import housekeeping, repairing
from .calls import Calls
from .operations import Change, Look
from .transaction import Reading, Transaction

_NO_LIMIT: Final = sys.maxsize


class FileInspector:
    """Looks at one queue of a file, and repairs it. Never creates a file or a queue."""

    def __init__(self, calls: Calls, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._calls = calls
        self._desk = calls.desk

    async def _look(self, question: Callable[..., Any], *arguments: Any) -> Any:
        def asked(reading: Reading) -> Any:
            return question(reading, self._desk, *arguments)

        return await self._calls.ask(Look(self._desk, asked))

    async def _change(self, action: Callable[..., Any], *arguments: Any, stores: bool = False) -> Any:
        def asked(transaction: Transaction) -> Any:
            return action(transaction, self._desk, *arguments)

        return await self._calls.ask(Change(self._desk, asked, stores=stores))

    async def stats(self) -> QueueStats:
        """Count every message, at one instant."""
        found: QueueStats = await self._look(repairing.stats)
        return found

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the port's word
        """Look at one message; a finished one is there by its id as long as the archive keeps it."""
        found: Record | None = await self._look(repairing.peek, kind, id)
        return found

    async def buried(self, *, limit: int = 1000) -> Page:
        """The oldest burials."""
        page: Page = await self._look(repairing.buried, limit)
        return page

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """Make buried messages ready: named ones all or none, the oldest in portions."""
        if ids is not None:
            count: int = await self._change(repairing.kick, list(dict.fromkeys(ids))[:limit], stores=True)
            return count
        return await self._in_portions(partial(self._change, repairing.kick_oldest, stores=True), limit)

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """Remove messages that nobody is handling."""
        answers: Sequence[AdapterError | None] = await self._change(repairing.delete, ids)
        return answers

    async def purge(self, states: frozenset[State]) -> int:
        """Remove all messages of *states*, in portions, and give their room back to the file system."""
        if not states <= repairing.PURGEABLE:
            wrong = ", ".join(sorted(states - repairing.PURGEABLE))
            raise Unsupported(f"cannot purge {wrong}; accepted: {', '.join(sorted(repairing.PURGEABLE))}")
        total = 0
        for state in sorted(states):
            while count := await self._change(repairing.purge, state):
                total += count
        while await self._calls.ask(Change(self._desk, partial(housekeeping.give_room_back, every_page=True))):
            pass
        return total

    async def _in_portions(self, change: Callable[[int], Any], limit: int | None) -> int:
        left, total = _NO_LIMIT if limit is None else limit, 0
        while left > 0:
            asked = min(left, repairing.CHUNK)
            count: int = await change(asked)
            left, total = left - count, total + count
            if count < asked:
                break
        return total

    async def pause(self, duration: timedelta | None = None) -> None:
        """Hand nothing out, in any process, for *duration* or until `resume`."""
        await self._change(repairing.pause, duration)

    async def resume(self) -> None:
        """Hand out again."""
        await self._change(repairing.resume)
