"""An open tube: the three faces over their connections."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pulpo_core import AdapterError, Capabilities, Delivery, Envelope, Page, Peek, QueueStats, Record, Settling, State

from .inspector import BeanstalkdInspector
from .link import Link
from .provider import BeanstalkdProvider
from .publisher import BeanstalkdPublisher
from .records import Records


class BeanstalkdQueue:
    """See `Queue`. It has one connection to put and to look through, one for records, and those of its provider."""

    def __init__(
        self,
        url: str,
        *,
        link: Link,
        records: Records,
        provider: BeanstalkdProvider,
        publisher: BeanstalkdPublisher,
        inspector: BeanstalkdInspector,
    ) -> None:
        self.url = url
        self._link = link
        self._records = records
        self._provider = provider
        self._publisher = publisher
        self._inspector = inspector

    @property
    def capabilities(self) -> Capabilities:
        """What this tube promises, as its beanstalkd said last."""
        return self._publisher.capabilities

    async def close(self) -> None:
        """Close every connection; what is in hand goes back at once."""
        await self._provider.close()
        await self._records.close()
        await self._link.close()

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`."""
        return await self._provider.receive(limit, wait)

    def interrupt(self) -> None:
        """See `Provider.interrupt`."""
        self._provider.interrupt()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """See `Provider.settle`."""
        return await self._provider.settle(batch)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """See `Provider.extend`."""
        return await self._provider.extend(batch)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """See `Publisher.publish`."""
        return await self._publisher.publish(batch)

    async def stats(self) -> QueueStats:
        """See `Inspector.stats`."""
        return await self._inspector.stats()

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the port's word
        """See `Inspector.peek`."""
        return await self._inspector.peek(kind, id)

    async def buried(self, *, limit: int = 1000) -> Page:
        """See `Inspector.buried`."""
        return await self._inspector.buried(limit=limit)

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """See `Inspector.kick`."""
        return await self._inspector.kick(ids, limit=limit)

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """See `Inspector.delete`."""
        return await self._inspector.delete(ids)

    async def purge(self, states: frozenset[State]) -> int:
        """See `Inspector.purge`."""
        return await self._inspector.purge(states)

    async def pause(self, duration: timedelta | None = None) -> None:
        """See `Inspector.pause`."""
        await self._inspector.pause(duration)

    async def resume(self) -> None:
        """See `Inspector.resume`."""
        await self._inspector.resume()
