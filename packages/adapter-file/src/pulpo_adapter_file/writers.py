"""The writers of this process: one for each queue file, shared by all that have it open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import Final

from .writer import Writer

_log: Final = logging.getLogger(__name__)


class _Writers:
    """Writers by path, with how many hold each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Path, tuple[Writer, int]] = {}
        self._of_parents: list[Writer] = []

    def take(self, path: Path, *, timeout: float) -> Writer:
        """The writer for *path*; every `take` is followed by one `give_back`."""
        with self._lock:
            writer, holders = self._held.get(path, (None, 0))
            if writer is None or writer.is_damaged:  # damaged: who opens it now sees the file that is there now
                writer, holders = Writer(path, timeout=timeout), 0
            self._held[path] = (writer, holders + 1)
            return writer

    def give_back(self, writer: Writer) -> bool:
        """One holder less; whether it was the last one."""
        with self._lock:
            held, holders = self._held.get(writer.path, (None, 0))
            if held is not writer:  # another has taken its place
                return True
            if holders > 1:
                self._held[writer.path] = (writer, holders - 1)
                return False
            del self._held[writer.path]
            return True

    def abandon(self) -> None:
        """In a forked child: these belong to the parent, and are neither used nor closed here."""
        self._lock = threading.Lock()
        self._of_parents += [writer for writer, _ in self._held.values()]
        self._held = {}
        for writer in self._of_parents:
            writer.abandon()


_WRITERS: Final = _Writers()
os.register_at_fork(after_in_child=_WRITERS.abandon)


def take_writer(path: Path, *, timeout: float) -> Writer:
    """The writer that all in this process share who have the queue file at *path* open."""
    return _WRITERS.take(path, timeout=timeout)


async def give_back(writer: Writer, *, timeout: float) -> None:
    """Let go of *writer*; the last one to do so waits, up to *timeout* seconds, until the file is closed."""
    if writer.pid != os.getpid() or not _WRITERS.give_back(writer):
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        with contextlib.suppress(RuntimeError):  # the loop did not wait
            loop.call_soon_threadsafe(ended.set)

    writer.stop(tell)
    try:
        async with asyncio.timeout(timeout):
            await ended.wait()
    except TimeoutError:
        _log.warning("queue file %s is still being closed: another process holds its lock", writer.path)
