"""The limit of handlers for the whole process, and how its routes share it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import attrs


class Gate:
    """Lets *limit* holders in at once; each route comes through an `Entry` of its own.

    Routes look at their `Entry.room` before they receive, so that deliveries do not pile up in
    front of the gate: beyond the limit each holds at most what it was receiving while the gate
    closed, and, if it has a weight, as many as that to be there when it is its turn.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.taken = 0
        self._entries: list[Entry] = []
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []

    def entry(self, weight: int | None = None) -> Entry:
        """A way in, for one more route."""
        entry = Entry(self, weight)
        self._entries.append(entry)
        return entry

    @property
    def vacant(self) -> float:
        """Places that nobody has; less than 0 after `admit_all`."""
        return math.inf if self.limit is None else self.limit - self.taken

    @property
    def free(self) -> float:
        """How many could come in now, beside those who wait."""
        return self.vacant - len(self._waiting)

    async def wait(self, entry: Entry) -> None:
        """Wait for a place that somebody passes on."""
        future = asyncio.get_running_loop().create_future()
        place = (entry, future)
        self._waiting.append(place)
        entry.waiting += 1
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # it was let in at the same moment
                self.leave(entry)
            raise
        finally:
            if place in self._waiting:
                self._remove(place)

    def leave(self, entry: Entry) -> None:
        """Give a place back: it goes to who has waited longest on the entry that uses least of its share."""
        self.taken -= 1
        entry.taken -= 1
        waiting = [place for place in self._waiting if not place[1].done()]  # cancelled, and does not know it yet
        if waiting and self.vacant > 0:
            self._admit(min(waiting, key=lambda place: place[0].load))

    def admit_all(self, entry: Entry) -> None:
        """Let everybody in who waits on *entry*, whatever the limit says."""
        for place in [place for place in self._waiting if place[0] is entry and not place[1].done()]:
            self._admit(place)

    def _admit(self, place: tuple[Entry, asyncio.Future[None]]) -> None:
        self._remove(place)
        self.take(place[0])
        place[1].set_result(None)

    def take(self, entry: Entry) -> None:
        """Count one more holder that came through *entry*."""
        self.taken += 1
        entry.taken += 1

    def tell_of_room(self) -> None:
        """A place may be free: whoever wants to know is told."""
        for entry in self._entries:
            entry.when_free()

    def _remove(self, place: tuple[Entry, asyncio.Future[None]]) -> None:
        self._waiting.remove(place)
        place[0].waiting -= 1


@attrs.define(slots=True, eq=False)
class Entry:
    """One route's way through the gate; an asynchronous context manager.

    Attributes:
        weight: its share of the limit beside the weights of the other entries, while all of them are in demand.
        taken: how many are inside that came through it.
        waiting: how many wait in front of it.
        when_free: called whenever somebody leaves, through whichever entry.
    """

    gate: Gate
    weight: int | None = None
    taken: int = 0
    waiting: int = 0
    when_free: Callable[[], None] = lambda: None

    @property
    def unlimited(self) -> bool:
        """Whether nobody ever waits."""
        return self.gate.limit is None

    @property
    def room(self) -> float:
        """How many more may come to it now."""
        return max(self.gate.free, self.weight - self.waiting) if self.weight else self.gate.free

    @property
    def load(self) -> float:
        """How much of its share it uses; entries without a weight have no share, and take turns."""
        return self.taken / self.weight if self.weight else 0.0

    def hurry(self) -> None:
        """Let everybody in who waits here: they are called off, and do nothing inside but leave."""
        self.gate.admit_all(self)

    async def __aenter__(self) -> None:
        gate = self.gate
        if gate.limit is None:
            return
        if gate.taken >= gate.limit:
            await gate.wait(self)
        else:
            gate.take(self)

    async def __aexit__(self, *_: object) -> None:
        if self.gate.limit is not None:
            self.gate.leave(self)
            self.gate.tell_of_room()
