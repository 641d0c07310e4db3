"""What a queue answers, whatever happens inside its driver."""

import asyncio

import pytest

from pulpo_core import Unavailable
from pulpo_core.application.answers import answer_of
from pulpo_core.testing import virtual_time


async def gives(value):
    await asyncio.sleep(1)
    return value


async def raises(error):
    await asyncio.sleep(1)
    raise error


@virtual_time
async def test_an_answer_and_an_error_pass_through():
    assert await answer_of(gives(5)) == 5
    with pytest.raises(KeyError):
        await answer_of(raises(KeyError()))


@virtual_time
async def test_a_cancellation_from_inside_is_a_failure_in_doubt_that_passes():
    with pytest.raises(Unavailable) as caught:
        await answer_of(raises(asyncio.CancelledError()))

    assert caught.value.temporary
    assert caught.value.in_doubt
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


@virtual_time
async def test_a_cancellation_of_the_one_who_asks_is_one():
    async with asyncio.TaskGroup() as group:
        task = group.create_task(answer_of(gives(5)))
        await asyncio.sleep(0.5)
        task.cancel()

    assert task.cancelled()


@virtual_time
async def test_a_timeout_of_the_one_who_asks_is_one():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await answer_of(gives(5))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer_of(gives(5)), 0.5)
