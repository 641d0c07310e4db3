"""A bench and its holders for a walk, whose steps are synchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from pulpo_core.ports.adapter import Queue

from .bench import Bench
from .harness import LIFETIME, Harness
from .trial import fresh_bench
from .virtual_loop import VirtualLoop

T = TypeVar("T")


class Stage:
    """One bench, kept open between the steps of a synchronous walk by a task that lives in its context."""

    def __init__(self, harness: Harness) -> None:
        self._loop = VirtualLoop(time_limit=LIFETIME) if harness.time == "virtual" else asyncio.new_event_loop()
        self._jobs: asyncio.Queue[tuple[Coroutine[Any, Any, Any], asyncio.Future[Any]] | None] = asyncio.Queue()
        opened: asyncio.Future[Bench] = self._loop.create_future()
        self._task = self._loop.create_task(self._live(harness, opened))
        self.bench: Bench = self._result(opened)

    async def _live(self, harness: Harness, opened: asyncio.Future[Bench]) -> None:
        async with fresh_bench(harness) as bench:
            opened.set_result(bench)
            while (job := await self._jobs.get()) is not None:
                operation, answer = job
                try:
                    answer.set_result(await operation)
                except Exception as error:  # noqa: BLE001 - raised where the answer is awaited
                    answer.set_exception(error)

    def do(self, operation: Coroutine[Any, Any, T]) -> T:
        """Run *operation* to its end."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put_nowait((operation, answer))
        return self._result(answer)

    def _result(self, answer: asyncio.Future[T]) -> T:
        """What *answer* brings; the error of the stage itself if that ends before."""
        futures: set[asyncio.Future[Any]] = {answer, self._task}
        self._loop.run_until_complete(asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED))
        if not answer.done():
            self._task.result()
        return answer.result()

    def close(self) -> None:
        """Leave the bench and the loop."""
        self._jobs.put_nowait(None)
        self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class Holder:
    """Somebody who has the queue open, and sometimes closes and opens it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._context: AbstractAsyncContextManager[Queue] | None = None
        self.queue: Queue = bench.queue
        self.stay = 0

    async def reopen(self) -> None:
        """Close, if it was open, and open anew."""
        await self.close()
        self._context = self._bench.opened(self._bench.url)
        self.queue = await self._context.__aenter__()
        self.stay += 1

    async def close(self) -> None:
        """Close; what is in hand is left to its lease."""
        if self._context is not None:
            await self._context.__aexit__(None, None, None)
            self._context = None
