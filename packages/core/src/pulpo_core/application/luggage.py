"""What goes along when a handler runs in a process, where no context variable of its message reaches it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Final

#: The outermost first.
Luggage = tuple[AbstractContextManager[object], ...]

_PACKED: Final[ContextVar[Luggage]] = ContextVar("pulpo_luggage", default=())


def take_along(context: AbstractContextManager[object]) -> None:
    """For middleware: let *context*, which is pickled, be open around the handler of this message in its process.

    Where the handler runs in no process, nothing is done with it.
    """
    _PACKED.set((*_PACKED.get(), context))


def packed() -> Luggage:
    """What goes along with the message that is handled here."""
    return _PACKED.get()
