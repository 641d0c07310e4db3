"""Handlers that pass messages on: to another queue, or to a topic.

They connect at the first message and disconnect when the application stops. A message is
acknowledged once the other side has confirmed its copy; else the policy retries it, with the same
identity, so that a FIFO queue drops the copy it may have already.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from pulpo_core import AdapterError, Clock, Envelope, InvalidMessage, Jitter, Message, SystemClock, SystemJitter

from .adapter import SqsAdapter
from .queue import SqsQueue
from .settings import Settings
from .sns import Notification, SnsTopic, open_topic

T = TypeVar("T")

#: Makes text of what a handler is given; `None` passes text on unchanged.
Encoder = Callable[[Any], str] | None

#: Headers that travel beside the body, where others can read them.
_CARRIED = ("traceparent", "tracestate")


class _Connection(Generic[T]):
    """A context that is entered when first needed."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._opened = opened
        self._context: AbstractAsyncContextManager[T] | None = None
        self._value: T | None = None
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        async with self._turn:
            if self._value is None:
                context = self._opened()
                self._value = await context.__aenter__()
                self._context = context
            return self._value

    async def close(self) -> None:
        async with self._turn:
            context, self._context, self._value = self._context, None, None
            if context is not None:
                await context.__aexit__(None, None, None)


def _encoded(content: Any, encoder: Encoder) -> str:
    if encoder is not None:
        return encoder(content)
    if isinstance(content, str):
        return content
    raise InvalidMessage(f"without an encoder only text can be passed on, not {type(content).__name__}")


def _carried(message: Message) -> dict[str, str]:
    return {name: str(message.header[name]) for name in _CARRIED if name in message.header}


class SqsForwarder:
    """Passes the content of each message on to the queue that *url* names.

    Args:
        url: as any URL of a queue: ``sqs://orders?region=eu-west-1``.
        encoder: makes text of the content, JSON unless given; `None` passes text on unchanged.
        group: of FIFO queues: makes the group of a message; each is on its own unless given.
    """

    def __init__(
        self,
        url: str,
        *,
        encoder: Encoder = json.dumps,
        group: Callable[[Message], str] | None = None,
        clock: Clock | None = None,
        jitter: Jitter | None = None,
    ) -> None:
        self._encoder = encoder
        self._group = group
        Settings.of(url)  # a wrong one is told now, not at the first message
        self._connection = _Connection[SqsQueue](
            lambda: SqsAdapter().open(url, clock=clock or SystemClock(), jitter=jitter or SystemJitter())
        )

    async def handle(self, content: Any, message: Message) -> bool:
        """Pass one message on; `True` once the queue has confirmed it.

        Raises:
            AdapterError: it has not; the message is to be retried.
            ConfigurationError: there is no such queue, or it may not be sent to.
            InvalidMessage: the content cannot be passed on like this.
        """
        envelope = Envelope(
            body=_encoded(content, self._encoder).encode(),
            uid=message.uid or "",
            group=self._group(message) if self._group else None,
            attributes=_carried(message),
        )
        queue = await self._connection.get()
        [answer] = await queue.publish([envelope])
        if isinstance(answer, AdapterError):
            raise answer
        return True

    async def stop(self) -> None:
        """Disconnect; the next message connects anew."""
        await self._connection.close()


class SnsForwarder:
    """Passes the content of each message on to the topic of that ARN or exact name.

    Args:
        topic: its ARN, or its name; see `open_topic`.
        encoder: makes text of the content, JSON unless given; `None` passes text on unchanged.
        subject: a line for subscribers by mail.
        region, endpoint_url, profile: see `open_topic`.
    """

    def __init__(
        self,
        topic: str,
        *,
        encoder: Encoder = json.dumps,
        subject: str | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        profile: str | None = None,
    ) -> None:
        self._encoder = encoder
        self._subject = subject
        self._connection = _Connection[SnsTopic](
            lambda: open_topic(topic, region=region, endpoint_url=endpoint_url, profile=profile)
        )

    async def handle(self, content: Any, message: Message) -> bool:
        """Pass one message on; `True` once the topic has confirmed it.

        Raises:
            AdapterError: it has not; the message is to be retried.
            ConfigurationError: there is no such topic, or it may not be published to.
            InvalidMessage: the content cannot be passed on like this.
        """
        text = _encoded(content, self._encoder)
        topic = await self._connection.get()
        await topic.publish(
            Notification(
                content=text,
                subject=self._subject,
                attributes=_carried(message),
                group=message.header.get("group") or message.uid,
                dedup_id=message.uid,
            )
        )
        return True

    async def stop(self) -> None:
        """Disconnect; the next message connects anew."""
        await self._connection.close()
