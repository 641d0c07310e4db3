"""The tasks that a clause starts beside itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")

#: An operation under way. Its error is a value, because a task group would end for an error that is raised.
Begun = asyncio.Task[tuple[T | None, Exception | None]]


async def tried(operation: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    """The result of *operation* or its error, as values."""
    try:
        return await operation, None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised again where the result is asked for
        return None, error


def result_of(begun: Begun[T]) -> T:
    """The result of *begun*, which is done; raises its error."""
    result, error = begun.result()
    if error is not None:
        raise error
    return cast("T", result)  # without an error there is a result, which may be None itself


@attrs.define(eq=False)
class Background:
    """The tasks of one clause; see `background`."""

    _group: asyncio.TaskGroup
    _tasks: list[asyncio.Task[Any]] = attrs.field(factory=list)

    def begin(self, operation: Coroutine[Any, Any, T]) -> Begun[T]:
        """Start *operation*."""
        task = self._group.create_task(tried(operation))
        self._tasks.append(task)
        return task

    def cancel(self) -> None:
        """Cancel whatever still runs."""
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def background() -> AsyncIterator[Background]:
    """No task outlives the context, and an error of the clause itself is not wrapped in a group."""
    failure = None
    async with asyncio.TaskGroup() as group:
        tasks = Background(group)
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001 - raised again as soon as the group has ended
            failure = error
        tasks.cancel()
    if failure is not None:
        raise failure
