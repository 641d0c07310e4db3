"""Publishing messages: what producers hold, and what makes messages ready for a queue."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import attrs

from pulpo_core.domain.backoff import Backoff
from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import (
    AdapterError,
    ConfigurationError,
    InvalidMessage,
    MessageTooLarge,
    PulpoError,
    Unavailable,
    Unsupported,
)
from pulpo_core.domain.fields import seconds
from pulpo_core.domain.message import DEFAULT_PRIORITY, Message
from pulpo_core.ports.adapter import Adapter, Publisher
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.handler import PublishMiddleware, Translator
from pulpo_core.ports.observer import Event, Observer, Published, PublishFailed
from pulpo_core.translators.json import PulpoJson

from .answers import answer_of
from .clock import SystemClock, SystemJitter
from .identity import new_uid
from .observing import tell
from .registry import open_queue

T = TypeVar("T")

_BACKOFF = Backoff(base=timedelta(milliseconds=100), cap=timedelta(seconds=5))


@attrs.frozen(kw_only=True)
class Encoder:
    """Makes a message ready for one queue: identity, times, middleware, bytes, and a look at the limits."""

    translator: Translator
    capabilities: Capabilities
    clock: Clock
    jitter: Jitter
    middleware: Sequence[PublishMiddleware] = ()

    def encode(self, message: Message, *, uid: str | None = None) -> tuple[Message, Envelope]:
        """The message as it is published, without its id yet, and the envelope that carries it.

        Raises:
            InvalidMessage: it carries what the format cannot; the text names the field.
            MessageTooLarge, Unsupported: the queue cannot take it.
        """
        now = self.clock.now()
        ready = self._stamped(message, uid, now)
        for wrap in self.middleware:
            ready = _as_message(wrap(ready), wrap)
        ready = ready.resolved(now)
        envelope = self.translator.encode(ready)
        check_limits(ready, envelope, self.capabilities, now)
        return ready, envelope

    def _stamped(self, message: Message, uid: str | None, now: datetime) -> Message:
        if not isinstance(message, Message):
            raise InvalidMessage(f"expected a Message to publish, not {type(message).__name__}")
        uid = uid or message.uid or new_uid(self.clock, self.jitter)
        return message.with_header(uid=uid, published_at=now.isoformat())


def _as_message(answer: object, wrap: PublishMiddleware) -> Message:
    if isinstance(answer, Message):
        return answer
    name = getattr(wrap, "__qualname__", type(wrap).__qualname__)
    raise ConfigurationError(f"publish middleware {name} returns {type(answer).__name__}, not the Message to publish")


def check_limits(message: Message, envelope: Envelope, capabilities: Capabilities, now: datetime) -> None:
    """Refuse before sending what the queue could not do as asked.

    Raises:
        MessageTooLarge: the body is over the queue's limit.
        Unsupported: the delay is longer than the queue can wait, or it knows no priority.
    """
    limit = capabilities.max_body_bytes
    if limit is not None and len(envelope.body) > limit:
        raise MessageTooLarge(f"the message takes {len(envelope.body):,} bytes; this queue carries up to {limit:,}")
    if message.priority != DEFAULT_PRIORITY and not capabilities.priority:
        raise Unsupported(f"priority {message.priority}: this queue knows no priority")
    longest = capabilities.max_delay
    if envelope.not_before and longest is not None and envelope.not_before - now > longest:
        raise Unsupported(f"delay of {envelope.not_before - now}: this queue delays by up to {longest}")


class MessagePublisher:
    """Publishes messages to one open queue. May be used by any number of tasks at once."""

    def __init__(
        self, queue: Publisher, encoder: Encoder, *, url: str = "", observers: Sequence[Observer] = ()
    ) -> None:
        self._queue = queue
        self._encoder = encoder
        self._url = url
        self._observers = tuple(observers)

    @property
    def capabilities(self) -> Capabilities:
        """What the queue promises."""
        return self._queue.capabilities

    async def publish(self, message: Message, *, retry_for: timedelta | float = 0) -> Message:
        """Store *message*; returns it with its id, and with its times as moments.

        Args:
            retry_for: go on trying for so long while the queue cannot be reached. A publish whose
                answer was lost is never repeated, since the message may be stored already.

        Raises:
            InvalidMessage, MessageTooLarge, Unsupported: it cannot be published; nothing was stored.
            AdapterError: the queue did not confirm it; `in_doubt` when it may be stored all the same.
        """
        [result] = await self.publish_many([message], retry_for=retry_for)
        if isinstance(result, Message):
            return result
        raise result

    async def publish_many(
        self, messages: Iterable[Message], *, retry_for: timedelta | float = 0
    ) -> list[Message | PulpoError]:
        """Store *messages*; for each, in their order, the stored message or the error that kept it out."""
        patience = seconds(retry_for, field="retry_for")
        results: list[Message | PulpoError] = []
        ready: list[tuple[int, Message, Envelope]] = []
        for index, message in enumerate(messages):
            try:
                encoded, envelope = self._encoder.encode(message)
            except PulpoError as error:
                results.append(error)
            else:
                results.append(encoded)
                ready.append((index, encoded, envelope))
        stored = await self._store_and_tell(
            [encoded for _, encoded, _ in ready], [each for _, _, each in ready], patience
        )
        for (index, encoded, _), answer in zip(ready, stored, strict=True):
            results[index] = encoded.published(id=answer) if isinstance(answer, str) else answer
        return results

    async def _store_and_tell(
        self, messages: Sequence[Message], envelopes: Sequence[Envelope], retry_for: timedelta
    ) -> Sequence[str | AdapterError]:
        if not self._observers:
            return await self._store(envelopes, retry_for)
        answers: Sequence[str | AdapterError] = [
            Unavailable("publishing was cancelled before the queue had answered", in_doubt=True)
        ] * len(envelopes)
        try:
            answers = await self._store(envelopes, retry_for)
        finally:
            announce(self._emit, self._url, messages, answers)
        return answers

    def _emit(self, event: Event) -> None:
        tell(self._observers, event)

    async def _store(self, envelopes: Sequence[Envelope], retry_for: timedelta) -> list[str | AdapterError]:
        """Publish, and for *retry_for* publish again what failed for now and is certainly not stored."""
        clock, deadline = self._encoder.clock, self._encoder.clock.monotonic() + retry_for.total_seconds()
        answers: list[str | AdapterError] = await self._attempt(envelopes)
        attempt = 0
        while again := [index for index, answer in enumerate(answers) if _may_repeat(answer)]:
            attempt += 1
            pause = _BACKOFF.delay(attempt, self._encoder.jitter.random()).total_seconds()
            if clock.monotonic() + pause > deadline:
                break
            await clock.sleep(pause)
            for index, answer in zip(again, await self._attempt([envelopes[i] for i in again]), strict=True):
                answers[index] = answer
        return answers

    async def _attempt(self, envelopes: Sequence[Envelope]) -> list[str | AdapterError]:
        return await publish_to(self._queue, envelopes) if envelopes else []


async def publish_to(queue: Publisher, envelopes: Sequence[Envelope]) -> list[str | AdapterError]:
    """Publish once; for each envelope its id, or what kept it out."""
    try:
        return list(await answer_of(queue.publish(envelopes)))
    except AdapterError as error:
        return [error] * len(envelopes)


def announce(
    emit: Callable[[Event], None], url: str, messages: Sequence[Message], answers: Sequence[str | AdapterError]
) -> None:
    """Tell what became of *messages* at the queue that *url* names."""
    for message, answer in zip(messages, answers, strict=True):
        if isinstance(answer, str):
            emit(Published(queue=url, message=message.published(id=answer)))
        else:
            emit(PublishFailed(queue=url, message=message, error=answer))


def _may_repeat(answer: str | AdapterError) -> bool:
    return isinstance(answer, AdapterError) and answer.temporary and not answer.in_doubt


@asynccontextmanager
async def open_publisher(
    url: str,
    *,
    translator: Translator | None = None,
    middleware: Sequence[PublishMiddleware] = (),
    observers: Sequence[Observer] = (),
    adapter: Adapter | None = None,
    clock: Clock | None = None,
    jitter: Jitter | None = None,
) -> AsyncGenerator[MessagePublisher]:
    """A publisher to the queue that *url* names, open inside the context.

    Args:
        translator: the format to write; pulpo's own JSON unless given.
        middleware: each sees every message before it is encoded, and returns the one to publish.
        observers: told what was published (`events.Published`) and what was not (`events.PublishFailed`).

    Raises:
        ConfigurationError: the URL, the queue or the access to it is wrong.
        Unavailable: the broker cannot be reached.
    """
    clock, jitter = clock or SystemClock(), jitter or SystemJitter()
    async with open_queue(url, adapter=adapter, clock=clock, jitter=jitter) as queue:
        encoder = Encoder(
            translator=translator or PulpoJson(),
            capabilities=queue.capabilities,
            clock=clock,
            jitter=jitter,
            middleware=tuple(middleware),
        )
        yield MessagePublisher(queue, encoder, url=url, observers=observers)
