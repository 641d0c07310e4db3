"""Times to run keep what was told about them: not shorter, and not longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import greenstalk
import pytest

from pulpo_core import Ack, Queue, Settling

Opener = Callable[..., AbstractAsyncContextManager[Queue]]
Stranger = greenstalk.Client[bytes]

WAIT = timedelta(seconds=10)


@pytest.mark.parametrize("ttr", [0, 1, 2])
async def test_a_job_with_a_short_time_to_run_is_ours_for_the_whole_lease(
    open_queue: Opener, stranger: Stranger, ttr: int
) -> None:
    """Other producers choose their own times to run; beanstalkd makes 1 of 0."""
    job = stranger.put(b"x", ttr=ttr)
    async with open_queue(ttr="30s") as queue:
        (delivery,) = await queue.receive(1, WAIT)
        await asyncio.sleep(2.6)

        assert stranger.stats_job(job)["timeouts"] == 0
        assert await queue.settle([Settling(delivery, Ack())]) == [None]


async def test_it_is_not_ours_for_longer_than_that(open_queue: Opener, stranger: Stranger) -> None:
    stranger.put(b"x", ttr=1)
    async with open_queue(ttr="2s") as queue:
        await queue.receive(1, WAIT)

        assert (await asyncio.to_thread(stranger.reserve, timeout=10)).body == b"x"


async def test_times_to_run_end_on_silent_connections_too(open_queue: Opener, stranger: Stranger) -> None:
    """beanstalkd 1.12 forgets most of them: it would hold these jobs for ever."""
    jobs = [stranger.put(b"x", ttr=1) for _ in range(20)]
    async with open_queue(ttr="1s") as queue:
        for _ in jobs:
            await queue.receive(1, WAIT)
        await asyncio.sleep(2.5)

        assert {stranger.stats_job(job)["state"] for job in jobs} == {"ready"}
        assert {stranger.stats_job(job)["timeouts"] for job in jobs} == {1}


async def test_a_quick_job_is_never_asked_for_its_time(open_queue: Opener, stranger: Stranger) -> None:
    async with open_queue() as queue:
        for _ in range(100):
            stranger.put(b"x")
            (delivery,) = await queue.receive(1, WAIT)
            await queue.settle([Settling(delivery, Ack())])
        before = stranger.stats()["cmd-stats-job"]
        await asyncio.sleep(0.6)

        assert stranger.stats()["cmd-stats-job"] == before
