"""An open tube: the three faces over their connections."""

from __future__ import annotations

from pulpo_core import Capabilities

from .connection import Dialer
from .inspector import BeanstalkdInspector
from .provider import BeanstalkdProvider
from .publisher import BeanstalkdPublisher


class BeanstalkdQueue:
    """See `Queue`. It has one connection to put and to look through, one for records, and those of its provider."""

    def __init__(
        self,
        url: str,
        *,
        dialer: Dialer,
        provider: BeanstalkdProvider,
        publisher: BeanstalkdPublisher,
        inspector: BeanstalkdInspector,
    ) -> None:
        self.url = url
        self._dialer = dialer
        self._provider = provider
        self._publisher = publisher
        self.receive, self.interrupt = provider.receive, provider.interrupt
        self.settle, self.extend = provider.settle, provider.extend
        self.publish = publisher.publish
        self.stats, self.peek, self.buried = inspector.stats, inspector.peek, inspector.buried
        self.kick, self.delete, self.purge = inspector.kick, inspector.delete, inspector.purge
        self.pause, self.resume = inspector.pause, inspector.resume

    @property
    def capabilities(self) -> Capabilities:
        """What this tube promises, as its beanstalkd said last."""
        return self._publisher.capabilities

    async def close(self) -> None:
        """Close every connection; what is in hand goes back at once."""
        self._provider.close()
        await self._dialer.close()
