"""Room in the write-ahead log, written before it is needed.

A flush after a write that made a file longer writes down the new length of the file as well, which
costs more than the write itself. So the log does not become longer with each commit, but seldom, by
zeros, and what is committed next goes over them. SQLite knows by numbers that it draws for each log
where what is in it ends, and does not mind what comes behind.
"""

from __future__ import annotations

import os
from typing import Final

from .filesystem import write_zeros

#: The log doubles while it is small, so that few publishes write little, and then grows by as much as a flush bears.
LEAST: Final = 32 * 1024
MOST: Final = 256 * 1024


class Room:
    """The end of one log. Used in transactions only: SQLite's own lock keeps others from growing it meanwhile."""

    def __init__(self, log: str) -> None:
        self._log = log
        self._descriptor: int | None = None
        self._begun_at = 0
        self._full_at = -1

    def make(self) -> None:
        """If the log ends with the last commit, let it end later; called when a transaction has begun."""
        size = self._size()
        if size == self._full_at and self._descriptor is not None:
            size += write_zeros(self._descriptor, size, min(max(size, LEAST), MOST))
        self._begun_at = size

    def note(self) -> None:
        """Note whether the log has become longer since `make`; called when the transaction is over."""
        size = self._size()
        self._full_at = size if size > self._begun_at else -1

    def _size(self) -> int:
        """Bytes of the log. Its times are not asked for: a file system would note them, which costs a flush more."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._log, os.O_WRONLY | os.O_CLOEXEC)
            except OSError:
                return 0  # then there is none
        return os.lseek(self._descriptor, 0, os.SEEK_END)

    def close(self) -> None:
        """Let go of the log."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
