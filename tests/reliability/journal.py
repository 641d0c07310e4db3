"""What processes write down while they work, outside of any queue: one line for each event, with one system call.

A line is whole or not there at all, whatever happens to its writer. Times are of the machine's
monotonic clock, so that lines of all processes can be put in order.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen(slots=True)
class Line:
    """One event.

    Attributes:
        what: ``try``, ``ok``, ``doubt`` or ``refused`` of a producer; ``start``, ``end`` or ``fail`` of a handler;
            or the column of the ledger in which a delivery was counted, unless its message is gone.
        number: of the message.
        attempt: of the delivery, as the queue counts.
    """

    when: float
    writer: int
    what: str
    number: int
    attempt: int


class Journal:
    """A journal to write."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._writer = os.getpid()

    def note(self, what: str, number: int, attempt: int = 0) -> None:
        """Write one line."""
        os.write(self._file, f"{time.monotonic():.6f} {self._writer} {what} {number} {attempt}\n".encode())


def read(folder: Path) -> Iterator[Line]:
    """Every line of every journal in *folder*; those of one process in order."""
    for path in sorted(folder.glob("*.journal")):
        for text in path.read_text().splitlines():
            when, writer, what, number, attempt = text.split()
            yield Line(float(when), int(writer), what, int(number), int(attempt))


#: Journals stay below this, and the files of queues with any backlog are above it.
ROOM = 256 * 1024


def fill_the_disk() -> None:
    """Let no file of this process grow beyond `ROOM` for a while, over and over again."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error then, not the end
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_and_off() -> None:
        while True:
            time.sleep(random.uniform(0.3, 0.8))
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
            time.sleep(random.uniform(0.05, 0.3))
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    threading.Thread(target=on_and_off, daemon=True).start()
