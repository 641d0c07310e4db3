"""What one open queue brings to the writer it shares with the other queues of its file."""

from __future__ import annotations

from pulpo_core import Clock, QueueNotFound

from .settings import Settings
from .timekeeping import Timekeeper, span


class Desk:
    """One holder's view of one queue in a file.

    Attributes:
        queue_id: the row of table `queue`; known after the first transaction that needed it.
        file: the path of the file, as text: what is of another file is told by it.
        lease: in microseconds.
        is_rich: the last receive got all that it asked for: the next is not worth a look beforehand.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.time = Timekeeper(clock)
        self.queue_id: int | None = None
        self.file = str(settings.path)
        self.lease = span(settings.lease)
        self.is_rich = False

    def unknown_queue(self, names: list[str]) -> QueueNotFound:
        """The refusal to look at a queue that is not in the file, which holds *names*."""
        known = ", ".join(names) or "none yet"
        settings = self.settings
        return QueueNotFound(f"there is no queue {settings.queue!r} in {settings.path}; it holds: {known}")
