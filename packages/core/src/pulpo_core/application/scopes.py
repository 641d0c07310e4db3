"""Something that is opened for each message and closed with it, such as a database session: `Scope`."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Generic, TypeVar

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import PulpoError
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import Asked, Handled
from pulpo_core.domain.settlement import Ack
from pulpo_core.ports.handler import Next

from .binding import finish
from .results import outcome_of_result

T = TypeVar("T")

Context = AbstractAsyncContextManager[T] | AbstractContextManager[T]


class Scope(Generic[T]):
    """Middleware that opens a context for each message, and closes it before the message is settled.

    ::

        sessions = Scope(open_session)  # a function whose context managers commit, or roll back after an exception


        @handlers("place_order")
        async def place_order(order: Order):
            sessions.current().add(order)


        route = Route(url, handlers, middleware=[sessions])

    The context sees an exception whenever the message is not acknowledged as done: the handler's own,
    its cancellation by a timeout, and one that stands for a `Retry`, a `Bury` or `False` that the
    handler returned. A context that fails to close is a failure of the message; one that keeps the
    exception to itself changes nothing about what becomes of the message.

    A synchronous context manager is entered and left in a thread, and not always in the same one.

    Args:
        open: makes the context of one message, or an awaitable of it; it is not entered yet.
        falsy_retries: as for the route.
    """

    def __init__(self, open: Callable[[], Context[T] | Awaitable[Context[T]]], *, falsy_retries: bool = False) -> None:  # noqa: A002 - what it does
        self._open = open
        self._falsy_retries = falsy_retries
        self._current: contextvars.ContextVar[T] = contextvars.ContextVar(f"pulpo scope {id(self):x}")

    def current(self) -> T:
        """What was opened for the message that is handled here; also in the thread of a plain function.

        Raises:
            PulpoError: no message is handled here, or its route does not have this scope as middleware.
        """
        try:
            return self._current.get()
        except LookupError:
            name = getattr(self._open, "__qualname__", repr(self._open))
            raise PulpoError(f"nothing is open of the scope {name}: is it among the route's middleware?") from None

    async def __call__(self, message: Message, delivery: Delivery, call_next: Next) -> Any:
        """Handle one message with a context of its own."""
        handled = _Handled()
        with contextlib.suppress(_NotDone):
            async with AsyncExitStack() as stack:
                context = _asynchronous(await finish(self._open()))
                token = self._current.set(await stack.enter_async_context(context))
                stack.callback(self._current.reset, token)
                await handled.by(call_next(message, delivery), self._is_done)
        return handled.told()

    def _is_done(self, result: Any) -> bool:
        outcome = outcome_of_result(result, falsy_retries=self._falsy_retries)
        return isinstance(outcome, Handled) or (isinstance(outcome, Asked) and isinstance(outcome.settlement, Ack))


class _NotDone(Exception):
    """Stands for a result that says that the message is not done."""


class _Handled:
    """What came of a message inside of its context, which may keep an exception to itself and does not decide."""

    def __init__(self) -> None:
        self._result: Any = None
        self._error: BaseException | None = None

    async def by(self, work: Awaitable[Any], is_done: Callable[[Any], bool]) -> None:
        """Take note of what *work* returns or raises, and let the context see it."""
        try:
            self._result = await work
        except BaseException as error:
            self._error = error
            raise
        if not is_done(self._result):
            raise _NotDone("the handler returned that the message is not done")

    def told(self) -> Any:
        """What *work* has returned, or raised."""
        if self._error is not None:
            raise self._error
        return self._result


def _asynchronous(context: Context[T]) -> AbstractAsyncContextManager[T]:
    return context if isinstance(context, AbstractAsyncContextManager) else _InThread(context)


class _InThread(AbstractAsyncContextManager[T]):
    """A synchronous context manager, which may block, without blocking the event loop."""

    def __init__(self, context: AbstractContextManager[T]) -> None:
        self._context = context

    async def __aenter__(self) -> T:
        entering = asyncio.get_running_loop().run_in_executor(None, self._context.__enter__)
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError as error:
            try:
                await asyncio.wait([entering])  # what has been opened is closed
            except BaseException:  # cancelled once more: nobody waits for it now, and it is closed all the same
                entering.add_done_callback(self._close_late)
                raise
            if entering.exception() is None:
                await self.__aexit__(type(error), error, error.__traceback__)
            raise

    def _close_late(self, entering: asyncio.Future[T]) -> None:
        if not entering.cancelled() and entering.exception() is None:
            error = asyncio.CancelledError()
            entering.get_loop().run_in_executor(None, self._context.__exit__, type(error), error, None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        leaving = asyncio.get_running_loop().run_in_executor(None, self._context.__exit__, kind, error, traceback)
        try:
            return await asyncio.shield(leaving)
        except asyncio.CancelledError:
            await asyncio.wait([leaving])  # a commit is not left half done
            raise
