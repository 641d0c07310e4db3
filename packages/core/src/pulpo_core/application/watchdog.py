"""Ends a process that was told to stop and does not come to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Self

from .clock import SystemClock


class Watchdog:
    """Calls *leave* from a thread of its own, unless it is left within *patience* after it was armed.

    An event loop that a handler blocks can do nothing about it, not even notice.
    """

    def __init__(self, patience: Callable[[], timedelta], leave: Callable[[], None]) -> None:
        self._patience = patience
        self._leave = leave
        self._ended: SimpleQueue[bool] = SimpleQueue()  # the one kind of queue that a signal handler may write to

    def __enter__(self) -> Self:
        threading.Thread(target=self._watch, name="pulpo-watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.put(True)

    def arm(self) -> None:
        """Let the time run. Idempotent; may be called in a signal handler."""
        self._ended.put(False)

    def _watch(self) -> None:
        clock = SystemClock()
        if self._ended.get():
            return
        end = clock.monotonic() + self._patience().total_seconds()
        try:
            while not self._ended.get(timeout=max(end - clock.monotonic(), 0)):
                pass
        except Empty:
            self._leave()
