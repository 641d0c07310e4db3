"""From a ``file://`` URL to an open queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import attrs

from pulpo_core import Capabilities, Clock, Diagnosis, Jitter, Queue, Usage

from .settings import MAX_BODY_BYTES, SCHEME, Durability, Settings

#: More than this in one call would hold the lock longer than the flush that it saves.
MAX_BATCH: Final = 500

_CAPABILITIES: Final = Capabilities(
    max_body_bytes=MAX_BODY_BYTES,
    max_batch=MAX_BATCH,
    granularity=timedelta(milliseconds=1),
    atomic_follow_ups=True,
    pause=True,
    durability=Durability.PUBLISH.promise,
)


class FileAdapter:
    """Durable queues in one file, for several processes of one host, with no server."""

    scheme = SCHEME
    capabilities = _CAPABILITIES
    own_clock = False

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:  # noqa: ARG002 - nothing here is left to chance
        """The queue that *url* names; the file is made, for its owner alone, when first published to or worked on."""
        from .queue import open_queue  # noqa: PLC0415 - sqlite3 is imported by who opens a queue, not who lists adapters

        settings = Settings.of(url)
        capabilities = attrs.evolve(
            _CAPABILITIES,
            lease=settings.lease,
            max_body_bytes=settings.max_body,
            durability=settings.durability.promise,
        )
        return open_queue(settings, clock, capabilities)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        """Make the file, if it is not there, and the queue in it.

        Raises:
            ConfigurationError: the file cannot be there, or *options* has any: there are none.
        """
        from .creating import create  # noqa: PLC0415 - as above

        return await create(Settings.of(url), options)

    def scratch_url(self, url: str, name: str) -> str:
        """A queue in a file of its own beside that of *url*: the same disk, and none of its messages."""
        path = Settings.of(url).path
        scratch = path.with_name(f"{path.stem[:100]}.{name}{path.suffix}")
        return f"{SCHEME}://{quote(str(scratch))}{url[len(url.partition('?')[0]) :]}"

    async def remove(self, url: str) -> None:
        """Remove the file that *url* names, and what lies beside it."""
        from .removing import remove  # noqa: PLC0415 - as above

        await remove(Settings.of(url))

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:  # noqa: ARG002 - the port's
        """See `pulpo_core.Examiner`."""
        from .examining import examine  # noqa: PLC0415 - as above

        return await asyncio.to_thread(examine, Settings.of(url))
