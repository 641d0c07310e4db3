"""Something that is opened for each message and closed with it, such as a database session: `Scope`."""

from __future__ import annotations

import asyncio
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
    handler returned. A context that fails to close is a failure of the message.

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
        try:
            async with AsyncExitStack() as stack:
                context = _asynchronous(await finish(self._open()))
                token = self._current.set(await stack.enter_async_context(context))
                stack.callback(self._current.reset, token)
                result = await call_next(message, delivery)
                if not self._is_done(result):
                    raise _NotDone(result)
                return result
        except _NotDone as not_done:
            return not_done.result

    def _is_done(self, result: Any) -> bool:
        outcome = outcome_of_result(result, falsy_retries=self._falsy_retries)
        return isinstance(outcome, Handled) or (isinstance(outcome, Asked) and isinstance(outcome.settlement, Ack))


class _NotDone(Exception):
    """Stands for a result that says that the message is not done."""

    def __init__(self, result: Any) -> None:
        super().__init__("the handler returned that the message is not done")
        self.result = result


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
            await asyncio.wait([entering])  # what has been opened is closed
            if entering.exception() is None:
                await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        leaving = asyncio.get_running_loop().run_in_executor(None, self._context.__exit__, kind, error, traceback)
        try:
            return await asyncio.shield(leaving)
        except asyncio.CancelledError:
            await asyncio.wait([leaving])  # a commit is not left half done
            raise
