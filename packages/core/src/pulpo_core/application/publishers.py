"""One publisher for all queues of an application, each opened when something is first published to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from pulpo_core.domain.errors import ConfigurationError, PulpoError
from pulpo_core.domain.message import Message
from pulpo_core.ports.adapter import Adapter, Queue
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.handler import PublishMiddleware, Translator
from pulpo_core.ports.observer import Observer
from pulpo_core.translators.json import PulpoJson

from .clock import SystemClock, SystemJitter
from .others import Others
from .publishing import Encoder, MessagePublisher
from .registry import open_queue

log = logging.getLogger("pulpo.publisher")

_CLOSED: Final = "this publisher is not open: it is open inside its context, and while its container's application runs"


class Publishers:
    """Publishes to queues by name, by URL, or to the default one. A context that may be entered again once it is left.

    Args:
        queues: URLs by the names under which they can be published to.
        default: the URL for what names no queue.
        translator: the format to write; pulpo's own JSON unless given.
        middleware: each sees every message before it is encoded, and returns the one to publish.
        observers: told what was published, and what was not.
        adapter: opens every queue instead of the installed adapters.
        clock, jitter: time and chance; the system's unless given.
    """

    def __init__(
        self,
        queues: Mapping[str, str] | None = None,
        *,
        default: str | None = None,
        translator: Translator | None = None,
        middleware: Sequence[PublishMiddleware] = (),
        observers: Sequence[Observer] = (),
        adapter: Adapter | None = None,
        clock: Clock | None = None,
        jitter: Jitter | None = None,
    ) -> None:
        self._queues = dict(queues or {})
        self._default = default
        self._translator = translator or PulpoJson()
        self._middleware = tuple(middleware)
        self._observers = tuple(observers)
        self._adapter = adapter
        self._clock: Clock = clock or SystemClock()
        self._jitter: Jitter = jitter or SystemJitter()
        self._group: asyncio.TaskGroup | None = None
        self._others: Others | None = None

    async def publish(self, message: Message, *, queue: str | None = None, retry_for: timedelta | float = 0) -> Message:
        """Store *message* in *queue*, the name or the URL of one; otherwise as `MessagePublisher.publish`.

        Raises:
            ConfigurationError: there is no queue of that name, or none to take by default.
            PulpoError: the publisher is not open, or the message cannot be published.
        """
        publisher = await self.to(queue)
        return await publisher.publish(message, retry_for=retry_for)

    async def publish_many(
        self, messages: Iterable[Message], *, queue: str | None = None, retry_for: timedelta | float = 0
    ) -> list[Message | PulpoError]:
        """Store *messages* in *queue*; otherwise as `MessagePublisher.publish_many`."""
        publisher = await self.to(queue)
        return await publisher.publish_many(messages, retry_for=retry_for)

    async def to(self, queue: str | None = None) -> MessagePublisher:
        """The publisher to one queue, open as long as this is."""
        url = self._url(queue)
        if self._others is None:
            raise PulpoError(_CLOSED)
        opened = await self._others.queue(url)
        encoder = Encoder(
            translator=self._translator,
            capabilities=opened.capabilities,
            clock=self._clock,
            jitter=self._jitter,
            middleware=self._middleware,
        )
        return MessagePublisher(opened, encoder, url=url, observers=self._observers)

    def _url(self, queue: str | None) -> str:
        if queue is None:
            if self._default is None:
                raise ConfigurationError(f"publish to which queue? Give queue=, one of {self._known()}")
            return self._default
        if "://" not in queue and queue not in self._queues:
            raise ConfigurationError(f"no queue is called {queue!r}; known: {self._known()}")
        return self._queues.get(queue, queue)

    def _known(self) -> str:
        return ", ".join(self._queues) or "none; a URL is also accepted"

    def _open(self, url: str) -> AbstractAsyncContextManager[Queue]:
        return open_queue(url, adapter=self._adapter, clock=self._clock, jitter=self._jitter)

    async def __aenter__(self) -> Publishers:
        if self._group is not None:
            raise PulpoError("this publisher is open already")
        self._group = await asyncio.TaskGroup().__aenter__()
        self._others = Others(self._group, self._open, lambda error: log.error("a queue failed to close: %s", error))
        return self

    async def __aexit__(self, *_: object) -> None:
        group, others = self._group, self._others
        self._group = self._others = None
        if group is not None and others is not None:
            others.close()
            await group.__aexit__(None, None, None)  # what ended the context is none of its tasks' errors
