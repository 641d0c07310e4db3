"""A handler's own context variables, without a task of its own.

A task for each message would isolate them too, and costs more than everything else pulpo does for
it. So the slot's task steps the handler's coroutine inside a context of the message's own: what a
handler sets there is gone with it, and the next message starts from what the dispatcher was
started with.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine as awaitable_generator
from typing import Any, Final, cast

#: Set in the context of work that is to be left where it stands, the next time that it is interrupted.
_LEFT: Final[contextvars.ContextVar[bool]] = contextvars.ContextVar("pulpo_left", default=False)

#: Work that refused to be closed, too. It is kept, since letting go of it would ask it once more.
_STUBBORN: Final[list[Coroutine[Any, Any, Any]]] = []


def in_context(work: Coroutine[Any, Any, Any], context: contextvars.Context) -> Awaitable[Any]:
    """Awaiting this runs *work*, every step of it inside *context*."""
    return cast("Awaitable[Any]", _steps(work, context))  # the decorator makes generators awaitable


def leave(context: contextvars.Context) -> None:
    """Let work in *context* end with its next cancellation, whatever it does about that: it is not stepped any more.

    To be called while it waits for something.
    """
    context.run(_LEFT.set, True)


@awaitable_generator
def _steps(work: Coroutine[Any, Any, Any], context: contextvars.Context) -> Generator[Any, Any, Any]:
    run: Any = context.run
    step: Any = work.send
    argument: Any = None
    while True:
        try:
            yielded = run(step, argument)
        except StopIteration as stop:
            return stop.value
        except GeneratorExit as error:  # the handler's own; what the interpreter sends arrives below
            raise RuntimeError("the handler raised GeneratorExit") from error
        try:
            argument = yield yielded
            step = work.send
        except GeneratorExit:
            run(work.close)
            raise
        except BaseException as error:
            if context.get(_LEFT):
                _close(work, run)
                raise
            argument = error  # it belongs to the handler, cancellation above all
            step = work.throw


def _close(work: Coroutine[Any, Any, Any], run: Any) -> None:
    try:
        run(work.close)
    except BaseException:  # noqa: BLE001 - a handler that ignores even this, or fails while it cleans up
        _STUBBORN.append(work)
