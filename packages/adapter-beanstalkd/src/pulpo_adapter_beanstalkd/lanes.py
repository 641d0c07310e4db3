"""What is in hand, and through which connection: only the connection that reserved a job may settle it.

A `Holding` is bound to its connection for life. When the connection ends, the job went back to the
queue, and nothing is ever sent for it again: ids of jobs can begin again at 1 after a restart of
beanstalkd, and it lets anybody delete a job that is ready. When a job comes in that is still in
hand here, the older holding is over, since beanstalkd would not tell the two apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from operator import methodcaller
from typing import Any, Final

import attrs
import greenstalk

from pulpo_core import AdapterError

from .connection import Connection
from .errors import Doing, error_of
from .pipeline import Command
from .records import Kept


class Fate(Enum):
    """What became of a holding."""

    HELD = auto()
    CLAIMED = auto()  # somebody is settling it; its last command is not said yet
    SAID = auto()  # its last command is said: nothing more may be
    SETTLED = auto()
    LOST = auto()


HELD: Final = Fate.HELD  # plain names: looking up a member costs as much as calling a function
CLAIMED: Final = Fate.CLAIMED
SAID: Final = Fate.SAID
SETTLED: Final = Fate.SETTLED
LOST: Final = Fate.LOST


@attrs.define(slots=True, eq=False)
class Holding:
    """One job in hand; the receipt of its delivery.

    Attributes:
        taken_at: when it was reserved or last touched, in seconds of `Clock.monotonic`.
        deadline: until when it was told to be ours, likewise.
        ttr: its time to run, once it is known.
        being_asked: its statistics are asked for, or were.
        stats: the statistics of the job, as last asked for.
        record: of its last burial, if it was kicked.
        settled_as: the kind of settlement that was claimed for it.
        error: what became of that, if it failed.
        waiters: those who wait for that beside the one who claimed it.
    """

    lane: Lane
    id: int
    body: bytes = attrs.field(repr=False)
    taken_at: float
    deadline: float
    ttr: int | None = None
    being_asked: bool = False
    stats: dict[str, Any] | None = None
    record: Kept | None = None
    fate: Fate = HELD
    settled_as: type | None = None
    error: AdapterError | None = None
    waiters: list[asyncio.Future[None]] | None = None

    @property
    def ours(self) -> bool:
        """Whether it can still be settled or extended."""
        return self.fate is HELD and self.lane.connection.alive

    @property
    def job(self) -> greenstalk.Job[bytes]:
        """What greenstalk wants to be given for it: only the id of it counts."""
        return greenstalk.Job(self.id, b"")

    def lose(self) -> None:
        """It is not ours any more."""
        if self.fate in {HELD, CLAIMED}:
            self.fate = LOST
        self.lane.forget(self)

    def claim(self, kind: type) -> None:
        """Somebody settles it; nobody else may."""
        self.fate, self.settled_as = CLAIMED, kind

    def unclaim(self) -> None:
        """It came to nothing: somebody else may try."""
        if self.fate is CLAIMED:
            self.fate, self.settled_as = HELD, None

    def hand_over(self, kind: type | None) -> None:
        """Its last command, for a settlement of that *kind*, is said: whatever comes of it, the connection is done."""
        self.fate, self.settled_as = SAID, kind
        self.lane.forget(self)

    def conclude(self, error: AdapterError | None) -> None:
        """What was said has come to this."""
        self.error = error
        self.fate = SETTLED if error is None else LOST
        if self.waiters is not None:
            for waiter in self.waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def concluded(self) -> None:
        """Wait until what was said has come to something."""
        if self.fate is SAID:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiters = [*(self.waiters or ()), waiter]
            await waiter


@attrs.define(slots=True, eq=False)
class Lane:
    """One connection that reserves, and what is in hand through it.

    Attributes:
        waiting: it waits in a reserve, so that nothing else can be said on it.
        taking: how many times jobs are being taken through it right now.
    """

    connection: Connection
    _everything: dict[int, Holding]
    waiting: bool = False
    taking: int = 0
    in_hand: dict[int, Holding] = attrs.field(factory=dict)

    @property
    def alive(self) -> bool:
        """Whether its connection is."""
        return self.connection.alive

    @property
    def clean(self) -> bool:
        """Whether nothing is in hand through it, so that a reserve may wait on it without blocking any settlement."""
        return not (self.in_hand or self.waiting or self.taking) and self.connection.alive

    def hold(self, holding: Holding) -> None:
        """Take *holding* in hand; an older one of the same job, through whichever connection, is lost by that."""
        older = self._everything.get(holding.id)
        if older is not None:
            older.lose()
        self._everything[holding.id] = self.in_hand[holding.id] = holding

    def forget(self, holding: Holding) -> None:
        """*holding* is no longer in hand."""
        if self._everything.get(holding.id) is holding:
            del self._everything[holding.id], self.in_hand[holding.id]


class Lanes:
    """All connections of one provider that are alive."""

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._everything: dict[int, Holding] = {}

    def __iter__(self) -> Iterator[Lane]:
        self._sweep()
        return iter([lane for lane in self._lanes if lane.alive])

    def __len__(self) -> int:
        return sum(lane.alive for lane in self._lanes)

    def add(self, connection: Connection) -> Lane:
        """A lane over *connection*."""
        lane = Lane(connection, self._everything)
        self._lanes.append(lane)
        return lane

    def holdings(self) -> list[Holding]:
        """Everything in hand."""
        self._sweep()
        return list(self._everything.values())

    def clean(self) -> list[Lane]:
        """Those on which a reserve may wait."""
        return [lane for lane in self if lane.clean]

    def surplus(self, keep: int) -> list[Lane]:
        """Those that nobody needs, not even for an answer, but for the first *keep*."""
        return [lane for lane in self.clean() if lane.connection.quiet][keep:]

    def _sweep(self) -> None:
        dead = [lane for lane in self._lanes if lane.connection.ended]
        for lane in dead:
            self._lanes.remove(lane)
            for holding in list(lane.in_hand.values()):
                holding.lose()


def by_lane(holdings: Iterable[Holding]) -> dict[Lane, list[Holding]]:
    """*holdings*, apart by the connections that hold them."""
    apart: dict[Lane, list[Holding]] = {}
    for holding in holdings:
        apart.setdefault(holding.lane, []).append(holding)
    return apart


async def ask_each(holdings: Iterable[Holding], command: Callable[[Holding], Command]) -> list[tuple[Holding, Any]]:
    """Say *command* for each of *holdings* on its own connection, all at once; their answers."""
    asked = [
        (group, lane.connection.ask([command(holding) for holding in group]))
        for lane, group in by_lane(holdings).items()
    ]
    answers: list[tuple[Holding, Any]] = []
    for group, future in asked:
        answers += zip(group, await future, strict=True)
    return answers


async def learn(holdings: Iterable[Holding], doing: Doing) -> AdapterError | None:
    """Ask for the statistics of each of *holdings*; those that are not reserved any more are lost.

    Those for which there was another answer stay without; the first such answer is given back.
    """
    first: AdapterError | None = None
    for holding, answer in await ask_each(holdings, lambda holding: methodcaller("stats_job", holding.id)):
        note_stats(holding, answer)
        if holding.stats is None and holding.fate is not LOST:
            first = first or error_of(answer, doing)
    return first


def note_stats(holding: Holding, answer: Any) -> None:
    """Take note of the statistics of *holding*; if beanstalkd knows nothing of it, or not as reserved, it is lost."""
    if isinstance(answer, dict) and answer["state"] == "reserved":
        holding.stats, holding.ttr, holding.being_asked = answer, answer["ttr"], True
    elif isinstance(answer, (dict, greenstalk.NotFoundError)):
        holding.lose()
