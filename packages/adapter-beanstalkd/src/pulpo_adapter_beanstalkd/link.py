"""One connection that is opened when it is needed, and opened anew when it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pulpo_core import AdapterError

from .connection import Connection, Dialer, Lost
from .pipeline import Command


class Link:
    """A connection that puts into, and looks at, the tube *use*."""

    def __init__(self, dialer: Dialer, *, use: str) -> None:
        self._dialer = dialer
        self._use = use
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._failures = 0
        self._last_failure: Lost | None = None

    async def connection(self) -> Connection:
        """The connection, alive as far as anybody knows. Those who wait for the same one fail together.

        Raises:
            Lost: there is none to be had.
            AdapterError: the queue is closed.
        """
        if self._connection is not None and self._connection.alive:
            return self._connection
        failures = self._failures
        async with self._opening:
            if self._connection is not None and self._connection.alive:
                return self._connection
            if self._last_failure is not None and self._failures > failures:
                raise Lost(str(self._last_failure), sent=False) from self._last_failure
            return await self._open()

    async def _open(self) -> Connection:
        try:
            self._connection = await self._dialer.dial(use=self._use)
        except Lost as lost:
            self._failures, self._last_failure = self._failures + 1, lost
            raise
        return self._connection

    async def tell(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to *commands*; for each of them why, when there is no connection to be had."""
        try:
            connection = await self.connection()
        except (Lost, AdapterError) as error:
            return [error for _ in commands]
        return await connection.ask(commands)
