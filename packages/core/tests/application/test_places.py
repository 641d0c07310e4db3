"""The places of a pool, and the line in front of it."""

import asyncio

from pulpo_core.application.places import Places
from pulpo_core.testing import virtual_time


async def settle() -> None:
    """Let everything happen that is due."""
    for _ in range(5):
        await asyncio.sleep(0)


@virtual_time
async def test_as_many_as_there_are_places_get_one_and_the_others_in_the_order_in_which_they_came():
    places, inside = Places(2), []

    async def come(name):
        await places.take()
        inside.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(come(name))
        await settle()
        assert inside == ["a", "b"]
        places.leave()
        await settle()
        assert inside == ["a", "b", "c"]
        places.leave()

    assert inside == ["a", "b", "c", "d"]


@virtual_time
async def test_who_is_cancelled_in_line_has_no_place_and_holds_up_nobody():
    places = Places(1)
    assert places.take_at_once()
    async with asyncio.TaskGroup() as group:
        impatient = group.create_task(places.take())
        patient = group.create_task(places.take())
        await settle()
        impatient.cancel()
        places.leave()
        await settle()
        assert patient.done()

    places.leave()
    assert places.take_at_once()


@virtual_time
async def test_who_is_cancelled_at_the_moment_of_its_turn_passes_it_on():
    places = Places(1)
    assert places.take_at_once()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(places.take())
        second = group.create_task(places.take())
        await settle()
        places.leave()
        first.cancel()
        await settle()
        assert first.cancelled()
        assert second.done()

    assert not places.take_at_once()


@virtual_time
async def test_a_place_that_is_kept_is_never_free_again():
    places = Places(1)
    assert places.take_at_once()
    places.keep()
    places.leave()

    assert not places.take_at_once()
