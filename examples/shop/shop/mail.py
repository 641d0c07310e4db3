"""Mail that goes into a file, so that the example needs no server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Mailer:
    """Sends mail."""

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self._lock = asyncio.Lock()

    async def send(self, to: str, subject: str) -> None:
        """Send one mail."""
        async with self._lock:
            await asyncio.to_thread(self._write, f"{to}: {subject}\n")

    def _write(self, line: str) -> None:
        with self._outbox.open("a") as outbox:
            outbox.write(line)


@asynccontextmanager
async def open_mailer(outbox: str) -> AsyncIterator[Mailer]:
    """The way to the mail server, open as long as the worker runs."""
    yield Mailer(Path(outbox))
