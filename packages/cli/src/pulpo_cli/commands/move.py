"""`pulpo move`: take what is ready in one queue to another."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option, queue_option
from pulpo_cli.output import say, say_json
from pulpo_cli.units import plural
from pulpo_core import (
    Ack,
    AdapterError,
    ConfigurationError,
    Delivery,
    Envelope,
    Publisher,
    Queue,
    Release,
    Settling,
    open_queue,
)

#: Few enough to be through long before the first lease ends.
_BATCH: Final = 100


@click.command(cls=Command)
@queue_option
@click.option("--to", metavar="URL", required=True, help="The other queue.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most.")
@json_option
def move(queue: str, to: str, *, limit: int | None, as_json: bool) -> int:
    """Move what is ready to another queue.

    Delayed and buried messages stay. Each message is in the other queue before it is out of this one, so that nothing
    is lost when the move is cut short; it may then be in both. It starts there with a fresh budget of attempts.
    """
    moving = Moving(limit=limit)
    try:
        asyncio.run(moving.run(queue, to))
    finally:
        if as_json:
            say_json({"moved": len(moving.moved)})
        else:
            say(f"moved {plural(len(moving.moved), 'message')}")
    return errors.STOPPED if moving.stopped else errors.DONE


@attrs.define(kw_only=True)
class Moving:
    """One move: how far it is.

    Attributes:
        moved: identities of what is in the other queue and out of this one.
    """

    limit: int | None
    moved: set[str] = attrs.field(init=False, factory=set)
    stopped: bool = attrs.field(init=False, default=False)

    async def run(self, url: str, to: str) -> None:
        """Move until nothing is ready, the limit is reached, or Ctrl-C.

        Raises:
            AdapterError: a queue did not do it; what was in hand is given back as far as possible.
            ConfigurationError: both URLs name the same queue.
        """
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._stop)
        async with open_queue(url) as source, open_queue(to) as target:
            while not self.stopped and (wanted := self._wanted()):
                deliveries = await source.receive(wanted, timedelta())
                if not deliveries:
                    return
                await self._move(deliveries, source, target)

    def _stop(self) -> None:
        self.stopped = True

    def _wanted(self) -> int:
        return _BATCH if self.limit is None else min(_BATCH, self.limit - len(self.moved))

    async def _move(self, deliveries: Sequence[Delivery], source: Queue, target: Queue) -> None:
        if any(delivery.envelope.uid in self.moved for delivery in deliveries):
            await settle_all(source, [Settling(delivery, Release()) for delivery in deliveries])
            raise ConfigurationError("what was moved came back: both URLs seem to name the same queue")
        answers = await _published(target, [copy_of(delivery, target) for delivery in deliveries])
        settlings = [
            Settling(delivery, Ack() if isinstance(answer, str) else Release())
            for delivery, answer in zip(deliveries, answers, strict=True)
        ]
        await settle_all(source, settlings)
        self.moved |= {each.delivery.envelope.uid for each in settlings if isinstance(each.settlement, Ack)}
        failed = [answer for answer in answers if isinstance(answer, AdapterError)]
        if failed:
            raise failed[0]


async def _published(target: Publisher, envelopes: Sequence[Envelope]) -> Sequence[str | AdapterError]:
    try:
        return await target.publish(envelopes)
    except AdapterError as error:
        return [error] * len(envelopes)


def copy_of(delivery: Delivery, target: Publisher) -> Envelope:
    """The envelope for another queue.

    In queues with groups, a copy has an identity of its own for the broker's eyes: with the original's, or with one
    made of the content, the broker would take it for a repetition and drop it.
    """
    envelope = delivery.envelope
    repetition = f"{envelope.uid}:move:{delivery.id}" if target.capabilities.groups else None
    return attrs.evolve(envelope, not_before=None, dedup_id=repetition, metadata={})


async def settle_all(source: Queue, settlings: Sequence[Settling]) -> None:
    """Settle at the source.

    Raises:
        AdapterError: one was not confirmed; that message may now be in both queues.
    """
    failed = [error for error in await source.settle(settlings) if error is not None]
    if failed:
        raise failed[0]
