"""From a ``beanstalkd://`` URL to an open tube."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from pulpo_core import Clock, Diagnosis, Jitter, Queue, SystemClock, SystemJitter, Unsupported, Usage

from .server import CAPABILITIES
from .settings import SCHEME, Settings, scratch_url


class BeanstalkdAdapter:
    """Tubes of beanstalkd: priority, delay, time to run, bury and kick are its own."""

    scheme = SCHEME
    capabilities = CAPABILITIES
    own_clock = True

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:
        """The tube that *url* names. A tube is there as soon as it is named, and gone when nothing is in it."""
        return _opened(Settings.of(url), clock, jitter)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:  # noqa: ARG002 - the port's
        """Always `Unsupported`: a tube is there as soon as it is named."""
        settings = Settings.of(url)
        raise Unsupported(f"tube {settings.tube} needs no creating: it is there as soon as something is put into it")

    def scratch_url(self, url: str, name: str) -> str:
        """A tube of its own at the same beanstalkd, whose jobs have a time to run of 2 s."""
        return scratch_url(Settings.of(url), name)

    async def remove(self, url: str) -> None:
        """Delete every job of the tube and every record of a burial; a tube without jobs is gone."""
        from .removing import remove  # noqa: PLC0415 - asyncio and all that: only who tries a contract needs it

        clock = SystemClock()
        async with self.open(url, clock=clock, jitter=SystemJitter()) as queue:
            await remove(queue, clock)

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:  # noqa: ARG002 - the port's
        """See `pulpo_core.Examiner`."""
        from .examining import examine  # noqa: PLC0415 - as below

        return await examine(Settings.of(url), clock)


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock, jitter: Jitter) -> AsyncIterator[Queue]:
    from .assembly import assemble  # noqa: PLC0415 - greenstalk is loaded when a queue is opened

    queue, publisher = assemble(settings, clock, jitter)
    try:
        await publisher.open()
        yield queue
    finally:
        await queue.close()
