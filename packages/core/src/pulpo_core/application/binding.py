"""A user's callable, bound once: what it is, where it runs, and how it is called.

All looking at it happens at registration; for a message only the bound getters run.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

import attrs

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message

from .arguments import Arguments, Getter
from .making import PerMessage
from .signatures import function_of, signature_of


class RunsIn(StrEnum):
    """Where a handler runs."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"


@attrs.frozen(kw_only=True, slots=True, eq=False)
class BoundHandler:
    """A handler ready to be called.

    Attributes:
        name: ``module:qualified name``, for people.
        runs_in: the event loop, a thread, or a process.
        parameters: what each parameter gets, for people.
        timeout: its own limit; `None` leaves it to the route.
        make: makes what is called, for each message; `None` when it is there already.
    """

    name: str
    target: Callable[..., Any] = attrs.field(repr=False)
    runs_in: RunsIn
    positional: tuple[Getter, ...] = attrs.field(repr=False)
    keywords: tuple[tuple[str, Getter], ...] = attrs.field(default=(), repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    timeout: timedelta | None = None
    stop: Callable[[], Any] | None = attrs.field(default=None, repr=False)
    make: Callable[[], Any] | None = attrs.field(default=None, repr=False)

    async def made(self) -> BoundHandler:
        """The same with what it has made for one message."""
        if self.make is None:
            return self
        return attrs.evolve(self, target=_target(await finish(self.make())), make=None)

    def prepare(self, message: Message, delivery: Delivery) -> Callable[[], Any]:
        """The call for this message, with its arguments made.

        Raises:
            TranslationError: the body does not fit a parameter; the text names the field.
        """
        if len(self.positional) == 1 and not self.keywords:  # by far the most usual form
            return functools.partial(self.target, self.positional[0](message, delivery))
        args = [getter(message, delivery) for getter in self.positional]
        return functools.partial(self.target, *args, **{name: get(message, delivery) for name, get in self.keywords})


def bind(handler: Any, *, timeout: timedelta | None = None, in_process: bool = False) -> BoundHandler:
    """Look at *handler* and bind it.

    A coroutine function runs in the loop, a plain function in a thread, an object with ``handle``
    by that method; whatever awaitable a call returns is awaited.

    Args:
        in_process: a plain function, at the top of its module, that runs in a process instead.

    Raises:
        HandlerError: it is a class, cannot be called, or has a parameter that nothing can be given to.
    """
    make = handler.make if isinstance(handler, PerMessage) else None
    target = handler.pattern() if isinstance(handler, PerMessage) else _target(handler)
    name = _name_of(handler.like if isinstance(handler, PerMessage) else handler)
    _refuse_generators(target, name)
    if in_process:
        _refuse_in_process(handler, name)
    arguments = Arguments(name, signature_of(target, name))
    return BoundHandler(
        name=name,
        target=target,
        runs_in=RunsIn.PROCESS if in_process else RunsIn.LOOP if is_async(target) else RunsIn.THREAD,
        positional=tuple(arguments.positional),
        keywords=tuple(arguments.keywords),
        parameters=arguments.meanings,
        timeout=timeout,
        stop=getattr(handler, "stop", None) if target is not handler and make is None else None,
        make=make,
    )


def _target(handler: Any) -> Callable[..., Any]:
    if inspect.isclass(handler):
        raise HandlerError(f"{_name_of(handler)} is a class; register an instance of it, or a function")
    if callable(handler):
        return typing.cast("Callable[..., Any]", handler)
    method = getattr(handler, "handle", None)
    if callable(method):
        return typing.cast("Callable[..., Any]", method)
    raise HandlerError(f"{_name_of(handler)} cannot be called and has no method 'handle'")


def _refuse_generators(target: Any, name: str) -> None:
    """A generator would be made and never run, and its message acknowledged: refuse it."""
    function = function_of(target)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{name} is a generator: remove its 'yield'; return a list of messages for follow-ups")


def _refuse_in_process(handler: Any, name: str) -> None:
    """A process finds its handler by its name, and calls it without an event loop."""
    if not inspect.isfunction(handler):
        raise HandlerError(f"{name} cannot run in a process: only a function can, not {_article(type(handler))}")
    if is_async(handler):
        raise HandlerError(f"{name} cannot run in a process: it is a coroutine function, which needs the event loop")
    if "<" in name:
        what = "a lambda" if "<lambda>" in name else "defined inside another function"
        raise HandlerError(f"{name} cannot run in a process: it is {what}; define it at the top of its module")


def _article(cls: type) -> str:
    return f"an {cls.__name__}" if cls.__name__[0] in "aeiouAEIOU" else f"a {cls.__name__}"


def _name_of(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"


def is_async(target: Any) -> bool:
    """Whether calling *target* makes a coroutine: a function, a method, an object with ``__call__``, or a partial."""
    while isinstance(target, functools.partial):
        target = target.func
    call = getattr(target, "__call__", None)  # noqa: B004 - asked of the method, since callables may be objects
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


async def finish(result: Any) -> Any:
    """*result*, awaited for as long as it can be: a plain function may return a coroutine, and that one another."""
    while inspect.isawaitable(result):
        result = await result
    return result
