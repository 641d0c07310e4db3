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

    async def connection(self) -> Connection:
        """The connection, alive as far as anybody knows.

        Raises:
            Lost: there is none to be had.
            AdapterError: the queue is closed.
        """
        if self._connection is not None and self._connection.alive:
            return self._connection
        async with self._opening:
            if self._connection is None or not self._connection.alive:
                self._connection = await self._dialer.dial(use=self._use)
            return self._connection

    async def tell(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to *commands*; for each of them why, when there is no connection to be had."""
        try:
            connection = await self.connection()
        except (Lost, AdapterError) as error:
            return [error for _ in commands]
        return await connection.ask(commands)
