"""Deliveries that wait for a slot: in the order they came, and one at a time within a group."""

from __future__ import annotations

from collections import deque

from .held import Held


class Buffer:
    """Waiting deliveries of a queue without groups."""

    def __init__(self) -> None:
        #: What waits, in its order; to be looked at only.
        self.waiting: deque[Held] = deque()

    def put(self, held: Held) -> None:
        """Let *held* wait."""
        self.waiting.append(held)

    def take(self) -> Held | None:
        """The next that may run now; `None` when none may."""
        return self.waiting.popleft() if self.waiting else None

    def settled(self, held: Held, *, done: bool) -> list[Held]:
        """Note that *held* is settled; those that must be given back because it is not *done*."""
        del held, done
        return []

    def drain(self) -> list[Held]:
        """Everything that waits, taken out."""
        waiting = list(self.waiting)
        self.waiting.clear()
        return waiting


class GroupBuffer(Buffer):
    """Waiting deliveries of a queue with groups.

    The next of a group runs when the one before is settled and confirmed. When that one is to come
    back instead, its siblings must not overtake it, so all that wait are given back.
    """

    def __init__(self) -> None:
        super().__init__()
        self._busy: dict[str, Held] = {}  # whose turn it is in each group that has one at work

    def take(self) -> Held | None:
        if self.waiting and self.waiting[0].delivery.envelope.group is None:
            return self.waiting.popleft()
        for index, held in enumerate(self.waiting):
            group = held.delivery.envelope.group
            if group is None or group not in self._busy:
                del self.waiting[index]
                if group is not None:
                    self._busy[group] = held
                return held
        return None

    def settled(self, held: Held, *, done: bool) -> list[Held]:
        group = held.delivery.envelope.group
        if group is None or self._busy.get(group) is not held:
            return []  # one that was given back itself; meanwhile another may be at work
        del self._busy[group]
        if done:
            return []
        siblings = [each for each in self.waiting if each.delivery.envelope.group == group]
        self.waiting = deque(each for each in self.waiting if each.delivery.envelope.group != group)
        return siblings
