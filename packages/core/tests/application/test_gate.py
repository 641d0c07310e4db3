"""The limit of handlers for the whole process."""

import asyncio
import math

import pytest

from pulpo_core.application.gate import Entry, Gate
from pulpo_core.testing import virtual_time


async def visit(gate: Entry, name: str, order: list[str], seconds: float = 1) -> None:
    async with gate:
        order.append(name)
        await asyncio.sleep(seconds)


@virtual_time
async def test_without_a_limit_everybody_is_let_in():
    gate, order = Gate(None).entry(), []
    gate.when_free = lambda: pytest.fail("nobody waits")

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(visit(gate, name, order))
        await asyncio.sleep(0)
        assert order == ["a", "b", "c"]

    assert gate.unlimited
    assert gate.room == math.inf


@virtual_time
async def test_so_many_are_let_in_and_the_others_in_the_order_they_came():
    gate, order, freed = Gate(2).entry(), [], []
    gate.when_free = lambda: freed.append(gate.room)

    async with asyncio.TaskGroup() as group:
        for name in "abcde":
            group.create_task(visit(gate, name, order))
        await asyncio.sleep(0.5)
        assert order == ["a", "b"]
        assert gate.room == -3, "those who wait are counted, so that no more come"

    assert order == ["a", "b", "c", "d", "e"]
    assert gate.room == 2
    assert len(freed) == 5


@pytest.mark.parametrize("moment", ["while it waits", "just when it is let in"])
@virtual_time
async def test_who_is_cancelled_while_waiting_takes_no_place(moment):
    gate, order = Gate(1).entry(), []

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
    assert gate.room == 1


@virtual_time
async def test_the_last_one_to_be_cancelled_just_when_it_is_let_in_gives_its_place_back():
    gate = Gate(1).entry()
    await gate.__aenter__()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(gate.__aenter__())
        await asyncio.sleep(0)
        await gate.__aexit__()
        waiting.cancel()

    assert gate.room == 1


@virtual_time
async def test_a_place_is_given_back_by_who_fails():
    gate = Gate(1).entry()

    with pytest.raises(ValueError, match="failed"):
        async with gate:
            raise ValueError("failed")

    assert gate.room == 1


def in_turn(gate: Gate, entries: dict[str, Entry]) -> str:
    """Who of all that always wait is let in, one after another."""
    order = []

    async def keep_visiting(name: str) -> None:
        for _ in range(60):
            async with entries[name]:
                order.append(name)
                await asyncio.sleep(1)

    @virtual_time
    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(keep_visiting(name)) for name in entries for _ in range(4)]
            await asyncio.sleep(20.5)
            for task in tasks:
                task.cancel()

    run()
    return "".join(order)


def test_places_are_shared_by_weight_while_all_want_them():
    gate = Gate(4)

    order = in_turn(gate, {"a": gate.entry(3), "b": gate.entry(1)})

    assert order.count("a") == pytest.approx(3 * order.count("b"), rel=0.1)


def test_without_weights_places_go_to_who_waits_longest():
    gate = Gate(1)

    order = in_turn(gate, {"a": gate.entry(), "b": gate.entry()})

    assert order.startswith("aaaabbbbaaaabbbb")


@virtual_time
async def test_an_entry_with_a_weight_has_room_in_front_of_a_full_gate_so_that_it_is_there_when_its_turn_comes():
    gate = Gate(1)
    weighted, plain = gate.entry(2), gate.entry()

    async with plain:
        assert (weighted.room, plain.room) == (2, 0)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(weighted.__aenter__())
            await asyncio.sleep(0)
            assert (weighted.room, plain.room) == (1, -1)
            waiting.cancel()

    assert (weighted.room, plain.room) == (2, 1)


@virtual_time
async def test_those_who_are_to_hurry_are_let_in_over_the_limit_and_their_places_go_to_nobody_else():
    gate = Gate(1)
    stopped, other = gate.entry(), gate.entry()
    order: list[str] = []

    async with asyncio.TaskGroup() as group:
        group.create_task(visit(other, "first", order, seconds=10))
        await asyncio.sleep(0)
        group.create_task(visit(stopped, "hurries", order, seconds=0))
        group.create_task(visit(other, "second", order))
        await asyncio.sleep(1)
        assert order == ["first"]
        stopped.hurry()
        await asyncio.sleep(1)
        assert order == ["first", "hurries"]
        assert (gate.taken, gate.free) == (1, -1)

    assert order == ["first", "hurries", "second"]
    assert gate.free == 1
