"""An open queue: three faces over one client."""

from __future__ import annotations

from collections import Counter

from pulpo_core import Capabilities

from .client import Client
from .hops import Hops
from .inspector import SqsInspector
from .provider import SqsProvider
from .publisher import SqsPublisher


class SqsQueue:
    """A queue of SQS, or several in an order; see `pulpo_core.Queue`.

    Attributes:
        url: names the queue; never carries a secret.
        capabilities: what this queue promises, as its attributes and the URL say.
        close: give back what was received and nobody has taken.
    """

    def __init__(
        self,
        url: str,
        *,
        capabilities: Capabilities,
        client: Client,
        hops: Hops,
        provider: SqsProvider,
        publisher: SqsPublisher,
        inspector: SqsInspector,
    ) -> None:
        self.url = url
        self.capabilities = capabilities
        self._client = client
        self._hops = hops
        self.receive, self.interrupt, self.close = provider.receive, provider.interrupt, provider.close
        self.settle, self.extend = provider.settle, provider.extend
        self.publish = publisher.publish
        self.stats, self.peek, self.buried = inspector.stats, inspector.peek, inspector.buried
        self.kick, self.delete, self.purge = inspector.kick, inspector.delete, inspector.purge
        self.pause, self.resume = inspector.pause, inspector.resume

    @property
    def requests(self) -> Counter[str]:
        """How many requests were sent, by the name of the operation: they are what AWS bills."""
        return self._client.requests

    @property
    def deferred(self) -> int:
        """How many messages were received before their time, and sent on to it without being handed out."""
        return self._hops.deferred
