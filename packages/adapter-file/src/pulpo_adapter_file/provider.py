"""Receiving, settling and extending."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from pulpo_core import AdapterError, Capabilities, Delivery, Lease, Settling

from .calls import Calls
from .codec import NewRow, decode, encode
from .errors import lease_lost
from .operations import Extend, Receipt, Receive, Settle, SettleItem, Taken, portions
from .wakeup import Ear


class FileProvider:
    """Takes messages out of one queue of a file, and settles them."""

    def __init__(self, calls: Calls, ear: Ear, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._calls = calls
        self._desk = calls.desk
        self._ear = ear
        self._lease = self._desk.settings.lease.total_seconds()
        self._interrupted = False

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Take what is ready, or wait for the first."""
        if self._interrupted or limit < 1:
            return ()
        seconds = min(wait, self.capabilities.max_wait).total_seconds()
        if seconds <= 0:
            return (await self._take(limit))[0]
        return await self._take_or_wait(limit, seconds)

    async def _take_or_wait(self, limit: int, seconds: float) -> Sequence[Delivery]:
        clock = self._desk.clock
        deadline = clock.monotonic() + seconds
        with self._ear.listening() as stirred:
            while True:
                stirred.clear()
                taken, pause = await self._take(limit)
                left = deadline - clock.monotonic()
                if taken or self._interrupted or left <= 0 or self._calls.closed:
                    return taken
                self._ear.queue_id = self._desk.queue_id
                await clock.wait(stirred, min(left, pause, self._ear.patience))

    async def _take(self, limit: int) -> tuple[Sequence[Delivery], float]:
        until = self._desk.clock.monotonic() + self._lease
        taken: Taken = await self._calls.ask(Receive(self._desk, limit))
        return [self._delivery(row, until) for row in taken.rows], taken.pause

    def _delivery(self, row: tuple[Any, ...], until: float) -> Delivery:
        name, attempt, lost, generation = row[0], *row[7:]
        return Delivery(
            id=str(name),
            envelope=decode(row),
            attempt=attempt,
            lost=lost,
            lease=Lease(until),
            receipt=Receipt(self._desk, name, generation, until),
        )

    def interrupt(self) -> None:
        """Let every receive, waiting or to come, return with what it has."""
        self._interrupted = True
        self._ear.stir()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """Settle each that is still held, all in one transaction."""
        items = [self._item(settling) for settling in batch]
        own = [item for item in items if isinstance(item, SettleItem)]
        answers: list[bool] = []
        for portion in portions(own):
            answers += await self._calls.ask(Settle(self._desk, portion))
        held = iter(answers)
        return [self._settled(item, next(held)) if isinstance(item, SettleItem) else item for item in items]

    def _settled(self, item: SettleItem, was_held: bool) -> AdapterError | None:
        if not was_held:
            return lease_lost(item.receipt.id)
        item.receipt.settled = type(item.settlement)
        return None

    def _item(self, settling: Settling) -> SettleItem | AdapterError:
        receipt = self._own(settling.delivery)
        if receipt is None:
            return lease_lost(settling.delivery.id)
        if not settling.follow_ups:
            return SettleItem(receipt, settling.settlement)
        follow_ups: list[NewRow] = []
        for envelope in settling.follow_ups:
            row = encode(envelope, max_body=self._desk.settings.max_body)
            if isinstance(row, AdapterError):
                return row
            follow_ups.append(row)
        return SettleItem(receipt, settling.settlement, follow_ups)

    def _own(self, delivery: Delivery) -> Receipt | None:
        """The receipt of *delivery*, if it is of this file."""
        receipt = delivery.receipt
        if isinstance(receipt, Receipt) and receipt.desk.file == self._desk.file:
            return receipt
        return None

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """Give each that is still held its full lease again."""
        until = self._desk.clock.monotonic() + self._lease
        receipts = [self._own(delivery) for delivery in batch]
        own = [receipt for receipt in receipts if receipt is not None]
        answers: list[bool] = []
        for portion in portions(own):
            answers += await self._calls.ask(Extend(self._desk, portion))
        held = dict(zip(own, answers, strict=True))
        return [
            self._extended(delivery, receipt, held, until) for delivery, receipt in zip(batch, receipts, strict=True)
        ]

    def _extended(
        self, delivery: Delivery, receipt: Receipt | None, held: dict[Receipt, bool], until: float
    ) -> float | AdapterError:
        if receipt is None or not held[receipt]:
            return lease_lost(delivery.id)
        receipt.until = max(receipt.until, until)
        return receipt.until
