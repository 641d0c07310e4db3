"""A handler's own context variables, without a task of its own."""

import asyncio
import contextvars

import pytest

from pulpo_core.application.isolation import in_context
from pulpo_core.testing import virtual_time

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")


@virtual_time
async def test_every_step_runs_inside_the_context_and_nothing_of_it_leaks():
    seen = []

    async def work():
        for step in range(3):
            seen.append(VARIABLE.get())
            VARIABLE.set(f"step {step}")
            await asyncio.sleep(step)
        return "result"

    assert await in_context(work(), contextvars.copy_context()) == "result"
    assert seen == ["nothing", "step 0", "step 1"]
    assert VARIABLE.get() == "nothing"


@virtual_time
async def test_work_that_never_suspends_is_fine():
    async def work():
        return 5

    assert await in_context(work(), contextvars.copy_context()) == 5


@virtual_time
async def test_what_the_work_raises_comes_out():
    async def work():
        await asyncio.sleep(1)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await in_context(work(), contextvars.copy_context())


@virtual_time
async def test_what_it_awaits_may_fail_and_it_may_go_on():
    async def fails():
        raise KeyError

    async def work():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(1))
            try:
                await fails()
            except KeyError:
                VARIABLE.set("caught")
            await task
        return VARIABLE.get()

    assert await in_context(work(), contextvars.copy_context()) == "caught"


@virtual_time
async def test_a_cancellation_reaches_the_work_inside_its_context_and_may_be_swallowed():
    seen = []

    async def work():
        VARIABLE.set("inside")
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append(VARIABLE.get())
        await asyncio.sleep(1)
        return "went on"

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_awaited(in_context(work(), contextvars.copy_context())))
        await asyncio.sleep(1)
        task.cancel()

    assert seen == ["inside"]
    assert task.result() == "went on"


async def _awaited(awaitable):
    return await awaitable


@virtual_time
async def test_timeouts_inside_the_work_are_its_own():
    async def work():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        return asyncio.current_task().cancelling()

    assert await in_context(work(), contextvars.copy_context()) == 0


def test_work_that_is_closed_half_way_is_closed_inside_its_context():
    closed = []

    async def work():
        VARIABLE.set("inside")
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(VARIABLE.get())

    coroutine = _awaited(in_context(work(), contextvars.copy_context()))
    coroutine.send(None)
    coroutine.close()

    assert closed == ["inside"]
