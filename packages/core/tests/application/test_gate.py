"""The limit of handlers for the whole process."""

import asyncio
import math

import pytest

from pulpo_core.application.gate import Gate
from pulpo_core.testing import virtual_time


async def visit(gate: Gate, name: str, order: list[str], seconds: float = 1) -> None:
    async with gate:
        order.append(name)
        await asyncio.sleep(seconds)


@virtual_time
async def test_without_a_limit_everybody_is_let_in():
    gate, order = Gate(None), []
    gate.when_free(lambda: pytest.fail("nobody waits"))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(visit(gate, name, order))
        await asyncio.sleep(0)
        assert order == ["a", "b", "c"]

    assert gate.unlimited
    assert gate.free == math.inf


@virtual_time
async def test_so_many_are_let_in_and_the_others_in_the_order_they_came():
    gate, order, freed = Gate(2), [], []
    gate.when_free(lambda: freed.append(gate.free))

    async with asyncio.TaskGroup() as group:
        for name in "abcde":
            group.create_task(visit(gate, name, order))
        await asyncio.sleep(0.5)
        assert order == ["a", "b"]
        assert gate.free == -3, "those who wait are counted, so that no more come"

    assert order == ["a", "b", "c", "d", "e"]
    assert gate.free == 2
    assert len(freed) == 5


@pytest.mark.parametrize("moment", ["while it waits", "just when it is let in"])
@virtual_time
async def test_who_is_cancelled_while_waiting_takes_no_place(moment):
    gate, order = Gate(1), []

    async with asyncio.TaskGroup() as group:
        group.create_task(visit(gate, "a", order))
        await asyncio.sleep(0)
        cancelled = group.create_task(visit(gate, "b", order))
        group.create_task(visit(gate, "c", order))
        await asyncio.sleep(0.5)
        if moment == "while it waits":
            cancelled.cancel()
        else:
            asyncio.get_running_loop().call_at(asyncio.get_running_loop().time() + 0.5, cancelled.cancel)

    assert order == ["a", "c"]
    assert gate.free == 1


@virtual_time
async def test_the_last_one_to_be_cancelled_just_when_it_is_let_in_gives_its_place_back():
    gate = Gate(1)
    await gate.__aenter__()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(gate.__aenter__())
        await asyncio.sleep(0)
        await gate.__aexit__()
        waiting.cancel()

    assert gate.free == 1


@virtual_time
async def test_a_place_is_given_back_by_who_fails():
    gate = Gate(1)

    with pytest.raises(ValueError, match="failed"):
        async with gate:
            raise ValueError("failed")

    assert gate.free == 1
