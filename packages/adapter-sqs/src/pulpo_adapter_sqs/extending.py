"""Leases that go on: visibility prolonged in batches, up to what SQS allows after one receive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import attrs

from pulpo_core import AdapterError, Clock, ConfigurationError, Delivery, LeaseLost

from .background import Background
from .batching import Answer, chunks
from .channel import Channel
from .receipt import Receipt


@attrs.define(slots=True, eq=False, kw_only=True)
class Extensions:
    """Extends leases.

    Attributes:
        visibility: how many seconds a lease lasts, from each extension on.
    """

    clock: Clock
    tasks: Background
    visibility: int

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """See `Provider.extend`. At the ceiling, 12 hours after the receive, deadlines stay as they are.

        Raises:
            ConfigurationError: the queue is gone, or may not be used like that any more.
        """
        self.tasks.check_open()
        answers = {delivery.receipt: self._present(delivery) for delivery in batch}
        live = [receipt for receipt, answer in answers.items() if isinstance(answer, float)]
        if live:
            answers |= await self.tasks.run(self._extend_all(live))
        return [answers[delivery.receipt] for delivery in batch]

    async def _extend_all(self, live: Sequence[Receipt]) -> dict[Receipt, float | AdapterError]:
        requests = [
            self.tasks.start(self._extend(channel, part))
            for channel in dict.fromkeys(receipt.channel for receipt in live)
            for part in chunks(receipt for receipt in live if receipt.channel is channel)
        ]
        answers: dict[Receipt, float | AdapterError] = {}
        for request in requests:
            answered = await request
            if isinstance(answered, ConfigurationError):
                raise answered
            answers |= answered
        return answers

    def _present(self, delivery: Delivery) -> float | AdapterError:
        """The deadline as it stands."""
        receipt = delivery.receipt
        if not isinstance(receipt, Receipt):
            return LeaseLost(f"message {delivery.id}: it was not received from this queue")
        if receipt.settling is not None:
            return _settled(receipt)
        if self.clock.monotonic() >= receipt.deadline:
            return LeaseLost(f"message {delivery.id}: its lease is over, and another worker may have it")
        return receipt.deadline

    async def _extend(
        self, channel: Channel, receipts: Sequence[Receipt]
    ) -> dict[Receipt, float | AdapterError] | ConfigurationError:
        now = self.clock.monotonic()
        unsettled = [receipt for receipt in receipts if receipt.settling is None]  # since they were looked at
        allowed = {receipt: receipt.allowance(self.visibility, now) for receipt in unsettled}
        longer = {receipt: seconds for receipt, seconds in allowed.items() if now + seconds > receipt.deadline}
        try:
            answers = await _hide(channel, longer) if longer else {}
        except ConfigurationError as error:
            return error
        refused = {receipt: answer for receipt, answer in answers.items() if isinstance(answer, AdapterError)}
        for receipt in answers.keys() - refused.keys():
            receipt.deadline = now + longer[receipt]
        present = {receipt: receipt.deadline if receipt in allowed else _settled(receipt) for receipt in receipts}
        return {**present, **refused}


def _settled(receipt: Receipt) -> LeaseLost:
    return LeaseLost(f"message {receipt.message['MessageId']}: it is settled")


async def _hide(channel: Channel, seconds: Mapping[Receipt, int]) -> dict[Receipt, Answer]:
    """Ask for so many *seconds* each. Whoever settles one of them waits meanwhile: what arrives last counts."""
    ended = asyncio.get_running_loop().create_future()
    for receipt in seconds:
        receipt.extension = ended
    try:
        said = await channel.hide_at_once({receipt.handle: each for receipt, each in seconds.items()})
    finally:
        ended.set_result(None)
        for receipt in seconds:
            if receipt.extension is ended:
                receipt.extension = None
    return dict(zip(seconds, said, strict=True))
