"""Workers that wait are woken one at a time, and none is forgotten."""

import asyncio

from pulpo_core.application.idlers import Idlers
from pulpo_core.testing import virtual_time


async def work(idlers: Idlers, name: str, order: list[str]) -> None:
    await idlers.wait()
    order.append(name)


@virtual_time
async def test_the_longest_waiting_is_woken_and_only_one_is_on_its_way_at_a_time():
    idlers, order = Idlers(), []

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(work(idlers, name, order))
        await asyncio.sleep(0)
        assert len(idlers.waiting) == 3
        idlers.wake_one()
        idlers.wake_one()
        await asyncio.sleep(0)
        assert order == ["a"]
        idlers.wake_one()
        await asyncio.sleep(0)
        assert order == ["a", "b"]
        idlers.wake_all()

    assert order == ["a", "b", "c"]


@virtual_time
async def test_workers_of_which_each_wakes_two_are_all_at_work_after_a_few_steps():
    idlers, at_work = Idlers(), 0

    async def wake_two() -> None:
        nonlocal at_work
        await idlers.wait()
        at_work += 1
        idlers.wake(2)

    async with asyncio.TaskGroup() as group:
        for _ in range(63):
            group.create_task(wake_two())
        await asyncio.sleep(0)
        idlers.wake_one()
        for _ in range(6):
            await asyncio.sleep(0)
        assert at_work == 63


@virtual_time
async def test_waking_nobody_is_fine():
    idlers = Idlers()
    idlers.wake_one()
    idlers.wake_all()

    assert not idlers.waiting


@virtual_time
async def test_who_is_cancelled_while_waiting_is_passed_over():
    idlers, order = Idlers(), []

    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(work(idlers, "a", order))
        group.create_task(work(idlers, "b", order))
        await asyncio.sleep(0)
        cancelled.cancel()
        idlers.wake_one()

    assert order == ["b"]


@virtual_time
async def test_who_is_cancelled_after_it_was_woken_does_not_block_the_next():
    idlers, order = Idlers(), []

    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(work(idlers, "a", order))
        group.create_task(work(idlers, "b", order))
        await asyncio.sleep(0)
        idlers.wake_one()
        cancelled.cancel()
        await asyncio.sleep(0)
        idlers.wake_one()

    assert order == ["b"]


@virtual_time
async def test_who_is_cancelled_and_gone_is_not_waiting_any_more():
    idlers = Idlers()

    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(idlers.wait())
        await asyncio.sleep(0)
        cancelled.cancel()

    assert not idlers.waiting


@virtual_time
async def test_waking_all_wakes_who_is_left_even_if_some_were_cancelled_a_moment_ago():
    idlers, order = Idlers(), []

    async with asyncio.TaskGroup() as group:
        cancelled = group.create_task(work(idlers, "a", order))
        group.create_task(work(idlers, "b", order))
        await asyncio.sleep(0)
        cancelled.cancel()
        idlers.wake_all()

    assert order == ["b"]
    assert not idlers.waiting
