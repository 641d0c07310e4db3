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

_log: Final = logging.getLogger("pulpo.adapter.file")

#: Seconds that a fork waits for a transaction: a disk may not answer, or a signal handler fork in the midst of one.
_AT_FORK: Final = 1.0


class _Writers:
    """Writers by path, and how many hold each. Those of a damaged one go on holding it when another takes its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: dict[Path, Writer] = {}
        self._holders: dict[Writer, int] = {}
        self._of_parents: list[Writer] = []
        self._held_back: list[threading.Lock] = []

    def take(self, path: Path, *, timeout: float) -> Writer:
        """The writer for *path*; every `take` is followed by one `give_back`."""
        with self._lock:
            writer = self._current.get(path)
            if writer is None or writer.workplace.is_damaged:  # who opens it now sees the file that is there now
                writer = self._current[path] = Writer(path, timeout=timeout)
            self._holders[writer] = self._holders.get(writer, 0) + 1
            return writer

    def give_back(self, writer: Writer) -> bool:
        """One holder less; whether it was the last one."""
        with self._lock:
            self._holders[writer] -= 1
            if self._holders[writer]:
                return False
            del self._holders[writer]
            if self._current.get(writer.path) is writer:
                del self._current[writer.path]
            return True

    def hold_back(self) -> None:
        """Before a fork: SQLite in the child would take a transaction that goes on here for one of its own."""
        locks = [self._lock, *[writer.workplace.turn for writer in list(self._holders)]]
        self._held_back = [lock for lock in locks if lock.acquire(timeout=_AT_FORK)]

    def go_on(self) -> None:
        """After the fork, in the parent."""
        held_back, self._held_back = self._held_back, []
        for lock in held_back:
            lock.release()

    def abandon(self) -> None:
        """In a forked child: these belong to the parent, and are neither used nor closed here."""
        self._lock, self._held_back = threading.Lock(), []
        self._of_parents += self._holders
        self._current, self._holders = {}, {}
        for writer in self._of_parents:
            writer.workplace.abandon()


_WRITERS: Final = _Writers()
os.register_at_fork(before=_WRITERS.hold_back, after_in_parent=_WRITERS.go_on, after_in_child=_WRITERS.abandon)


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
