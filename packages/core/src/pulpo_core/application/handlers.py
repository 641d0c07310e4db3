"""Which callable handles which request type: `Handlers`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.fields import seconds
from pulpo_core.domain.routing import RouteTable

from .binding import BoundHandler, bind

H = TypeVar("H")

#: Where a handler is to run, if not where its kind runs: coroutine functions in the loop, plain functions in a thread.
Place = Literal["process"] | None


class Handlers:
    """A registry of handlers, filled by decorators or by `add`; each is checked and bound at once.

    ::

        handlers = Handlers()


        @handlers("send_email", timeout=30)
        async def send_email(message): ...
    """

    def __init__(self) -> None:
        self._by_type: dict[str, BoundHandler] = {}
        self._default: BoundHandler | None = None

    def __call__(
        self, request_type: str, *, timeout: timedelta | float | None = None, runs_in: Place = None
    ) -> Callable[[H], H]:
        """Decorate the handler of *request_type*; see `add`."""
        _check_type(request_type)  # now: without brackets it is the handler, which would be gone for good

        def register(handler: H) -> H:
            self.add(request_type, handler, timeout=timeout, runs_in=runs_in)
            return handler

        return register

    def add(
        self,
        request_type: str,
        handler: Any,
        *,
        timeout: timedelta | float | None = None,
        runs_in: Place = None,
    ) -> None:
        """Let *handler* take the messages of *request_type*.

        Args:
            timeout: seconds or timedelta that one message may take; the route's limit otherwise.
            runs_in: ``"process"`` for a plain function that computes more than it waits: it runs in a process
                of a pool, which a timeout kills, and whose crash is a failure of this one message.

        Raises:
            HandlerError: it cannot be called as pulpo would.
            ConfigurationError: the type has a handler already.
        """
        _check_type(request_type)
        bound = bind(handler, timeout=_limit(timeout), in_process=_is_process(runs_in))
        if request_type in self._by_type:
            raise ConfigurationError(
                f"{request_type!r} is handled by {self._by_type[request_type].name} already; {bound.name} cannot"
            )
        self._by_type[request_type] = bound

    def default(self, handler: H, *, timeout: timedelta | float | None = None, runs_in: Place = None) -> H:
        """Let *handler* take whatever has no type, or a type without handler. Also a decorator."""
        bound = bind(handler, timeout=_limit(timeout), in_process=_is_process(runs_in))
        if self._default is not None:
            raise ConfigurationError(f"{self._default.name} is the default handler already; {bound.name} cannot be")
        self._default = bound
        return handler

    def table(self) -> RouteTable[BoundHandler]:
        """The handlers as they are registered now."""
        return RouteTable(dict(self._by_type), self._default)


def _check_type(request_type: object) -> None:
    if not isinstance(request_type, str) or not request_type:
        raise ConfigurationError(
            f"a request type is a text, not {request_type!r:.60}; use @handlers.default for the rest"
        )


def _is_process(runs_in: object) -> bool:
    if runs_in not in ("process", None):
        raise ConfigurationError(
            f"runs_in: expected 'process', not {runs_in!r:.40}; without it coroutine functions run in the loop,"
            " plain functions in a thread"
        )
    return runs_in == "process"


def _limit(timeout: timedelta | float | None) -> timedelta | None:
    return None if timeout is None else time_limit(timeout)


def time_limit(timeout: object) -> timedelta:
    """*timeout* as a time span.

    Raises:
        ConfigurationError: it is none, or so short that nothing could ever be handled.
    """
    limit = seconds(timeout, field="timeout")
    if not limit:
        raise ConfigurationError("timeout: expected more than 0; leave it out for no limit")
    return limit


def as_table(handlers: Any) -> RouteTable[BoundHandler]:
    """The table of a `Handlers`, or one whose default is the callable given."""
    return handlers.table() if isinstance(handlers, Handlers) else RouteTable({}, bind(handlers))
