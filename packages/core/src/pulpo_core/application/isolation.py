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
from typing import Any, cast


def in_context(work: Coroutine[Any, Any, Any], context: contextvars.Context) -> Awaitable[Any]:
    """Awaiting this runs *work*, every step of it inside *context*."""
    return cast("Awaitable[Any]", _steps(work, context.run))  # the decorator makes generators awaitable


@awaitable_generator
def _steps(work: Coroutine[Any, Any, Any], run: Any) -> Generator[Any, Any, Any]:
    step: Any = work.send
    argument: Any = None
    while True:
        try:
            yielded = run(step, argument)
        except StopIteration as stop:
            return stop.value
        try:
            argument = yield yielded
            step = work.send
        except GeneratorExit:
            run(work.close)
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to the handler, cancellation above all
            argument = error
            step = work.throw
