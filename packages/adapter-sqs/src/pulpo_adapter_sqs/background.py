"""Requests that outlive the call that started them, and end with the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from pulpo_core import AdapterError, PulpoError

T = TypeVar("T")


class Background:
    """Starts requests as tasks of one group; *closed* once the queue is.

    A caller that is cancelled leaves its request running, since an answer that nobody reads may
    hold messages. Whatever is started must end in a value, not in an exception.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._running: set[asyncio.Task[Any]] = set()
        self.closed = False

    def check_open(self) -> None:
        """Return while requests can be started.

        Raises:
            AdapterError: the queue was closed.
        """
        if self.closed:
            raise AdapterError("the queue is closed: use it inside the context that opened it")

    def start(self, request: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *request* until it ends, or until the queue is closed."""
        if self.closed:
            request.close()
        self.check_open()
        task = self._group.create_task(request)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def run(self, request: Coroutine[Any, Any, T]) -> T:
        """Run *request* and await what comes of it. It goes on when the caller is cancelled.

        Raises:
            PulpoError: *request* failed.
            AdapterError: the queue was closed meanwhile.
        """
        if self.closed:
            request.close()
        self.check_open()
        task = self.start(_caught(request))
        try:
            answer, error = await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            if task.cancelled() and self.closed:
                raise closed_meanwhile() from None
            raise
        if error is not None:
            raise error
        return cast("T", answer)  # without an error there is an answer

    async def run_all(self, requests: Iterable[Coroutine[Any, Any, object]]) -> None:
        """Run *requests* at the same time, and return when each has ended.

        Raises:
            PulpoError: the error of the first, in their order, that failed.
        """
        for task in [self.start(_caught(request)) for request in requests]:
            _, error = await task
            if error is not None:
                raise error

    def close(self) -> None:
        """End what is still running, and start nothing more."""
        self.closed = True
        for task in self._running:
            task.cancel()


def closed_meanwhile() -> AdapterError:
    """What those are told who waited for an answer when the queue was closed."""
    return AdapterError("the queue was closed before AWS answered", in_doubt=True)


async def _caught(request: Coroutine[Any, Any, T]) -> tuple[T | None, PulpoError | None]:
    """The answer or the error as values: one that is raised would end every other task of the group."""
    try:
        return await request, None
    except PulpoError as error:
        return None, error


@asynccontextmanager
async def background() -> AsyncIterator[Background]:
    """A `Background` for the life of the context.

    What is raised inside the context leaves it as it is, not in the group that a plain
    `asyncio.TaskGroup` would make of it.
    """
    raised: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        tasks = Background(group)
        try:
            yield tasks
        except BaseException as error:  # noqa: BLE001 - raised again below, as soon as the group has ended
            raised = error
        tasks.close()
    if raised is not None:
        raise raised
