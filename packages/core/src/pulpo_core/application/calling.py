"""Calls what users wrote where it runs: in the event loop, in a thread, or in a process."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import HandlerError, TranslationError
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import Abandoned, Cancelled
from pulpo_core.ports.handler import Middleware, Next

from .binding import BoundHandler, RunsIn, finish, is_async
from .held import Held
from .isolation import in_context
from .places import Places
from .threads import Job, Threads

if TYPE_CHECKING:
    from .processes import Processes

#: As plain names, since looking up a member of an enumeration costs as much as calling a function.
LOOP: Final = RunsIn.LOOP
THREAD: Final = RunsIn.THREAD
PROCESS: Final = RunsIn.PROCESS


class Unfit(Exception):
    """A body that does not fit the handler's parameter, on its way out through middleware."""


@attrs.define(slots=True, eq=False, kw_only=True)
class Calls:
    """Makes the calls of one route; any number at once.

    Whatever needs a thread or a process has a place among those of its pool first.

    Attributes:
        middleware: wraps every handler, the first outermost.
        thread_grace: how long a handler in a thread may go on after it should have ended.
        runner: the task whose cancellation is that of the whole route; any other one stays with its message.
    """

    middleware: Sequence[Middleware]
    threads: Threads
    processes: Processes | None
    thread_grace: timedelta
    runner: asyncio.Task[Any] | None = None
    _context: contextvars.Context = attrs.field(init=False, factory=contextvars.copy_context)

    @property
    def is_ending(self) -> bool:
        """Whether the whole route is cancelled."""
        return self.runner is not None and self.runner.cancelling() > 0

    def places_of(self, handler: BoundHandler) -> Places:
        """Where *handler*, which does not run in the loop, needs a place."""
        return self._pool().places if handler.runs_in is PROCESS else self.threads.places

    def of_handler(self, held: Held, handler: BoundHandler, message: Message) -> Awaitable[Any]:
        """Awaiting this calls *handler* within the middleware, in a context of the message's own.

        Raises:
            Unfit: the message's body does not fit; the cause says where. Also when it is awaited.
        """
        if self.middleware:
            work = self._within_middleware(held, handler, message)
        elif handler.runs_in is not LOOP or handler.make is not None:
            work = self._innermost(held, handler, message, held.delivery)
        else:
            work = _prepare(handler, message, held.delivery)()  # a coroutine function makes a coroutine
        context = held.context = self._context.copy()
        return in_context(work, context)

    async def of_error_handler(self, held: Held, handler: Any, call: Callable[[], Any]) -> Any:
        """What *handler* answers to *call*, which has as long for it as the handler of the message.

        It runs in the context of what has failed, so that it can say in which request that was.
        """
        held.stop_timer()
        in_loop = is_async(handler)
        if not in_loop:
            await self._have_thread(held)
        held.start_timer()
        try:
            work = call() if in_loop else self._in_thread(held, call)
            return await in_context(work, held.context or self._context.copy())
        finally:
            held.stop_timer()

    async def _have_thread(self, held: Held) -> None:
        """See to it that it has a place among the threads: one that its handler made no use of, or another."""
        if held.place is not self.threads.places:
            held.leave_place()
            await self.threads.places.take()
            held.place = self.threads.places

    async def _within_middleware(self, held: Held, handler: BoundHandler, message: Message) -> Any:
        begun: list[Coroutine[Any, Any, Any]] = []

        def innermost(message: Message, delivery: Delivery) -> Awaitable[Any]:
            begun.append(self._innermost(held, handler, message, delivery))
            return begun[-1]

        result = await finish(_chain(self.middleware, innermost)(message, held.delivery))
        _check_awaited(begun)
        return result

    async def _innermost(self, held: Held, handler: BoundHandler, message: Message, delivery: Delivery) -> Any:
        if handler.runs_in is PROCESS:
            return await self._in_process(held, handler, message, delivery)
        if handler.make is not None:
            handler = await handler.made()
        call = _prepare(handler, message, delivery)
        return await (self._in_thread(held, call) if handler.runs_in is THREAD else call())

    # ------------------------------------------------------------------------------------------- process and thread

    def _pool(self) -> Processes:
        if self.processes is None:
            raise AssertionError("whoever runs a handler in a process opens a pool")
        return self.processes

    async def _in_process(self, held: Held, handler: BoundHandler, message: Message, delivery: Delivery) -> Any:
        pool = self._pool()
        await _enter(held, pool.places)
        try:
            return await pool.call(handler, message, delivery)
        except TranslationError as error:
            raise Unfit from error
        finally:
            pool.places.leave()

    async def _in_thread(self, held: Held, call: Callable[[], Any]) -> Any:
        places = self.threads.places
        await _enter(held, places)
        try:
            job = self.threads.submit(call, contextvars.copy_context())
            result = await self._result_of(job, held)
        finally:
            places.leave()
        return await finish(result)

    async def _result_of(self, job: Job, held: Held) -> Any:
        try:
            return await job.future
        except asyncio.CancelledError:
            if job.withdraw() or self.is_ending:
                raise
            return await self._last_chance(held, job.still_to_come())

    async def _last_chance(self, held: Held, future: asyncio.Future[Any]) -> Any:
        """Wait for a thread that should have ended; what it still returns or raises in time counts."""
        grace = 0.0 if isinstance(held.cause, Cancelled) else self.thread_grace.total_seconds()
        with contextlib.suppress(asyncio.CancelledError):  # interrupted once more: the time for waiting is over
            await asyncio.wait([future], timeout=grace)
        if future.done():
            held.cause = None
            return future.result()
        self.threads.abandon()
        held.cause = Abandoned(timedelta(seconds=grace))
        raise asyncio.CancelledError


async def _enter(held: Held, places: Places) -> None:
    """Make use of the place that it has among *places*, or else wait for another."""
    if held.place is places:
        held.place = None
    else:
        await places.take()


def _prepare(handler: BoundHandler, message: Message, delivery: Delivery) -> Callable[[], Any]:
    try:
        return handler.prepare(message, delivery)
    except TranslationError as error:
        raise Unfit from error


def _check_awaited(begun: Sequence[Coroutine[Any, Any, Any]]) -> None:
    """Middleware that only forgets a word would have every message acknowledged and none handled."""
    forgotten = [each for each in begun if inspect.getcoroutinestate(each) == inspect.CORO_CREATED]
    for each in forgotten:
        each.close()
    if forgotten:
        raise HandlerError("middleware has called the handler without waiting for it: write await call_next(…)")


def _chain(middleware: Sequence[Middleware], innermost: Next) -> Any:
    call = innermost
    for wrap in reversed(middleware):
        call = _wrapped(wrap, call)
    return call


def _wrapped(wrap: Middleware, call_next: Next) -> Next:
    return lambda message, delivery: wrap(message, delivery, call_next)
