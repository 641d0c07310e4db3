"""An open queue: three faces over one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import attrs

from pulpo_core import (
    AdapterError,
    Capabilities,
    Delivery,
    Envelope,
    Page,
    Peek,
    QueueStats,
    Record,
    Settling,
    State,
)

from .client import Client
from .hops import Hops
from .inspector import SCAN_LIMIT, SqsInspector
from .provider import SqsProvider
from .publisher import SqsPublisher


@attrs.define(slots=True, eq=False, kw_only=True)
class SqsQueue:
    """A queue of SQS, or several in an order; see `pulpo_core.Queue`.

    Attributes:
        url: names the queue; never carries a secret.
        capabilities: what this queue promises, as its attributes and the URL say.
    """

    url: str
    capabilities: Capabilities
    _client: Client
    _provider: SqsProvider
    _publisher: SqsPublisher
    _inspector: SqsInspector
    _hops: Hops

    @property
    def requests(self) -> Counter[str]:
        """How many requests were sent, by the name of the operation: they are what AWS bills."""
        return self._client.requests

    @property
    def deferred(self) -> int:
        """How many messages were received before their time, and sent on to it without being handed out."""
        return self._hops.deferred

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `pulpo_core.Provider.receive`."""
        return await self._provider.receive(limit, min(wait, self.capabilities.max_wait))

    def interrupt(self) -> None:
        """See `pulpo_core.Provider.interrupt`."""
        self._provider.interrupt()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """See `pulpo_core.Provider.settle`."""
        return await self._provider.settle(batch)

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """See `pulpo_core.Provider.extend`."""
        return await self._provider.extend(batch)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """See `pulpo_core.Publisher.publish`."""
        return await self._publisher.publish(batch)

    async def stats(self) -> QueueStats:
        """See `pulpo_core.Inspector.stats`."""
        return await self._inspector.stats()

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the port's word
        """See `pulpo_core.Inspector.peek`."""
        return await self._inspector.peek(kind, id)

    async def buried(self, *, limit: int = SCAN_LIMIT) -> Page:
        """See `pulpo_core.Inspector.buried`."""
        return await self._inspector.buried(limit=limit)

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """See `pulpo_core.Inspector.kick`."""
        return await self._inspector.kick(ids, limit=limit)

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """See `pulpo_core.Inspector.delete`."""
        return await self._inspector.delete(ids)

    async def purge(self, states: frozenset[State]) -> int:
        """See `pulpo_core.Inspector.purge`."""
        return await self._inspector.purge(states)

    async def pause(self, duration: timedelta | None = None) -> None:
        """See `pulpo_core.Inspector.pause`."""
        await self._inspector.pause(duration)

    async def resume(self) -> None:
        """See `pulpo_core.Inspector.resume`."""
        await self._inspector.resume()

    async def close(self) -> None:
        """Give back what was received and nobody has taken."""
        await self._provider.close()
