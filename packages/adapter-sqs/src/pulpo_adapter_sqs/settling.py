"""Settlements by what they take: a deletion, a change of visibility, or a copy and a deletion.

Each kind shares its requests with whatever else is settled at the same time. A settlement, once
begun, goes on when its caller is cancelled, and a second call for the same delivery joins it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Bury,
    Clock,
    ConfigurationError,
    Delivery,
    LeaseLost,
    Release,
    Retry,
    Settlement,
    Settling,
    Unsupported,
    round_up,
)

from .background import Background, closed_meanwhile
from .channel import Channel, entry_size
from .copies import Burial, burial_entry
from .graveyard import Graveyard
from .hops import Hops
from .moving import move
from .receipt import Receipt

log = logging.getLogger("pulpo.adapter.sqs")

_SECOND: Final = timedelta(seconds=1)

Answered = asyncio.Future[AdapterError | None]


@attrs.frozen(eq=False, slots=True)
class Work:
    """One delivery, and what is to be done with it."""

    delivery: Delivery
    settlement: Settlement
    answered: Answered

    @property
    def receipt(self) -> Receipt:
        """What the provider keeps of the delivery."""
        receipt: Receipt = self.delivery.receipt
        return receipt

    def end(self, answer: AdapterError | None) -> None:
        """Tell everybody who waits; after a failure the delivery can be settled anew."""
        if answer is not None:
            self.receipt.settling = None
        if not self.answered.done():
            self.answered.set_result(answer)


#: Settles several of one kind from one queue; what became of each.
Settle = Callable[[Channel, Sequence[Work]], Awaitable[Sequence[AdapterError | None]]]
Groups = dict[tuple[Settle, Channel], list[Work]]


@attrs.define(slots=True, eq=False, kw_only=True)
class Settlements:
    """Carries out settlements.

    Attributes:
        long_delays: whether a retry after the ceiling of SQS is a copy with a long delay.
    """

    clock: Clock
    tasks: Background
    graveyard: Graveyard
    hops: Hops
    long_delays: bool

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """See `Provider.settle`.

        Raises:
            ConfigurationError: a queue is gone, or may not be used like that any more. Whatever
                else the batch asked for is done by then.
        """
        self.tasks.check_open()
        groups: Groups = {}
        answered = [self._begin(each, groups) for each in batch]
        running = [self.tasks.start(self._carry_out(*group, works)) for group, works in groups.items()]
        for task, works in zip(running, groups.values(), strict=True):
            task.add_done_callback(partial(_tell_if_closed, works))
        if running:
            await asyncio.wait(running)
        if joined := [each for each in answered if not each.done()]:
            await asyncio.wait(joined)
        for task in running:
            if not task.cancelled() and (failure := task.result()) is not None:
                raise failure
        return [each.result() for each in answered]

    def _begin(self, settling: Settling, groups: Groups) -> Answered:
        receipt = settling.delivery.receipt
        answered: Answered = asyncio.get_running_loop().create_future()
        refusal = self._refusal(settling, receipt)
        if refusal is not None:
            answered.set_result(refusal)
        elif receipt.settling is not None:
            shared: Answered = receipt.settling[1]
            return shared
        else:
            receipt.settling = settling.settlement, answered
            work = Work(settling.delivery, settling.settlement, answered)
            groups.setdefault((self._kind(work), receipt.channel), []).append(work)
        return answered

    def _refusal(self, settling: Settling, receipt: object) -> AdapterError | None:
        if not isinstance(receipt, Receipt):
            return LeaseLost(f"message {settling.delivery.id}: it was not received from this queue")
        if settling.follow_ups:
            return Unsupported("SQS cannot acknowledge and publish at once: publish follow-ups first")
        if receipt.settling is not None:
            done = receipt.settling[0]
            if type(done) is type(settling.settlement):
                return None
            return LeaseLost(f"message {settling.delivery.id}: {_word(done)} came before {_word(settling.settlement)}")
        if self.clock.monotonic() < receipt.deadline or self._late_ack(settling.settlement, receipt):
            return None
        return LeaseLost(f"message {settling.delivery.id}: its lease is over, and another worker may have it")

    def _late_ack(self, settlement: Settlement, receipt: Receipt) -> bool:
        return isinstance(settlement, Ack) and not receipt.channel.source.fifo

    def _kind(self, work: Work) -> Settle:
        match work.settlement:
            case Ack():
                return self._delete
            case Release():
                return self._hide
            case Bury():
                return self._bury
            case Retry():
                return self._postpone if self._is_long(work) else self._hide

    def _is_long(self, work: Work) -> bool:
        seconds = _seconds(work.settlement)
        possible = self.long_delays and not work.receipt.channel.source.fifo
        return possible and work.receipt.allowance(seconds, self.clock.monotonic()) < seconds and self._has_room(work)

    def _has_room(self, work: Work) -> bool:
        """Whether a copy takes what pulpo has to say about it; a foreign message may fill the queue's limit alone."""
        source = work.receipt.channel.source
        fits = entry_size(self._hop(work)) <= source.max_message_bytes
        if not fits:
            log.warning(
                "message %s of queue %r comes again sooner than was asked: it is too large for a copy with a delay",
                *(work.delivery.id, source.name),
            )
        return fits

    def _hop(self, work: Work) -> Mapping[str, Any]:
        until = self.clock.now() + timedelta(seconds=_seconds(work.settlement))
        return self.hops.entry(work.delivery, until, attempts=work.delivery.attempt)

    async def _carry_out(self, settle: Settle, channel: Channel, works: Sequence[Work]) -> ConfigurationError | None:
        try:
            answers = await settle(channel, works)
        except AdapterError as error:
            _end_all(works, error)
            return None
        except ConfigurationError as error:
            _end_all(works, AdapterError(str(error)))
            return error
        for work, answer in zip(works, answers, strict=True):
            work.end(answer)
        return None

    # --- the kinds

    async def _delete(self, channel: Channel, works: Sequence[Work]) -> Sequence[AdapterError | None]:
        return _errors(await channel.delete([work.receipt.handle for work in works]))

    async def _hide(self, channel: Channel, works: Sequence[Work]) -> Sequence[AdapterError | None]:
        for work in works:
            if work.receipt.extension is not None:
                await work.receipt.extension  # it must not arrive after, and undo, what is asked now
        now = self.clock.monotonic()
        handles = {work.receipt.handle: work.receipt.allowance(_seconds(work.settlement), now) for work in works}
        return _errors(await channel.hide(handles))

    async def _postpone(self, channel: Channel, works: Sequence[Work]) -> Sequence[AdapterError | None]:
        entries = [self._hop(work) for work in works]
        return await move([work.receipt for work in works], entries, source=channel, target=channel)

    async def _bury(self, channel: Channel, works: Sequence[Work]) -> Sequence[AdapterError | None]:
        target = await self.graveyard.of(channel)
        entries = [self._burial(work, target) for work in works]
        return await move([work.receipt for work in works], entries, source=channel, target=target)

    def _burial(self, work: Work, target: Channel) -> Mapping[str, Any]:
        settlement, delivery, receipt = work.settlement, work.delivery, work.receipt
        assert isinstance(settlement, Bury), "only what is to be buried comes here"
        burial = Burial(
            reason=settlement.reason,
            error=settlement.error,
            attempts=delivery.attempt,
            buried_at=self.clock.now(),
            origin=receipt.channel.source.arn,
            source_id=delivery.id,
        )
        return burial_entry(receipt.message, delivery.envelope, receipt.extras, burial, target.source)


def _seconds(settlement: Settlement) -> int:
    delay = settlement.delay if isinstance(settlement, Retry) else None
    return int(round_up(delay or timedelta(), _SECOND).total_seconds())


def _errors(answers: Sequence[object]) -> list[AdapterError | None]:
    return [answer if isinstance(answer, AdapterError) else None for answer in answers]


def _tell_if_closed(works: Sequence[Work], task: asyncio.Task[ConfigurationError | None]) -> None:
    if task.cancelled():
        _end_all(works, closed_meanwhile())


def _end_all(works: Sequence[Work], error: AdapterError) -> None:
    for work in works:
        work.end(error)


def _word(settlement: Settlement) -> str:
    return type(settlement).__name__
