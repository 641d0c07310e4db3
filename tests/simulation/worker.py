"""A process of the simulated world: the real dispatcher, what ends it, and what must be true of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from pulpo_core import Dispatcher, PulpoError
from pulpo_core.application.held import Stage
from pulpo_core.domain.settlement import Reason
from pulpo_core.events import Event, Settled
from pulpo_core.testing import LoopClock

from .broker import Broker
from .handlers import EXITS
from .network import Defect, Session

if TYPE_CHECKING:
    from .life import World

#: How far what fills a slot, or its prefetch, has come.
UNHANDLED = {Stage.WAITING, Stage.IN_LINE, Stage.RUNNING}

#: Which column of the ledger counts what the queue has confirmed.
COLUMNS = {"Ack": ("acked", "dropped"), "Retry": ("retried",), "Bury": ("buried",), "Release": ("released",)}


class SimulatedDispatcher(Dispatcher):
    """The dispatcher, whose follow-ups to other queues stay within the simulated world."""

    def _opened(self, url: str) -> Any:
        return self.routes[0].adapter.open(url, clock=self._clock, jitter=self._jitter)  # type: ignore[union-attr] # routes here have one


@attrs.define(eq=False)
class Worker:
    """A process with a dispatcher.

    Attributes:
        alive: it was not killed; what a killed one still does reaches nobody.
        ending: how it was ended, if it was not in order.
        most: messages that it may receive.
    """

    world: World
    number: int
    concurrency: int | None
    brokers: Sequence[Broker]
    sessions: list[Session] = attrs.field(factory=list)
    alive: bool = True
    ending: str = ""
    most: int | None = None
    clock: LoopClock = attrs.field(factory=LoopClock)
    dispatcher: Dispatcher | None = None
    task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run its dispatcher, whatever that raises: a process may end as it likes."""
        assert self.dispatcher is not None
        try:
            await self.dispatcher.run()
        except (PulpoError, Defect) as error:
            self.world.books.note("worker failed", self.number, type(error).__name__)
        except asyncio.CancelledError:
            raise
        except EXITS as end:
            self.world.books.note("worker ended by its handler", self.number, type(end).__name__)
        self.check()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Settled):
            self.world.books.note("counted", self.number, event.delivery.id, event.tally, event.reason)
            if event.reason is Reason.ABANDONED:
                event.delivery.receipt.blame = "abandoned"

    def leave(self, why: str) -> None:
        """It is gone: cut off first, and then ended."""
        self.ending = why
        if why == "worker killed":
            self.alive = False
        for session in self.sessions:
            session.cut(why)
        if self.task is not None:
            self.task.cancel()

    def check_balance(self) -> None:
        """The equation of the ledger, and how much is held; read where it is kept, since it is asked all the time."""
        for pump in self.dispatcher._pumps.values() if self.dispatcher else ():
            if pump.ledger.received != pump.ledger.settled + len(pump.in_hand):
                self.world.books.object(f"worker {self.number}, {pump.name}: out of balance: {pump.snapshot()}")
            unhandled = sum(held.stage in UNHANDLED for held in pump.in_hand)
            if unhandled > pump.concurrency + pump.prefetch:
                self.world.books.object(f"worker {self.number}, {pump.name}: {unhandled} are not handled yet")

    def check(self) -> None:
        """What must be true of a worker that has ended by itself or in order."""
        assert self.dispatcher is not None
        object_ = self.world.books.object
        ledgers = self.dispatcher.ledgers
        for name, ledger in ledgers.items():
            sessions = [each for each in self.sessions if each.url == name]
            if not ledger.balanced:
                object_(f"worker {self.number}, {name}: out of balance: {ledger}")
            received = sum(each.received for each in sessions)
            if ledger.received != received:
                object_(f"worker {self.number}, {name}: {received} came, {ledger.received} are counted")
            for kind, columns in COLUMNS.items():
                told = sum(each.confirmed[kind] for each in sessions)
                counted = sum(getattr(ledger, column) for column in columns)
                if told != counted:
                    object_(f"worker {self.number}, {name}: {told} × {kind} confirmed, {counted} counted")
        if self.most is not None and sum(each.received for each in self.sessions) > self.most:
            object_(f"worker {self.number} has received more than {self.most}")
        if sum(ledger.in_hand for ledger in ledgers.values()) != len(self.dispatcher.unsettled):
            object_(f"worker {self.number}: not everything that is left is named")
        for each in [each for broker in self.brokers for each in broker.current.values()]:
            if each.holder not in self.sessions or each.blame:
                continue
            if each.name in self.dispatcher.unsettled:
                each.blame = "named at the end"
            else:
                object_(f"worker {self.number} has ended, and still holds {each.name} for no reason")
