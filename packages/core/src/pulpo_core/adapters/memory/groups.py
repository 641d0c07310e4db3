"""Messages of one group, one after another."""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush

import attrs

from pulpo_core.domain.lifecycle import State

from .stored import Stored


@attrs.define(eq=False)
class _Group:
    """The *head* is ready, reserved or waits for its retry; the others are ready and wait behind it."""

    head: Stored | None = None
    behind: list[tuple[int, Stored]] = attrs.field(factory=list)


class Groups:
    """Says of each message that has a group whether it may be handed out now.

    A group moves on when its head is acknowledged, buried or deleted. A head that is retried or
    released stays head, so a failure keeps the order of its group.
    """

    def __init__(self) -> None:
        self._groups: defaultdict[str, _Group] = defaultdict(_Group)

    def admit(self, name: str, stored: Stored) -> bool:
        """*stored* is ready: whether it is the head of its group, else it waits behind."""
        group = self._groups[name]
        head = group.head
        if head is None or head is stored:
            group.head = stored
            return True
        if head.state is State.READY and stored.order < head.order:  # an earlier one came back
            group.head, stored = stored, head
        heappush(group.behind, (stored.order, stored))
        return group.head is not head

    def is_head(self, name: str, stored: Stored) -> bool:
        """Whether *stored* may be handed out."""
        return self._groups[name].head is stored

    def leave(self, name: str, stored: Stored) -> Stored | None:
        """*stored* has left the group for good: the next head, if that is somebody else now."""
        group = self._groups.get(name)
        if group is None or group.head is not stored:
            return None
        group.head = _next(group)
        if group.head is None:
            del self._groups[name]
        return group.head


def _next(group: _Group) -> Stored | None:
    while group.behind:
        _, stored = heappop(group.behind)
        if stored.state is State.READY:
            return stored
    return None
