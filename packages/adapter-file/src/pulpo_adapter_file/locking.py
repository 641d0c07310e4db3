"""One writer at a time, across processes: `flock` on a file beside the queue file.

SQLite has locks of its own, but a writer that finds them taken sleeps and tries again, which
costs hundreds of milliseconds when several write; the kernel wakes the next holder of a `flock` at
once. It is also what keeps writers and checkpoints of different processes apart: SQLite before
3.51.3 can corrupt a write-ahead log when they meet.

Four rules. Opening, write transactions, checkpoints and closing happen under the lock. Nobody
removes the file. The lock dies with its process, however it dies. Once there was a queue beside
it, the lock file says so (`FileLock.mark`): a queue file that is gone then was lost, and is not
silently begun anew.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pulpo_core import Unavailable

from .filesystem import companion_mode, give_to_owner
from .header import Identity, identity_if_there, identity_of

_STEP: Final = 0.002  # seconds between two tries where waiting has an end


class FileLock:
    """The lock of one queue file. Used by one thread at a time; never re-entered.

    Attributes:
        is_held: it may be ours. Stays so where `release` did not get to its end, and may be called once more.
    """

    def __init__(self, queue_file: Path) -> None:
        self.path = queue_file.with_name(queue_file.name + ".lock")
        self._queue_file = queue_file
        self._name = str(self.path)
        self.is_held = False
        self._descriptor: int | None = None
        self._identity: Identity | None = None  # of the file behind the descriptor, which is the same for good

    def __enter__(self) -> None:
        """Hold the lock inside the context; waits in the kernel, for as long as it takes."""
        self._acquire(None)

    def __exit__(self, *error: object) -> None:
        """Let the next one have it."""
        self.release()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Hold the lock inside the context; waits for it no longer than *seconds*.

        Raises:
            Unavailable: others held it all that time.
            OSError: the file cannot be opened.
        """
        self._acquire(seconds)
        try:
            yield
        finally:
            self.release()

    def take_if_free(self) -> bool:
        """Take the lock without waiting, until `release`; whether it is ours now."""
        descriptor = self._open()
        self.is_held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_current():
            return True
        self.close()
        return False

    def release(self) -> None:
        """Let the next one have it; nothing happens if it is not held."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self.is_held = False

    def _acquire(self, timeout: float | None) -> None:
        while True:
            descriptor = self._open()
            if timeout is None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            else:
                self._try_until(descriptor, time.monotonic() + timeout, timeout)
            if self._is_current():
                return
            self.close()  # somebody removed the file: who holds the lock of a nameless file excludes nobody

    def _try_until(self, descriptor: int, deadline: float, timeout: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise held_by_others(self._queue_file, timeout) from error
                time.sleep(_STEP)  # noqa: TID251 - a thread waits for another process, not for a message's time
            else:
                return

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_RDWR | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self.path, flags)
            except FileNotFoundError:
                self._descriptor = os.open(self.path, flags | os.O_CREAT, 0o600)
                os.fchmod(self._descriptor, companion_mode(self._queue_file))
                give_to_owner(self.path, self._queue_file)
            self._identity = identity_of(self._descriptor)
        return self._descriptor

    def _is_current(self) -> bool:
        return identity_if_there(self._name) == self._identity

    def mark(self) -> None:
        """Note for ever that there is a queue; the caller holds the lock."""
        if self._descriptor is not None and not self.is_marked():
            os.pwrite(self._descriptor, f"{self._queue_file.name} is a queue of pulpo\n".encode(), 0)

    def is_marked(self) -> bool:
        """Whether there was a queue before; the caller holds the lock."""
        return self._descriptor is not None and os.fstat(self._descriptor).st_size > 0

    def close(self) -> None:
        """Let go of the file; a lock held through it in this process is released."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def held_by_others(queue_file: Path, timeout: float) -> Unavailable:
    """The refusal of a call that waited too long for other processes."""
    return Unavailable(f"queue file {queue_file}: another process has held its lock for {timeout:g} s")
