"""Publishing from code that does not await.

The same publisher as for code that does, whose waits block the calling thread: a queue that can be
worked on from any thread is, and for the others an event loop in a thread of its own does the work.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError, PulpoError, Unavailable
from pulpo_core.domain.message import Message
from pulpo_core.ports.adapter import Adapter, Queue
from pulpo_core.ports.handler import PublishMiddleware, Translator
from pulpo_core.ports.observer import Event, Observer
from pulpo_core.ports.offers import BlockingPublisher
from pulpo_core.translators.json import PulpoJson

from .answers import answer_of
from .clock import SystemClock, SystemJitter
from .observing import tell
from .publishing import Encoder, MessagePublisher
from .registry import open_queue

T = TypeVar("T")


class SyncPublisher:
    """`MessagePublisher` for code that does not await; safe to call from any thread of its process."""

    def __init__(self, publisher: MessagePublisher, crossing: _Crossing) -> None:
        self._publisher = publisher
        self._crossing = crossing

    def publish(self, message: Message, *, retry_for: timedelta | float = 0) -> Message:
        """See `MessagePublisher.publish`; blocks the calling thread."""
        self._crossing.check()
        return _outcome(self._publisher.publish(message, retry_for=retry_for))

    def publish_many(
        self, messages: Iterable[Message], *, retry_for: timedelta | float = 0
    ) -> list[Message | PulpoError]:
        """See `MessagePublisher.publish_many`; blocks the calling thread."""
        self._crossing.check()
        return _outcome(self._publisher.publish_many(messages, retry_for=retry_for))


def _outcome(work: Coroutine[Any, Any, T]) -> T:
    """What *work* returns, of which nothing waits for a loop: `_Crossing` blocks the thread instead."""
    try:
        work.send(None)
    except StopIteration as end:
        returned: T = end.value
        return returned
    raise AssertionError("publishing awaits its queue and its clock, and nothing else")


class _Crossing:
    """The way from any thread to the loop in which the queue is open, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int | None) -> None:
        self._loop = loop
        self._thread = thread  # in which it runs
        self._process = os.getpid()
        self._lock = threading.RLock()  # a signal handler may publish
        self._closed = False

    def check(self) -> None:
        """Whether anything can be begun here.

        Raises:
            AdapterError: it cannot any more, or not in this process.
        """
        if os.getpid() != self._process:
            raise AdapterError("this publisher was opened before a fork; open one in each process")
        if self._closed:
            raise AdapterError("this publisher is closed")

    def result(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What *work* returns when it is done in the loop; blocks the calling thread.

        Raises:
            AdapterError: it would never be done.
        """
        if sys.is_finalizing():
            raise AdapterError("the interpreter is ending: its threads do nothing any more")
        if threading.get_ident() == self._thread:
            raise AdapterError("this is the thread of this publisher's own loop, which would wait for itself")
        with self._lock:  # so that nothing is begun once it is being closed, which nobody would ever finish
            self.check()
            future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise Unavailable("the publisher was closed before the queue had answered", in_doubt=True) from None

    def close(self) -> None:
        """Begin nothing more; called when its context ends."""
        if not _goes_on(self._process):
            return  # nothing is begun here anyway, and a thread that does nothing any more may hold the lock
        with self._lock:
            self._closed = True


def _goes_on(process: int) -> bool:
    """Whether the threads of *process* run here: not in a forked child, and not when the interpreter ends."""
    return os.getpid() == process and not sys.is_finalizing()


class _BlockingQueue:
    """A `Publisher` whose calls block the thread that makes them: done in it where the queue can, else in the loop."""

    def __init__(self, queue: Queue, crossing: _Crossing) -> None:
        self.capabilities = queue.capabilities
        self._queue = queue
        self._crossing = crossing
        self._here = queue.publish_blocking if isinstance(queue, BlockingPublisher) else _not_here

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        answers = self._here(batch)
        return self._crossing.result(lambda: answer_of(self._queue.publish(batch))) if answers is None else answers


def _not_here(batch: Sequence[Envelope]) -> None:
    """This queue is worked on in its loop only."""


class _BlockingClock(SystemClock):
    """A clock whose sleep blocks the thread that asks for it, until the publisher is closed."""

    def __init__(self, crossing: _Crossing) -> None:
        self._crossing = crossing

    async def sleep(self, seconds: float) -> None:
        self._crossing.result(lambda: SystemClock.sleep(self, seconds))


class _OneAtATime:
    """Tells observers in whatever thread publishes, of one event at a time."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        self._lock = threading.RLock()  # an observer may publish

    def __call__(self, event: Event) -> None:
        with self._lock:
            tell(self._observers, event)


@contextmanager
def open_publisher_sync(
    url: str,
    *,
    translator: Translator | None = None,
    middleware: Sequence[PublishMiddleware] = (),
    observers: Sequence[Observer] = (),
    adapter: Adapter | None = None,
) -> Generator[SyncPublisher]:
    """`open_publisher` for synchronous code.

    One per process and queue is enough: keep it open as long as the application runs. Middleware, translator and
    observers are called in the thread that publishes: the first two in several threads at once, if several publish;
    observers one event at a time. The queue's own work is done in that thread too where the queue offers it
    (`BlockingPublisher`), else in an event loop in a thread in the background.
    """
    clock, jitter = SystemClock(), SystemJitter()
    background = _Background(open_queue(url, adapter=adapter, clock=clock, jitter=jitter))
    queue, crossing = background.open()
    encoder = Encoder(
        translator=translator or PulpoJson(),
        capabilities=queue.capabilities,
        clock=_BlockingClock(crossing),
        jitter=jitter,
        middleware=tuple(middleware),
    )
    told = [_OneAtATime(observers)] if observers else []
    publisher = MessagePublisher(_BlockingQueue(queue, crossing), encoder, url=url, observers=told)
    try:
        yield SyncPublisher(publisher, crossing)
    finally:
        crossing.close()
        background.close()


class _Background:
    """A thread whose event loop opens a queue, holds it, and closes it in the task that has opened it."""

    def __init__(self, context: AbstractAsyncContextManager[Queue]) -> None:
        self._context = context
        self._opened: Future[tuple[Queue, asyncio.AbstractEventLoop]] = Future()
        self._closed: Future[None] = Future()
        self._enough = asyncio.Event()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name="pulpo-publisher", daemon=True)

    def open(self) -> tuple[Queue, _Crossing]:
        """The queue, and the way to its loop.

        Raises:
            PulpoError: it cannot be opened.
        """
        try:
            self._thread.start()
            queue, loop = self._opened.result()
        except BaseException:
            self._opened.cancel()  # if a signal handler has raised: what is opened now is closed again
            raise
        return queue, _Crossing(loop, self._thread.ident)

    def close(self) -> None:
        """Close it, and end what somebody has left behind."""
        if not _goes_on(self._process):
            return  # nobody would ever answer
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
        async with self._context as queue:
            self._opened.set_result((queue, asyncio.get_running_loop()))
            await self._enough.wait()
