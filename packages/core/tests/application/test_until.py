"""When a run ends by itself, and how a limit is shared."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import ConfigurationError, Until
from pulpo_core.application.until import Quota
from pulpo_core.testing import virtual_time


def test_without_anything_said_it_never_ends_and_waits_at_the_queue():
    assert Until() == Until(once=False, burst=False, max_messages=None, max_empty_polls=None)
    assert not Until().polls
    assert not Until(max_messages=5).polls


@pytest.mark.parametrize("until", [Until(once=True), Until(burst=True), Until(max_empty_polls=3)])
def test_where_an_empty_queue_matters_it_is_asked_without_waiting(until):
    assert until.polls


@pytest.mark.parametrize("field", ["max_messages", "max_empty_polls"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3"])
def test_counts_are_whole_numbers_from_1(field, value):
    with pytest.raises(ConfigurationError, match=f"{field}: expected a whole number from 1"):
        Until(**{field: value})


def test_the_pause_is_a_time_span():
    assert Until(poll_interval=0.5).poll_interval == timedelta(seconds=0.5)
    with pytest.raises(ConfigurationError, match="poll_interval: expected a time span"):
        Until(poll_interval="5s")


@virtual_time
async def test_without_a_limit_every_claim_is_met():
    quota = Quota()

    assert [await quota.claim(10) for _ in range(3)] == [10, 10, 10]
    quota.used(10, of=10)
    assert quota.patience(timedelta(seconds=20)) == timedelta(seconds=20)


@virtual_time
async def test_no_more_is_claimed_than_is_left_and_what_was_not_used_goes_back():
    quota = Quota(10)

    assert await quota.claim(7) == 7
    assert await quota.claim(7) == 3
    quota.used(2, of=7)
    quota.used(3, of=3)
    assert await quota.claim(100) == 5
    quota.used(5, of=5)
    assert await quota.claim(1) == 0


@virtual_time
async def test_who_finds_everything_claimed_waits_until_something_comes_back():
    quota, claims = Quota(2), []

    async def claim():
        claims.append(await quota.claim(5))

    async with asyncio.TaskGroup() as group:
        assert await quota.claim(2) == 2
        group.create_task(claim())
        group.create_task(claim())
        await asyncio.sleep(1)
        assert claims == []
        quota.used(1, of=2)
        await asyncio.sleep(1)
        assert claims == [1]
        quota.used(1, of=1)

    assert claims == [1, 0], "when nothing is left, nobody waits any more"


@virtual_time
async def test_each_of_several_routes_claims_no_more_than_its_part_and_nobody_overtakes():
    quota, order = Quota(9, routes=3), []

    async def claim(name):
        claimed = await quota.claim(9)
        order.append((name, claimed))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(claim(name))
    assert order == [("a", 3), ("b", 2), ("c", 2)]

    assert quota.patience(timedelta(seconds=20)) == timedelta(seconds=1)
    assert quota.patience(timedelta()) == timedelta()


@virtual_time
async def test_who_gives_back_comes_after_those_who_wait():
    quota, order = Quota(1, routes=2), []

    async def poll(name, rounds):
        for _ in range(rounds):
            claimed = await quota.claim(5)
            order.append(name)
            await asyncio.sleep(1)
            quota.used(0, of=claimed)

    async with asyncio.TaskGroup() as group:
        group.create_task(poll("a", 3))
        group.create_task(poll("b", 3))

    assert order == ["a", "b"] * 3


@pytest.mark.parametrize("moment", ["while it waits", "just when it is called"])
@virtual_time
async def test_who_is_cancelled_while_waiting_holds_up_nobody(moment):
    quota, claims = Quota(1), []

    async def claim(name):
        claims.append((name, await quota.claim(1)))

    async with asyncio.TaskGroup() as group:
        await quota.claim(1)
        first = group.create_task(claim("first"))
        group.create_task(claim("second"))
        await asyncio.sleep(1)
        if moment == "while it waits":
            first.cancel()
            await asyncio.sleep(0)
            quota.used(0, of=1)
        else:
            quota.used(0, of=1)
            first.cancel()

    assert claims == [("second", 1)]
