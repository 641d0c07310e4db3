"""A handler object of its own for each message: `PerMessage`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import attrs

from pulpo_core.domain.errors import HandlerError


@attrs.frozen
class PerMessage:
    """A handler that is made anew for each message, and can so have a state of its own.

    It is made in the event loop, inside the route's middleware and in the context of its message; what
    it needs may be awaited. Its failure to be made is a failure of the message.

    Attributes:
        like: the class of what is made, or a function like it: says which arguments are wanted.
        make: makes it, or an awaitable of it; *like* itself unless given.
    """

    like: Any
    make: Callable[[], Any] = attrs.field(default=attrs.Factory(lambda self: self.like, takes_self=True))

    def pattern(self) -> Callable[..., Any]:
        """What has the arguments of the handler, without one being made.

        Raises:
            HandlerError: what would be made cannot be called.
        """
        if not inspect.isclass(self.like):
            return _callable(self.like, self.like)
        method = self.like.__call__ if _is_called(self.like) else getattr(self.like, "handle", None)
        return functools.partial(_callable(method, self.like), None)  # in the place of self


def _is_called(cls: type) -> bool:
    """Whether instances can be called; classes themselves always can."""
    return any("__call__" in each.__dict__ for each in cls.__mro__)


def _callable(value: Any, like: Any) -> Callable[..., Any]:
    if not callable(value):
        name = getattr(like, "__qualname__", type(like).__qualname__)
        raise HandlerError(f"{name}: what it makes cannot be called and has no method 'handle'")
    found: Callable[..., Any] = value
    return found
