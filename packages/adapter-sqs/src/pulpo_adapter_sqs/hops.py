"""Delays longer than SQS knows: a message is received, sent on as a copy with a further delay, and deleted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs

from pulpo_core import AdapterError, Clock, ConfigurationError, Delivery

from .background import Background
from .channel import Channel
from .copies import hop_entry
from .moving import move
from .receipt import Receipt

log = logging.getLogger("pulpo.adapter.sqs")

#: A copy whose original could not be deleted is one message too many: seconds before each further try.
_DELETE_AGAIN: Final = (1.0, 2.0, 4.0)


@attrs.define(slots=True, eq=False)
class Hops:
    """Sends on what is received before its time.

    Attributes:
        deferred: how many messages were sent on, and so received without being handed out.
    """

    _clock: Clock
    _tasks: Background
    deferred: int = attrs.field(default=0, init=False)

    def send_on_early(self, channel: Channel, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Those of *deliveries* whose time has come; the others are sent on in the background.

        What cannot be sent on comes back when its lease ends, and is sent on then.
        """
        now = self._clock.now()
        early = [each for each in deliveries if (time := _time_of(each)) is not None and time > now]
        if not early:
            return deliveries
        self._tasks.start(self._send_on(channel, early))
        return [each for each in deliveries if each not in early]

    async def _send_on(self, channel: Channel, early: Sequence[Delivery]) -> None:
        try:
            answers = await self._hop(channel, early)
        except ConfigurationError as error:
            log.warning("%d early messages of queue %r stay where they are: %s", len(early), channel.source.name, error)
            return
        self.deferred += answers.count(None)
        for delivery, answer in zip(early, answers, strict=True):
            if answer is not None:
                log.warning(
                    "early message %s of queue %r was not sent on: %s", delivery.id, channel.source.name, answer
                )

    async def _hop(self, channel: Channel, early: Sequence[Delivery]) -> list[AdapterError | None]:
        receipts = [delivery.receipt for delivery in early]
        entries = [
            self.entry(each, _time_of(each) or self._clock.now(), attempts=each.receipt.extras.attempts_base)
            for each in early  # nobody has handled it since: receives whose hop failed are no attempts
        ]
        answers = await move(receipts, entries, source=channel, target=channel)
        for pause in _DELETE_AGAIN:
            if not any(receipt.copied and answer for receipt, answer in zip(receipts, answers, strict=True)):
                break
            await self._clock.sleep(pause)
            answers = await self._delete_again(channel, receipts, answers)
        return answers

    async def _delete_again(
        self, channel: Channel, receipts: Sequence[Receipt], answers: Sequence[AdapterError | None]
    ) -> list[AdapterError | None]:
        left = [place for place, answer in enumerate(answers) if answer and receipts[place].copied]
        again = await channel.delete([receipts[place].handle for place in left])
        replaced = dict(zip(left, again, strict=True))
        return [answer if place not in replaced else _error(replaced[place]) for place, answer in enumerate(answers)]

    def entry(self, delivery: Delivery, until: datetime, *, attempts: int) -> dict[str, object]:
        """The copy of *delivery* that comes at *until* and counts *attempts* before it."""
        receipt: Receipt = delivery.receipt
        return hop_entry(
            receipt.message,
            delivery.envelope,
            receipt.extras,
            until=until,
            now=self._clock.now(),
            attempts_base=attempts,
        )


def _error(answer: object) -> AdapterError | None:
    return answer if isinstance(answer, AdapterError) else None


def _time_of(delivery: Delivery) -> datetime | None:
    receipt: Receipt = delivery.receipt
    return receipt.extras.not_before
