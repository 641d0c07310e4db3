"""From one queue to another: each message is in the other queue before it is out of this one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

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
)

from .progress import Progress

#: Few enough to be through long before the first lease ends.
_BATCH: Final = 100

#: So many refused messages are held back until the rest is through; with more of them the move is ended.
_MOST_REFUSED: Final = 1_000

#: So many of the first copies are remembered: where both URLs name one queue, it is these that come back first.
_REMEMBERED: Final = 10_000


@attrs.define
class Accounts:
    """What became of every message that was taken.

    Attributes:
        taken: received from the one queue.
        put: confirmed by the other queue.
        doubtful: sent to the other queue, which did not answer; given back.
        moved: in the other queue and out of this one.
        failed: what the other queue refused, by id, and why; given back.
    """

    taken: int = 0
    put: int = 0
    doubtful: int = 0
    moved: int = 0
    failed: dict[str, AdapterError] = attrs.field(factory=dict)

    @property
    def in_both(self) -> int:
        """How many may be in both queues."""
        return self.put - self.moved + self.doubtful

    def document(self) -> dict[str, Any]:
        """The accounts for programs."""
        return {
            "taken": self.taken,
            "put": self.put,
            "moved": self.moved,
            "failed": {id_: str(error) for id_, error in self.failed.items()},
            "in_both": self.in_both,
        }


@attrs.define
class Moving:
    """One move."""

    source: Queue
    target: Queue
    accounts: Accounts = attrs.field(kw_only=True)
    limit: int | None = attrs.field(kw_only=True)
    show: Progress = attrs.field(kw_only=True)
    stopped: bool = attrs.field(init=False, default=False)
    _refused: list[Delivery] = attrs.field(init=False, factory=list)
    _put_as: set[tuple[str, str]] = attrs.field(init=False, factory=set)

    def stop(self) -> None:
        """End after the messages in hand."""
        self.stopped = True

    async def run(self) -> None:
        """Move until nothing is ready, the limit is reached, or `stop`.

        Raises:
            AdapterError: a queue does not do it any more; what was in hand is given back as far as possible.
            ConfigurationError: both URLs name the same queue.
        """
        try:
            while not self.stopped and (wanted := self._wanted()):
                deliveries = await self.source.receive(wanted, timedelta())
                if not deliveries or self._came_back(deliveries):
                    await self._give_back(deliveries)
                    return
                await self._move(deliveries)
        finally:
            await self._give_back(self._refused)

    def _wanted(self) -> int:
        if len(self._refused) >= _MOST_REFUSED:
            return 0
        return _BATCH if self.limit is None else min(_BATCH, self.limit - self.accounts.taken)

    def _came_back(self, deliveries: Sequence[Delivery]) -> bool:
        """Whether it goes round in circles: what was refused is handed out again, since its lease has ended."""
        return all(delivery.id in self.accounts.failed for delivery in deliveries)

    async def _move(self, deliveries: Sequence[Delivery]) -> None:
        if any((delivery.envelope.uid, delivery.id) in self._put_as for delivery in deliveries):
            await self._give_back(deliveries)
            raise ConfigurationError("what was moved came back: both URLs seem to name the same queue")
        self.accounts.taken += len(deliveries)
        try:
            answers = await _published(self.target, [copy_of(delivery, self.target) for delivery in deliveries])
        except ConfigurationError:
            await self._give_back(deliveries)
            raise
        pairs = list(zip(deliveries, answers, strict=True))
        broken = self._hold_back([(each, error) for each, error in pairs if isinstance(error, AdapterError)])
        if len(self._put_as) < _REMEMBERED:
            self._put_as |= {(each.envelope.uid, answer) for each, answer in pairs if isinstance(answer, str)}
        await self._remove([each for each, answer in pairs if isinstance(answer, str)])
        self.show(self.accounts.moved)
        if broken is not None:
            raise broken

    def _hold_back(self, refused: Sequence[tuple[Delivery, AdapterError]]) -> AdapterError | None:
        """Keep what the other queue refused until the end; the error, if it is the queue that fails and no message."""
        self._refused += [delivery for delivery, _ in refused]
        self.accounts.doubtful += sum(error.in_doubt for _, error in refused)
        self.accounts.failed |= {each.id: error for each, error in refused if not (error.temporary or error.in_doubt)}
        return next((error for _, error in refused if error.temporary or error.in_doubt), None)

    async def _remove(self, deliveries: Sequence[Delivery]) -> None:
        self.accounts.put += len(deliveries)
        answers = await self.source.settle([Settling(delivery, Ack()) for delivery in deliveries])
        failures = [error for error in answers if error is not None]
        self.accounts.moved += len(deliveries) - len(failures)
        if failures:
            raise failures[0]

    async def _give_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            await self.source.settle([Settling(delivery, Release()) for delivery in deliveries])


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
