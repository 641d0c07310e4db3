"""Publishing from code that does not await: an event loop in a thread of its own does the work."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from pulpo_core.domain.errors import AdapterError, PulpoError, Unavailable
from pulpo_core.domain.message import Message
from pulpo_core.ports.adapter import Adapter
from pulpo_core.ports.handler import PublishMiddleware, Translator
from pulpo_core.ports.observer import Observer

from .publishing import MessagePublisher, open_publisher

T = TypeVar("T")


class SyncPublisher:
    """`MessagePublisher` for code that does not await; safe to call from any thread of its process."""

    def __init__(self, publisher: MessagePublisher, loop: asyncio.AbstractEventLoop) -> None:
        self._publisher = publisher
        self._loop = loop
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._closed = False

    def publish(self, message: Message, *, retry_for: timedelta | float = 0) -> Message:
        """See `MessagePublisher.publish`; blocks the calling thread."""
        return self._result(lambda: self._publisher.publish(message, retry_for=retry_for))

    def publish_many(
        self, messages: Iterable[Message], *, retry_for: timedelta | float = 0
    ) -> list[Message | PulpoError]:
        """See `MessagePublisher.publish_many`; blocks the calling thread."""
        every = list(messages)  # here, in the thread to which an iterator belongs
        return self._result(lambda: self._publisher.publish_many(every, retry_for=retry_for))

    def _result(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if os.getpid() != self._process:
            raise AdapterError("this publisher was opened before a fork; open one in each process")
        with self._lock:  # so that nothing is begun once it is being closed, which nobody would ever finish
            if self._closed:
                raise AdapterError("this publisher is closed")
            future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise Unavailable("the publisher was closed before the queue had answered", in_doubt=True) from None

    def close(self) -> None:
        """Begin nothing more; called when its context ends."""
        if os.getpid() != self._process:
            return  # nothing is begun here anyway, and a thread that does not exist here may hold the lock
        with self._lock:
            self._closed = True


@contextmanager
def open_publisher_sync(
    url: str,
    *,
    translator: Translator | None = None,
    middleware: Sequence[PublishMiddleware] = (),
    observers: Sequence[Observer] = (),
    adapter: Adapter | None = None,
) -> Generator[SyncPublisher]:
    """`open_publisher` for synchronous code: an event loop in a thread of its own does the work.

    One per process and queue is enough: keep it open as long as the application runs. That thread tells observers.
    """
    opened = open_publisher(url, translator=translator, middleware=middleware, observers=observers, adapter=adapter)
    background = _Background(opened)
    publisher = SyncPublisher(*background.open())
    try:
        yield publisher
    finally:
        publisher.close()
        background.close()


class _Background:
    """A thread whose event loop opens a publisher, holds it, and closes it in the task that has opened it."""

    def __init__(self, context: AbstractAsyncContextManager[MessagePublisher]) -> None:
        self._context = context
        self._opened: Future[tuple[MessagePublisher, asyncio.AbstractEventLoop]] = Future()
        self._closed: Future[None] = Future()
        self._enough = asyncio.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="pulpo-publisher", daemon=True)

    def open(self) -> tuple[MessagePublisher, asyncio.AbstractEventLoop]:
        """The publisher and its loop.

        Raises:
            PulpoError: it cannot be opened.
        """
        self._thread.start()
        return self._opened.result()

    def close(self) -> None:
        """Close it, and end what somebody has left behind."""
        if os.getpid() != self._process:
            return  # after a fork it is still its parent's, whose thread does not exist here
        _, loop = self._opened.result()
        loop.call_soon_threadsafe(self._enough.set)
        self._thread.join()
        self._closed.result()

    def _run(self) -> None:
        try:
            asyncio.run(self._hold())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever opens or closes
            (self._closed if self._opened.done() else self._opened).set_exception(error)
        else:
            self._closed.set_result(None)

    async def _hold(self) -> None:
        async with self._context as publisher:
            self._opened.set_result((publisher, asyncio.get_running_loop()))
            await self._enough.wait()
