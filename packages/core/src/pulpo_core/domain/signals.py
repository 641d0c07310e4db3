"""Exceptions by which a handler says what is to become of its message.

Returning `Ack`, `Retry` or `Bury` says the same; these reach through calls in between. The
error handler is not asked for them.
"""

from __future__ import annotations

from datetime import timedelta

from .settlement import Bury, Retry, Settlement


class Signal(Exception):
    """What a handler wants; not an error."""

    @property
    def settlement(self) -> Settlement | None:
        """What is asked for; `None` to have the message rejected."""
        return None


class RetryMessage(Signal):
    """Hand it out again, after *delay* (seconds or timedelta) or after the policy's backoff."""

    def __init__(self, reason: str = "", *, delay: timedelta | float | None = None) -> None:
        super().__init__(reason)
        self._settlement = Retry(delay, error=reason)

    @property
    def settlement(self) -> Settlement:
        return self._settlement


class BuryMessage(Signal):
    """Set it aside for *reason*."""

    def __init__(self, reason: str = "asked") -> None:
        super().__init__(reason)
        self._settlement = Bury(reason)

    @property
    def settlement(self) -> Settlement:
        return self._settlement


class RejectMessage(Signal):
    """Take it out of the queue unhandled."""


class KeepMessage(Signal):
    """Leave it in the queue, to be handed out again after the policy's backoff."""

    @property
    def settlement(self) -> Settlement:
        return Retry()


DeleteMessage = RejectMessage  # the names that loafer's users know
IgnoreMessage = KeepMessage
