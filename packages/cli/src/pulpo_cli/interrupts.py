"""Ctrl-C between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pulpo_core import Clock, StopSignals, SystemClock


class Interrupts:
    """Holds the first SIGINT or SIGTERM back while a step is done; it comes as `KeyboardInterrupt` after it.

    Outside of a step the signal comes at once, and a second one always does.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._signals = StopSignals(clock or SystemClock())
        self._in_step = False
        self._pending = False

    def __enter__(self) -> Interrupts:
        self._before: dict[int, Any] = {each: signal.signal(each, self._on_signal) for each in StopSignals.NUMBERS}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def step(self) -> Generator[None]:
        """Do what must not be cut in two."""
        self._in_step = True
        try:
            yield
        finally:
            self._in_step = False
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _on_signal(self, _: int, __: FrameType | None) -> None:
        if not self._signals.note():
            return
        if self._in_step and not self._pending:
            self._pending = True
        else:
            raise KeyboardInterrupt
