"""What a queue answers, whatever happens inside its driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from pulpo_core.domain.errors import Unavailable

T = TypeVar("T")


async def answer_of(call: Awaitable[T]) -> T:
    """What *call* gives, in the task that asks.

    Drivers have tasks of their own, and when one of them is cancelled that arrives here as if we
    were to end. A task that took it so would end without a word, with all that it holds.

    Raises:
        Unavailable: it was cancelled, and not by whoever cancels this task; in doubt.
    """
    try:
        return await call
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable("the queue's driver was cancelled from inside", in_doubt=True) from error
