"""Between the dispatcher and the simulated broker: requests and answers that travel, are delayed and get lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs

from pulpo_core import (
    Ack,
    AdapterError,
    Capabilities,
    Clock,
    Delivery,
    Envelope,
    Jitter,
    Lease,
    LeaseLost,
    Queue,
    Settling,
    Unavailable,
)

from .broker import Broker, Poll, Reservation
from .fate import Fate

#: Whoever gets no answer gives up after so many seconds.
TIMEOUT = 10.0


class Defect(Exception):
    """An adapter's own error, which no port knows of."""


Item = Any
Answer = Any


@attrs.define(eq=False)
class Request:
    """A request on its way.

    Attributes:
        answer: what the one who asked waits for.
        touched: the reservations it is about.
    """

    kind: str
    answer: asyncio.Future[Any]
    touched: Sequence[Reservation] = ()

    def blame(self, why: str) -> None:
        """Its reservations may be lost because of *why*."""
        for each in self.touched:
            each.blame = each.blame or why

    def fail(self, why: str, error: BaseException) -> None:
        """It comes to nothing, as far as the one who asked can tell."""
        self.blame(why)
        if not self.answer.done():
            self.answer.set_exception(error)


@attrs.define(eq=False)
class Session:
    """One open queue of one worker, over a network with faults.

    Attributes:
        confirmed: settlements that the worker was told are done, by their kind.
        received: deliveries that reached the worker.
    """

    broker: Broker
    worker: Any
    clock: Clock
    confirmed: Counter[str] = attrs.field(factory=Counter)
    received: int = 0
    requests: list[Request] = attrs.field(factory=list)
    fate: Fate = attrs.field(init=False)
    capabilities: Capabilities = attrs.field(init=False)
    url: str = attrs.field(init=False)
    _interrupted: bool = False
    _busy: dict[Reservation, str] = attrs.field(factory=dict)  # what is under way for it
    _doubtful: set[Reservation] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.fate = self.broker.fate
        self.capabilities = self.broker.capabilities
        self.url = self.broker.url
        self.broker.sessions.append(self)

    # --- the port

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        if limit < 1 or self._interrupted:
            return ()
        seconds = min(wait, self.capabilities.max_wait).total_seconds()
        poll = Poll(limit, self, lambda taken: self._hand_out(request, taken))
        request = self._send("receive", lambda request: self._ask(request, poll, seconds))
        try:
            deliveries: Sequence[Delivery] = await request.answer
        finally:
            self._done(request)
            if poll in self.broker.polls and not self.fate.happens("taken for nobody"):
                self.broker.polls.remove(poll)
        self.received += len(deliveries)
        return deliveries

    def interrupt(self) -> None:
        self._interrupted = True
        for request in self.requests:
            if request.kind == "receive" and self.capabilities.prompt_interrupt:
                self._later(0.01, self._nothing, request)

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        for each in batch:
            self._check_settling(each)
        answers = await self._batch("settle", batch, [each.delivery.receipt for each in batch], self._settle_one)
        for each, error in zip(batch, answers, strict=True):
            if error is None:
                self.confirmed[type(each.settlement).__name__] += 1
            elif error.in_doubt:
                self._doubtful.add(each.delivery.receipt)
        return answers

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        sent_at = self.clock.monotonic()
        for each in batch:
            if self._busy.get(each.receipt) == "settle":
                self.broker.books.object(f"{each.id} is extended while it is being settled")
        reservations = [each.receipt for each in batch]
        answers = await self._batch(
            "extend", batch, reservations, lambda each: self.broker.extend(each.receipt, sent_at)
        )
        for each, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, AdapterError) and self._is_fresh(each):
                each.receipt.blame = ""  # whatever it was, it has a whole lease before it
        return answers

    def _is_fresh(self, delivery: Delivery) -> bool:
        given_up = delivery.lease.lost or self.worker.ending or delivery.receipt.blame == "abandoned"
        return delivery.receipt.live and not given_up

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        return await self._batch("publish", batch, (), self.broker.publish)

    # --- what the port promises about those who use it

    def _check_settling(self, item: Settling) -> None:
        reservation: Reservation = item.delivery.receipt
        lease, name, object_ = item.delivery.lease, item.delivery.id, self.broker.books.object
        late = isinstance(item.settlement, Ack) and self.capabilities.late_ack
        if self._busy.get(reservation) == "extend":
            object_(f"{name} is settled while its lease is being extended")
        if (lease.lost or self.clock.monotonic() > lease.deadline) and not late:
            object_(f"{name} is settled after its lease had ended")
        if reservation in self._doubtful and not isinstance(item.settlement, Ack):
            object_(f"{name}: a {type(item.settlement).__name__} in doubt is repeated")

    # --- requests

    def _send(self, kind: str, carry_out: Callable[[Request], None], touched: Sequence[Reservation] = ()) -> Request:
        if not self.worker.alive:
            raise Unavailable("this process is dead")
        if self.fate.happens("defect in the adapter"):
            self.broker.blame("defect in the adapter", self)
            raise Defect("in the adapter")
        request = Request(kind, asyncio.get_running_loop().create_future(), touched)
        self.broker.books.note("asks", self.worker.number, kind, self.url, *[each.name for each in touched])
        self.requests.append(request)
        for each in touched:
            self._busy[each] = kind
        seconds = self._travel(request, "slow request")
        self._later(seconds, self._arrive, request, carry_out)
        return request

    def _travel(self, request: Request, slow: str) -> float:
        if not self.fate.happens(slow):
            return self.fate.span(0.0, 0.001, 0.02)
        request.blame(slow)
        return self.fate.span(1, TIMEOUT, 3 * TIMEOUT)

    def _arrive(self, request: Request, carry_out: Callable[[Request], None]) -> None:
        fate = self.fate
        if self.broker.now < self.broker.away_until or fate.happens("request refused"):
            request.fail("request refused", Unavailable("no connection"))
        elif fate.happens("request lost"):
            request.blame("request lost")
            self._later(TIMEOUT, request.fail, "request lost", Unavailable("no answer", in_doubt=True))
        elif fate.happens("driver cancels itself"):
            request.blame("driver cancels itself")
            request.answer.cancel()
        else:
            carry_out(request)

    def _answer(self, request: Request, answer: Any) -> None:
        if self.fate.happens("answer lost"):
            request.blame("answer lost")
            self._later(TIMEOUT, request.fail, "answer lost", Unavailable("no answer", in_doubt=True))
        else:
            self._later(self._travel(request, "slow answer"), self._arrived, request, answer)

    def _arrived(self, request: Request, answer: Any) -> None:
        if request.answer.done():
            request.blame("nobody waited for the answer")
        else:
            request.answer.set_result(answer)

    def _done(self, request: Request) -> None:
        self.requests.remove(request)
        if request.answer.cancelled():
            request.blame("given up")
        for each in request.touched:
            self._busy.pop(each, None)

    def _later(self, seconds: float, call: Callable[..., Any], *args: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, call, *args)

    # --- receiving

    def _ask(self, request: Request, poll: Poll, seconds: float) -> None:
        if request.answer.done() and not self.fate.happens("taken for nobody"):
            return
        self.broker.poll(poll)
        self._later(seconds, self._nothing, request)

    def _nothing(self, request: Request) -> None:
        if not request.answer.done() and not request.touched:
            request.answer.set_result(())

    def _hand_out(self, request: Request, taken: Sequence[Reservation]) -> None:
        request.touched = taken
        if not self.worker.alive or request.answer.done():
            request.blame("taken for nobody")
            return
        self._answer(request, [_delivery(each) for each in taken])

    # --- batches

    async def _batch(
        self, kind: str, batch: Sequence[Item], touched: Sequence[Reservation], one: Callable[[Item], Answer]
    ) -> list[Answer]:
        def carry_out(request: Request) -> None:
            self._answer(request, [self._item(each, one, request) for each in batch])

        request = self._send(kind, carry_out, touched)
        try:
            answers: list[Answer] = await request.answer
        finally:
            self._done(request)
        return answers

    def _item(self, item: Item, one: Callable[[Item], Answer], request: Request) -> Answer:
        for fault, error in _REFUSALS.items():
            if self.fate.happens(fault):
                request.blame(fault)
                return error()
        if self.fate.happens("item in doubt, done"):
            one(item)
            request.blame("item in doubt")
            return Unavailable("no word", in_doubt=True)
        answer = one(item)
        if isinstance(answer, LeaseLost):
            request.blame("lost before")
        return answer

    def _settle_one(self, item: Settling) -> AdapterError | None:
        return self.broker.settle(item.delivery.receipt, item.settlement, item.follow_ups)

    # --- the end of it

    def cut(self, why: str) -> None:
        """The connection breaks: nobody learns what became of what was under way."""
        for request in list(self.requests):
            request.fail(why, Unavailable("connection reset", in_doubt=True))
        self.broker.blame(why, self)


_REFUSALS: Mapping[str, Callable[[], AdapterError]] = {
    "item refused": lambda: Unavailable("busy"),
    "item refused for good": lambda: AdapterError("refused"),
    "item in doubt, not done": lambda: Unavailable("no word", in_doubt=True),
}


def _delivery(reservation: Reservation) -> Delivery:
    entry = reservation.broker.model.entries[reservation.name]
    return Delivery(
        id=reservation.name,
        envelope=reservation.broker.envelopes[reservation.name],
        attempt=reservation.attempt,
        lost=entry.lost,
        lease=Lease(entry.until),
        receipt=reservation,
    )


@attrs.define(eq=False)
class SimulatedAdapter:
    """Opens the queues of the simulated world for one worker."""

    brokers: Mapping[str, Broker]
    worker: Any
    scheme: str = "sim"

    @asynccontextmanager
    async def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AsyncIterator[Queue]:
        broker = self.brokers[url]
        session: Any = Session(broker, self.worker, clock)
        self.worker.sessions.append(session)
        try:
            yield session
        finally:
            broker.polls[:] = [poll for poll in broker.polls if poll.holder is not session]

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        raise NotImplementedError
