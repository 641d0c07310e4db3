"""The supervisor: keeps workers running until they are done, and stops them all when it is told to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import assert_never

import attrs

from pulpo_cli import errors
from pulpo_cli.units import plural, span
from pulpo_core import Clock, PulpoError, Report, StopSignals, SystemClock

from .account import Account, added_ledgers, added_requests, folded, shares
from .changes import changes, flaw_in
from .leash import Orders
from .verdict import Again, Done, Ending, Past, StopAll, verdict
from .worker import Worker

log = logging.getLogger("pulpo.run")

#: Starts a worker with its orders and the command line.
Start = Callable[[Orders, Sequence[str], Clock], Awaitable[Worker]]


class WorkersFailed(PulpoError):
    """Workers cannot do their work; the text is what they said about it."""


@attrs.define(eq=False, kw_only=True)
class Place:
    """The place of one worker, whoever takes it.

    Attributes:
        number: from 0.
        share: of ``--max-messages``, over all workers in this place.
        accounts: of each worker in this place, in order.
    """

    number: int
    share: int | None
    worker: Worker | None = None
    past: Past = attrs.field(factory=Past)
    accounts: list[Account] = attrs.field(factory=list)

    @property
    def is_done(self) -> bool:
        """Whether its share is used up, as far as it is known."""
        return self.share is not None and self.left <= 0

    @property
    def left(self) -> int:
        """What is left of its share."""
        return (self.share or 0) - sum(account.ledger.received for account in self.accounts)

    def orders(self) -> Orders:
        """For the next worker in this place."""
        return Orders(
            descriptor=-1,
            place=self.number,
            first=not self.accounts,
            max_messages=None if self.share is None else self.left,
            paused=self.accounts[-1].paused if self.accounts else (),
        )


class Crew:
    """Runs *count* workers with the same command line, and adds them up.

    Args:
        arguments: the command line, without the program.
        max_messages: in all workers together, shared out among them.
        watched: the directory whose changes start all workers anew; none unless given.
        start: starts one worker.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        count: int,
        *,
        max_messages: int | None = None,
        watched: Path | None = None,
        clock: Clock | None = None,
        start: Start = Worker.start,
    ) -> None:
        self._arguments = arguments
        self._places = [Place(number=n, share=share) for n, share in enumerate(shares(max_messages, count))]
        self._watched = watched
        self._clock: Clock = clock or SystemClock()
        self._start = start
        self._signals = StopSignals(self._clock)
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()  # another one for each generation of the code
        self._status = errors.DONE
        self._failure = ""

    async def run(self) -> Report:
        """Run to the end of all workers, with the signals of this process."""
        loop = asyncio.get_running_loop()
        for each in StopSignals.NUMBERS:
            loop.add_signal_handler(each, self._on_signal)
        try:
            async with asyncio.TaskGroup() as watching:
                if self._watched is not None:
                    watching.create_task(self._reload(self._watched))
                async with asyncio.TaskGroup() as places:
                    for place in self._places:
                        places.create_task(self._fill(place))
                self._stopping.set()
        finally:
            for each in StopSignals.NUMBERS:
                loop.remove_signal_handler(each)
        return self._report()

    async def _fill(self, place: Place) -> None:
        """Have a worker in *place* until there is to be none."""
        while not (self._stopping.is_set() or place.is_done):
            changed = self._changed
            ending = await self._employ(place)
            if not changed.is_set() and not await self._goes_on(place, ending):
                return

    async def _employ(self, place: Place) -> Ending:
        try:
            worker = place.worker = await self._start(place.orders(), self._arguments, self._clock)
        except OSError as error:  # such as too many processes: those that are there go on
            return self._note_no_start(place, error)
        place.accounts = folded([*place.accounts, worker.account])
        if self._stopping.is_set():
            self._tell(worker)
        ending = await worker.end()
        place.worker = None
        place.past = place.past.after(ending)
        if self._stopping.is_set():
            self._note_end(worker.account, ending)
        return ending

    def _note_no_start(self, place: Place, error: OSError) -> Ending:
        before = place.orders()
        account = Account(
            place=place.number + 1, status=errors.FAILED, paused=before.paused, failure=f"cannot be started: {error}"
        )
        place.accounts = folded([*place.accounts, account])
        ending = Ending(status=errors.FAILED, age=timedelta())
        place.past = place.past.after(ending)
        return ending

    def _note_end(self, account: Account, ending: Ending) -> None:
        """Of one that was told to end: the first that did not do it in order decides how all of this ends."""
        lost = not account.final and bool(account.ledgers)
        if lost:
            log.error("worker %d %s%s", account.place, ending, _in_hand(account))
        self._status = self._status or (errors.STOPPED if lost else ending.status if account.final else 0)
        self._failure = self._failure or account.failure

    async def _goes_on(self, place: Place, ending: Ending) -> bool:
        """Whether there is to be another worker in *place*; waits until it is time for it."""
        account = place.accounts[-1]
        proven = any(account.ledgers for account in self.accounts)
        decision = verdict(ending, place.past, proven=proven, stopping=self._stopping.is_set())
        match decision:
            case Done():
                return False
            case Again(after=after):
                why = f" ({account.failure})" if account.failure else ""
                again = f"another one is started in {span(after)}"
                log.error("worker %d %s%s%s; %s", account.place, ending, why, _in_hand(account), again)
                return not await self._clock.wait(self._stopping, after.total_seconds())
            case StopAll():
                return await self._stop_all(place, ending, decision)
            case _:
                assert_never(decision)

    async def _stop_all(self, place: Place, ending: Ending, decision: StopAll) -> bool:
        account = place.accounts[-1]
        again = f" {place.past.quick} times in a row" if decision.gave_up else ""
        failure = account.failure or f"worker {account.place} {ending}{again}"
        if self._watched is not None:
            log.error("%s; waiting for the next change", failure)
            await self._changed.wait()
            return not self._stopping.is_set()
        if not self._stopping.is_set():
            self._status, self._failure = decision.status, failure
            self._stop()
        return False

    def _on_signal(self) -> None:
        if not self._signals.note():
            return
        if self._signals.count == 1:
            log.info("stopping: what runs may finish; a second signal cuts that short")
        elif self._signals.count == 2:
            log.warning("stopping now: what runs is cancelled and given back")
        else:
            self._status = errors.STOPPED
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._changed.set()
        for place in self._places:
            if place.worker is not None:
                self._tell(place.worker)

    def _tell(self, worker: Worker) -> None:
        if self._signals.count > 2 or (
            self._signals.count == 2 and not worker.account.ledgers
        ):  # then it has nothing in hand
            worker.kill()
        else:
            worker.stop(now=self._signals.count == 2)

    async def _reload(self, directory: Path) -> None:
        async for paths in changes(directory, self._stopping):
            flaw = flaw_in(paths)
            if flaw:
                log.error("%s; waiting for the next change", flaw)
                continue
            names = ", ".join(path.name for path in paths[:3]) + (", …" if len(paths) > 3 else "")
            log.info("%s changed: what runs may finish, then everything is started anew", names)
            self._changed.set()
            self._changed = asyncio.Event()
            for place in self._places:
                place.past = Past()
                if place.worker is not None:
                    place.worker.stop(now=False)

    @property
    def accounts(self) -> list[Account]:
        """Of every worker that there was."""
        return [account for place in self._places for account in place.accounts]

    def _report(self) -> Report:
        ledgers = added_ledgers(self.accounts)
        return Report(
            status=self._status,
            ledgers=ledgers,
            error=WorkersFailed(self._failure) if self._failure else None,
            unsettled=tuple(id_ for account in self.accounts for id_ in account.unsettled),
            requests=added_requests(self.accounts),
            abandoned=sum(account.abandoned for account in self.accounts),
        )


def _in_hand(account: Account) -> str:
    """What becomes of deliveries of a worker that could not say so itself."""
    if account.final or not account.ledger.in_hand:
        return ""
    return f"; {plural(account.ledger.in_hand, 'message')} it had in hand come back after their lease"
