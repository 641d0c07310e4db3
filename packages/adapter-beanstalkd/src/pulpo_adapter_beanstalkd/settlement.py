"""Settling: the last word on a job is said on the connection that reserved it, and said once.

========  =========================================================================================
Ack       ``delete``. Anybody may delete a job that is ready, so when the lease that was told is
          over, the job is touched first, which only its holder can, and deleted if that went well.
Retry     ``release`` with the job's own priority and a delay of at least a second: a release
          without delay is not written to beanstalkd's log, so a restart would forget the attempt.
Release   ``release`` with the job's own priority and no delay.
Bury      the record of it is stored, then ``bury`` with the job's own priority.
========  =========================================================================================

greenstalk's own defaults for priority and delay are never used: they would move the job in the
order of the tube. The priority is the job's statistics' word, asked for where it is not known.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from operator import methodcaller
from typing import Any, Final

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Clock,
    Delivery,
    LeaseLost,
    MessageTooLarge,
    Release,
    Retry,
    Settling,
    Unsupported,
)

from .attempts import lost_in_all
from .codec import told_lease, whole_seconds
from .errors import Doing, error_of
from .lanes import SETTLED, Fate, Holding, Lane, ask_each, by_lane, learn
from .pipeline import Command
from .records import Burial, Records, fingerprint

#: Shorter delays of a retry are raised to this; see above.
MIN_RETRY_DELAY: Final = timedelta(seconds=1)

_log = logging.getLogger("pulpo.adapter.beanstalkd")


@attrs.define(slots=True, eq=False)
class _Item:
    """One settling on its way.

    Attributes:
        kind: of settlement.
        claimed: this call, and no other, settles it.
    """

    settling: Settling
    holding: Holding
    kind: type
    claimed: bool = False
    error: AdapterError | None = None

    @property
    def going(self) -> bool:
        """Whether there is anything left to say for it."""
        return self.error is None and self.holding.fate is Fate.CLAIMED and self.holding.lane.alive


class Settlement:
    """Settles and extends what one provider holds."""

    def __init__(self, *, ttr: float, clock: Clock, records: Records) -> None:
        self._lease = told_lease(ttr)
        self._clock = clock
        self._records = records

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """See `Provider.settle`."""
        now = self._clock.monotonic()
        acked = [_acked(settling, now) for settling in batch]  # nearly all there ever is, so it costs little
        said = _delete([holding for holding in acked if holding is not None])  # at once, before anything is waited for
        others: Iterator[AdapterError | None] = iter(())
        if None in acked:
            remaining = [settling for settling, holding in zip(batch, acked, strict=True) if holding is None]
            others = iter(await self._settle_others(remaining))
        for future in said:
            await future
        await self._forget_records([holding for holding in acked if holding is not None])
        return [next(others) if holding is None else holding.error for holding in acked]

    async def _settle_others(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """Settle what takes more than one word, or may not be ours."""
        items = [_claimed(settling) for settling in batch if isinstance(settling.delivery.receipt, Holding)]
        claimed = [item for item in items if item.claimed]
        try:
            await self._prepare(claimed)
            for future in _say([item for item in claimed if item.going]):
                await future
            await self._forget_records([item.holding for item in claimed if item.kind in {Ack, Bury}])
        finally:
            for item in claimed:
                item.holding.unclaim()
        results = iter([await _result(item) for item in items])
        return [next(results) if isinstance(each.delivery.receipt, Holding) else _not_ours() for each in batch]

    async def _forget_records(self, holdings: list[Holding]) -> None:
        """Let go of the records of earlier burials: the jobs are gone, or have newer ones."""
        served = [each.record.id for each in holdings if each.record is not None and each.fate is SETTLED]
        if served:
            await self._records.forget(served)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """See `Provider.extend`."""
        now = self._clock.monotonic()
        receipts = [delivery.receipt for delivery in batch]
        ours = [receipt for receipt in receipts if isinstance(receipt, Holding) and receipt.ours]
        answers = dict(await ask_each(ours, lambda holding: methodcaller("touch", holding.job)))
        return [
            self._extended(receipt, answers[receipt], now) if receipt in answers else _not_ours()
            for receipt in receipts
        ]

    def _extended(self, holding: Holding, answer: Any, now: float) -> float | AdapterError:
        error = error_of(answer, Doing.EXTEND)
        if isinstance(error, LeaseLost):
            holding.lose()
        if error is None:
            holding.taken_at = now
            holding.deadline = max(holding.deadline, now + self._lease)
        return error or holding.deadline

    # -------------------------------------------------------------------------- what is needed for the last word

    async def _prepare(self, items: list[_Item]) -> None:
        now = self._clock.monotonic()
        await self._reclaim([item for item in items if now >= item.holding.deadline])
        others = [item for item in items if item.kind is not Ack and item.going]
        unknown = [item for item in others if item.holding.stats is None]
        error = await learn([item.holding for item in unknown], Doing.SETTLE)
        for item in unknown:
            if item.holding.stats is None and item.going:
                item.error = error
        await self._record([item for item in others if item.kind is Bury and item.going])

    async def _reclaim(self, late: list[_Item]) -> None:
        """Make sure that jobs whose lease may be over are still ours: only their holder can touch them."""
        answers = dict(await ask_each([item.holding for item in late], lambda each: methodcaller("touch", each.job)))
        for item in late:
            item.error = error_of(answers[item.holding], Doing.EXTEND)
            if isinstance(item.error, LeaseLost):
                item.holding.lose()

    async def _record(self, burials: list[_Item]) -> None:
        if not burials:
            return
        errors = await self._records.put([self._burial(item) for item in burials])
        for item, error in zip(burials, errors, strict=True):
            if isinstance(error, MessageTooLarge):
                _log.warning("job %d is buried without a record of the reason: %s", item.holding.id, error)
            else:
                item.error = error and _undone(error)

    def _burial(self, item: _Item) -> Burial:
        settlement, stats, delivery = item.settling.settlement, item.holding.stats, item.settling.delivery
        if not isinstance(settlement, Bury) or stats is None:
            raise AssertionError("a burial is recorded when all about it is known")
        return Burial(
            job=item.holding.id,
            body=fingerprint(item.holding.body),
            reason=str(settlement.reason),
            error=settlement.error,
            attempts=delivery.attempt,
            reserves=stats["reserves"],
            lost=lost_in_all(stats),
            kicks=stats["kicks"],
            at=self._clock.now(),
        )


def _not_ours() -> LeaseLost:
    return LeaseLost("not in hand here: it is settled, went back with its connection, or was never received through it")


def _acked(settling: Settling, now: float) -> Holding | None:
    """What is in hand for *settling*, if it takes no more than to be deleted; from now on nobody else may settle it."""
    holding = settling.delivery.receipt
    if type(settling.settlement) is not Ack or settling.follow_ups or not isinstance(holding, Holding):
        return None
    if now >= holding.deadline or not holding.ours:
        return None
    holding.hand_over(Ack)
    return holding


def _delete(holdings: list[Holding]) -> list[asyncio.Future[list[Any]]]:
    """Delete *holdings*, which are handed over, one write for each connection."""
    return [
        lane.connection.ask(
            [methodcaller("delete", holding.id) for holding in group], then=functools.partial(_conclude, group)
        )
        for lane, group in by_lane(holdings).items()
    ]


def _claimed(settling: Settling) -> _Item:
    item = _Item(settling, settling.delivery.receipt, type(settling.settlement))
    if settling.follow_ups:
        item.error = Unsupported("beanstalkd cannot publish and acknowledge at once; publish first")
    elif item.holding.ours:
        item.claimed = True
        item.holding.claim(item.kind)
    return item


def _say(items: list[_Item]) -> list[asyncio.Future[list[Any]]]:
    """Say the last word on each, one write for each connection."""
    apart: dict[Lane, list[tuple[Holding, Command]]] = {}
    for item in items:
        try:
            command = _LAST_WORDS[item.kind](item.holding, item.settling.settlement)
        except AdapterError as error:
            item.error = error
        else:
            apart.setdefault(item.holding.lane, []).append((item.holding, command))
    return [_say_on(lane, words) for lane, words in apart.items()]


def _say_on(lane: Lane, words: list[tuple[Holding, Command]]) -> asyncio.Future[list[Any]]:
    holdings = [holding for holding, _ in words]
    for holding in holdings:
        holding.hand_over(holding.settled_as)
    return lane.connection.ask([command for _, command in words], then=functools.partial(_conclude, holdings))


def _conclude(holdings: list[Holding], answers: list[Any]) -> None:
    if not any(answers):  # these commands are answered with nothing when all is well
        for holding in holdings:
            holding.conclude(None)
        return
    for holding, answer in zip(holdings, answers, strict=True):
        holding.conclude(error_of(answer, Doing.SETTLE))


def _priority(holding: Holding) -> int:
    if holding.stats is None:
        raise AssertionError("a job keeps its priority, so that must be known")
    return int(holding.stats["pri"])


def _retry(holding: Holding, settlement: Any) -> Command:
    delay = whole_seconds(max(settlement.delay or MIN_RETRY_DELAY, MIN_RETRY_DELAY))
    return methodcaller("release", holding.job, _priority(holding), delay)


_LAST_WORDS: Final[Mapping[type, Callable[[Holding, Any], Command]]] = {
    Ack: lambda holding, _: methodcaller("delete", holding.id),
    Retry: _retry,
    Release: lambda holding, _: methodcaller("release", holding.job, _priority(holding), 0),
    Bury: lambda holding, _: methodcaller("bury", holding.job, _priority(holding)),
}


def _undone(error: AdapterError) -> AdapterError:
    """A record that may or may not be stored leaves no doubt about the job: that was not buried."""
    undone = AdapterError(f"not buried, because the reason could not be recorded: {error}", temporary=error.temporary)
    undone.__cause__ = error
    return undone


async def _result(item: _Item) -> AdapterError | None:
    """What became of it, in this call or in another that is settling it."""
    holding = item.holding
    if item.error is not None:
        return item.error
    if holding.settled_as is item.kind:
        await holding.concluded()
    if holding.fate is Fate.SETTLED and holding.settled_as is item.kind:
        return None
    if item.claimed and holding.error is not None:
        return holding.error
    if holding.fate in {Fate.HELD, Fate.CLAIMED} and holding.lane.alive:
        return AdapterError(f"job {holding.id} is being settled by another call", temporary=True)
    return LeaseLost(f"job {holding.id} is settled otherwise, or went back to the queue")
