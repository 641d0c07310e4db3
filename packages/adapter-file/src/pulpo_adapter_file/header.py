"""Reading the beginning of a queue file past SQLite, without taking its locks away.

POSIX drops every lock that a process has on a file as soon as it closes *any* descriptor of that
file. So there is one descriptor for each file in a process, opened before SQLite opens the file for
the first time, and closed after it has closed it for the last time.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

import attrs

_HEADER: Final = 100  # bytes; what SQLite says about the file

Identity = tuple[int, int]  # of a file, whatever its name: its device and inode


@attrs.define
class _Shared:
    descriptor: int
    holders: int


_SHARED: Final[dict[Identity, _Shared]] = {}
_LOCK: Final = threading.Lock()


def identity_of(path: Path | str | int) -> Identity:
    """Which file *path* names now, or is open as the descriptor *path*; text is what costs least."""
    found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and asked for every transaction
    return found.st_dev, found.st_ino


def identity_if_there(name: str) -> Identity | None:
    """As `identity_of`; `None` if there is no such file."""
    try:
        return identity_of(name)
    except FileNotFoundError:
        return None


class Header:
    """The beginning of one file; made before SQLite opens it, closed after SQLite has closed it."""

    def __init__(self, path: Path) -> None:
        with _LOCK:
            self._identity = identity_of(path)
            shared = _SHARED.get(self._identity)
            if shared is None:
                shared = _SHARED[self._identity] = _Shared(os.open(path, os.O_RDONLY | os.O_CLOEXEC), 0)
            shared.holders += 1
            self._descriptor = shared.descriptor

    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def fits(self, size: int) -> bool:
        """Whether a file of *size* bytes holds all the pages that its header tells of."""
        header = os.pread(self._descriptor, _HEADER, 0)
        page_size, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
        return len(header) == _HEADER and size >= pages * (65_536 if page_size == 1 else page_size)

    def close(self) -> None:
        """Let go of the file."""
        with _LOCK:
            shared = _SHARED[self._identity]
            shared.holders -= 1
            if not shared.holders:
                del _SHARED[self._identity]
                os.close(shared.descriptor)
