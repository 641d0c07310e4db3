"""Queues beside those of the routes, which follow-ups name: opened when first named, and held until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from pulpo_core.domain.errors import Unavailable
from pulpo_core.ports.adapter import Queue


class Others:
    """Opens each queue once, in a task of its own, which closes it again.

    An adapter may hold groups of tasks over the time a queue is open, so whoever opens it must be
    the one who closes it; and one that takes its time to be opened delays only those who name it.

    Args:
        group: where the tasks live.
        open_queue: makes the context in which a URL is open.
        on_failure: told when one could not be closed.
    """

    def __init__(
        self,
        group: asyncio.TaskGroup,
        open_queue: Callable[[str], AbstractAsyncContextManager[Queue]],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._group = group
        self._open_queue = open_queue
        self._on_failure = on_failure
        self._queues: dict[str, asyncio.Future[Queue]] = {}
        self._enough = asyncio.Event()

    async def queue(self, url: str) -> Queue:
        """The queue that *url* names, open.

        Raises:
            PulpoError: it cannot be opened; the next call tries again.
        """
        if url not in self._queues:
            self._queues[url] = asyncio.get_running_loop().create_future()
            self._group.create_task(self._hold(url, self._queues[url]))
        return await asyncio.shield(self._queues[url])

    def close(self) -> None:
        """Let every queue be closed."""
        self._enough.set()

    async def _hold(self, url: str, opened: asyncio.Future[Queue]) -> None:
        try:
            async with self._open_queue(url) as queue:
                opened.set_result(queue)
                await self._enough.wait()
        except asyncio.CancelledError:
            if not opened.done():  # by its driver, or with everything else: whoever waits must not wait for ever
                self._give_up(url, opened, Unavailable("opening the queue was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait for the queue, or else to the run
            if opened.done():
                del self._queues[url]
                self._on_failure(error)
            else:
                self._give_up(url, opened, error)

    def _give_up(self, url: str, opened: asyncio.Future[Queue], error: Exception) -> None:
        """Tell those who wait that it cannot be opened; the next call tries again."""
        del self._queues[url]
        opened.set_exception(error)
        opened.exception()  # nobody may be waiting any more
