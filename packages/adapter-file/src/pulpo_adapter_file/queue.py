"""An open queue: the three faces over one way to the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs

from pulpo_core import Capabilities, Clock

from .calls import Calls
from .desk import Desk
from .inspector import FileInspector
from .operations import Look
from .provider import FileProvider
from .publisher import FilePublisher
from .settings import Settings
from .store import NotThereYet
from .transaction import Reading
from .wakeup import Ear
from .writers import give_back, take_writer


class FileQueue:
    """One holder's open queue; all that are open in one process share the thread that works on the file."""

    def __init__(self, calls: Calls, ear: Ear, capabilities: Capabilities) -> None:
        self.url = calls.desk.settings.url
        self.capabilities = capabilities
        provider = FileProvider(calls, ear, capabilities)
        publisher = FilePublisher(calls, capabilities)
        inspector = FileInspector(calls, capabilities)
        self.receive, self.interrupt = provider.receive, provider.interrupt
        self.settle, self.extend = provider.settle, provider.extend
        self.publish, self.publish_blocking = publisher.publish, publisher.publish_blocking
        self.stats, self.peek, self.buried = inspector.stats, inspector.peek, inspector.buried
        self.kick, self.delete, self.purge = inspector.kick, inspector.delete, inspector.purge
        self.pause, self.resume = inspector.pause, inspector.resume


@asynccontextmanager
async def open_queue(settings: Settings, clock: Clock, capabilities: Capabilities) -> AsyncIterator[FileQueue]:
    """The queue that *settings* name, open inside the context; the file is created by the first use that needs it."""
    async with open_calls(settings, clock) as (calls, ear):
        with suppress(NotThereYet):  # fine for those who publish and work; those who look are told
            await calls.ask(Look(calls.desk, _open))
        yield FileQueue(calls, ear, capabilities)


@asynccontextmanager
async def open_calls(settings: Settings, clock: Clock) -> AsyncIterator[tuple[Calls, Ear]]:
    """The way to the file, without opening it yet, and the ear for what happens to it."""
    path = settings.path.resolve()  # SQLite puts its files beside what a symbolic link points to, and so do we
    timeout = settings.timeout.total_seconds()
    desk = Desk(attrs.evolve(settings, path=path), clock)
    writer = take_writer(path, timeout=timeout)
    calls, ear = Calls(desk, writer), Ear(path)
    writer.workplace.listen(calls, desk, asyncio.get_running_loop(), ear)
    try:
        yield calls, ear
    finally:
        calls.close()
        ear.close()
        writer.workplace.stop_listening(calls)
        await give_back(writer, timeout=timeout)


def _open(reading: Reading) -> Any:
    """Nothing is asked yet."""
