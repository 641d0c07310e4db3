"""From a ``memory://`` URL to an open queue."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.errors import InvalidURL, Unsupported
from pulpo_core.domain.url import duration, parse_url, read_parameters, whole_number
from pulpo_core.ports.adapter import Queue
from pulpo_core.ports.clock import Clock, Jitter

from .queue import MemoryQueue
from .store import Store

SCHEME: Final = "memory"

#: What a message may weigh unless the URL says otherwise. Memory has no such limit, but the queues
#: that tests in memory stand for have one, and code that passes here should pass there.
DEFAULT_MAX_BODY: Final = 1_048_576

_CAPABILITIES: Final = Capabilities(
    max_body_bytes=DEFAULT_MAX_BODY,
    granularity=timedelta(microseconds=1),
    atomic_follow_ups=True,
    groups=True,
    pause=True,
    durability="nothing: messages live as long as the process",
)


def _lease(text: str) -> timedelta:
    lease = duration(text)
    if not lease:
        raise ValueError("a lease must be longer than 0")
    return lease


_PARAMETERS: Final = {"lease": _lease, "max_body": whole_number(1)}


@attrs.frozen(kw_only=True)
class Settings:
    """What a ``memory://`` URL says.

    Attributes:
        lease: how long a delivery is ours unless extended.
        max_body: longest body that is published, in bytes.
    """

    url: str
    name: str
    lease: timedelta = timedelta(seconds=30)
    max_body: int = DEFAULT_MAX_BODY

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read *url*.

        Raises:
            InvalidURL: it is not ``memory://NAME``, or a parameter is not understood.
        """
        parts = parse_url(url)
        if parts.scheme != SCHEME or not parts.netloc or parts.path not in {"", "/"}:
            raise InvalidURL(f"{url!r} does not name a queue in memory; expected {SCHEME}://NAME")
        return cls(url=url, name=parts.netloc, **read_parameters(parts, _PARAMETERS))


class _Stores:
    """The queues of this process by name. A name is forgotten when its last holder leaves it empty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stores: dict[str, Store] = {}
        self._holders: dict[str, int] = {}

    def enter(self, name: str) -> Store:
        with self._lock:
            self._holders[name] = self._holders.get(name, 0) + 1
            return self._stores.setdefault(name, Store())

    def leave(self, name: str) -> None:
        with self._lock:
            self._holders[name] -= 1
            if not self._holders[name] and not self._stores[name]:
                del self._holders[name], self._stores[name]

    def forget(self, name: str) -> None:
        with self._lock:
            if not self._holders.get(name):
                self._stores.pop(name, None)


_STORES: Final = _Stores()


class MemoryAdapter:
    """Queues inside one process: real limits, leases and order, no durability."""

    scheme = SCHEME
    capabilities = _CAPABILITIES
    own_clock = False

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:  # noqa: ARG002 - the port's
        """The queue that *url* names; all that are opened under one name share their messages."""
        return _opened(Settings.of(url), clock)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:  # noqa: ARG002 - the port's
        """Always `Unsupported`: a queue in memory is there as soon as it is named."""
        Settings.of(url)
        raise Unsupported(f"{url} needs no creating: it is there as soon as it is opened")

    def scratch_url(self, url: str, name: str) -> str:
        """A queue of that name in this process, with the parameters of *url*."""
        return f"{SCHEME}://{Settings.of(url).name}.{name}{url[len(url.partition('?')[0]) :]}"

    async def remove(self, url: str) -> None:
        """Forget the queue and its messages, unless somebody has it open."""
        _STORES.forget(Settings.of(url).name)


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock) -> AsyncIterator[Queue]:
    capabilities = attrs.evolve(_CAPABILITIES, lease=settings.lease, max_body_bytes=settings.max_body)
    queue = MemoryQueue(settings.url, _STORES.enter(settings.name), clock, capabilities)
    try:
        yield queue
    finally:
        queue.close()
        _STORES.leave(settings.name)
