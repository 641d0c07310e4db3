"""A handler's own context variables, without a task of its own.

A task for each message would isolate them too, and costs more than everything else pulpo does for
it. So the slot's task steps the handler's coroutine inside a context of the message's own: what a
handler sets there is gone with it, and the next message starts from what the dispatcher was
started with.
"""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Generator
from typing import Any


class InContext:
    """Awaiting this runs *coroutine*, every step of it inside *context*."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        self._coroutine = coroutine
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        run, coroutine = self._context.run, self._coroutine
        step: Any = coroutine.send
        argument: Any = None
        while True:
            try:
                yielded = run(step, argument)
            except StopIteration as stop:
                return stop.value
            try:
                argument = yield yielded
                step = coroutine.send
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:  # noqa: BLE001 - it belongs to the handler, cancellation above all
                argument = error
                step = coroutine.throw
