"""Receive, settle, extend."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import attrs

from pulpo_core import AdapterError, Capabilities, Delivery, Settling

from .background import Background
from .channel import Channel
from .extending import Extensions
from .graveyard import Graveyard
from .polling import Intake
from .settling import Settlements


@attrs.define(slots=True, eq=False)
class SqsProvider:
    """The `Provider` face of an open queue."""

    capabilities: Capabilities
    _channels: Sequence[Channel]
    _graveyard: Graveyard
    _intake: Intake
    _settlements: Settlements
    _extensions: Extensions
    _tasks: Background
    _check: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _checked: bool = attrs.field(default=False, init=False)

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`. The first makes sure that what is received can be settled, too.

        Raises:
            PermissionDenied: the credentials may receive, but not delete or hide.
            QueueNotFound: there is no queue to bury messages in.
        """
        if not self._checked:
            async with self._check:
                if not self._checked:
                    await self._tasks.run(self._graveyard.check(self._channels))
                    self._checked = True
        return await self._intake.receive(limit, min(wait, self.capabilities.max_wait))

    def interrupt(self) -> None:
        """See `Provider.interrupt`. Polls under way end by themselves, and what they bring is handed out."""
        self._intake.interrupt()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """See `Provider.settle`."""
        return await self._settlements.settle(batch)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """See `Provider.extend`."""
        return await self._extensions.extend(batch)

    async def close(self) -> None:
        """Give back what was received and nobody has taken."""
        await self._intake.close()
