"""When a route receives nothing although there is room: paused by a person, by its rate, by its breaker."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import Breaker, NoRoute, Policy, Route
from pulpo_core.events import RouteHeld, RouteResumed
from pulpo_core.testing import virtual_time

from .fakes import Recorder, filled, fresh_url, pass_time, publish, running

SOON = Policy(max_attempts=0)


@virtual_time
async def test_a_paused_route_receives_nothing_until_it_is_resumed_and_others_go_on():
    paused, other = fresh_url(), fresh_url()
    handler, untouched = Recorder(), Recorder()
    async with running(Route(paused, handler, name="mail"), Route(other, untouched, name="other")) as worker:
        await pass_time(1)
        worker.dispatcher.pause("mail")
        worker.dispatcher.pause("mail")
        await publish(paused, "job")
        await publish(other, "job")
        await pass_time(60)
        assert (len(handler.starts), len(untouched.starts)) == (0, 1)
        assert worker.dispatcher.paused == {"mail"}

        worker.dispatcher.resume("mail")
        await pass_time(1)
        assert len(handler.starts) == 1
        assert worker.dispatcher.paused == set()
    assert [event.cause for event in worker.of_kind(RouteHeld)] == ["paused"]
    assert len(worker.of_kind(RouteResumed)) == 1


@virtual_time
async def test_what_runs_when_a_route_is_paused_ends_in_peace_and_what_waits_is_given_back():
    url, handler = fresh_url(), Recorder(seconds=10)
    async with running(Route(url, handler, name="mail", concurrency=1, prefetch=2)) as worker:
        await publish(url, "first", "second", "third")
        await pass_time(1)
        worker.dispatcher.pause("mail")
        await pass_time(30)
        assert len(handler.starts) == 1
        assert worker.columns == {"received": 3, "acked": 1, "released": 2}


@virtual_time
@pytest.mark.parametrize("resumed_after", [0.0, 5.0], ids=["resumed at once", "resumed later"])
async def test_what_waits_for_the_limit_of_the_process_is_given_back_at_a_pause(resumed_after):
    """Else it would be begun in the midst of the pause, as soon as another route leaves its place."""
    url, other, handler = fresh_url(), fresh_url(), Recorder(seconds=20)
    routes = Route(url, handler, name="mail", wait=10), Route(other, handler, name="other", wait=10)
    async with running(*routes, concurrency=1) as worker:
        await pass_time(1)
        await publish(other, "long")
        await publish(url, "job")  # both routes were receiving, since nothing ran
        await pass_time(1)
        worker.dispatcher.pause("mail")
        await pass_time(resumed_after)
        assert handler.types == ["long"]
        if resumed_after:
            assert filled(worker.dispatcher.ledgers["mail"]) == {"received": 1, "released": 1}

        worker.dispatcher.resume("mail")
        await pass_time(60)
        assert (handler.types, handler.peak) == (["long", "job"], 1)


@virtual_time
async def test_what_a_receive_brings_that_was_on_its_way_when_the_route_was_paused_is_given_back():
    url, handler = fresh_url(), Recorder()
    async with running(Route(url, handler, name="mail", wait=10)) as worker:
        await pass_time(1)
        worker.dispatcher.pause("mail")
        await publish(url, "job")
        await pass_time(5)
        assert handler.starts == []
        assert worker.columns == {"received": 1, "released": 1}


@virtual_time
async def test_a_paused_route_stops_like_any_other():
    async with running(Route(fresh_url(), Recorder(), name="mail")) as worker:
        await pass_time(1)
        worker.dispatcher.pause("mail")
        await pass_time(1)
    assert worker.dispatcher.ledgers["mail"].in_hand == 0


@virtual_time
async def test_a_route_that_is_not_there_cannot_be_paused():
    async with running(Route(fresh_url(), Recorder(), name="mail")) as worker:
        await pass_time(1)
        with pytest.raises(NoRoute, match="no route is called 'male'; there are: mail"):
            worker.dispatcher.pause("male")


@virtual_time
async def test_no_more_is_received_than_the_rate_allows():
    url, handler = fresh_url(), Recorder()
    await publish(url, *["job"] * 100)
    async with running(Route(url, handler, rate_limit="10/s")):
        start = asyncio.get_running_loop().time()
        await pass_time(3.05)
    late = [begun - start for begun in handler.starts if begun - start <= 3]
    assert len(late) == 40, "ten at once, then ten a second"
    assert late[10] == pytest.approx(0.1)


@virtual_time
async def test_a_route_that_is_resumed_while_its_breaker_is_open_receives_again_only_when_that_lets_go():
    url, broken = fresh_url(), True

    async def handler(message):
        if broken:
            raise OSError("the database is down")

    await publish(url, "first", "second")
    route = Route(url, handler, name="mail", concurrency=1, policy=SOON, breaker=Breaker(failures=1, pause=20))
    async with running(route) as worker:
        await pass_time(1)
        worker.dispatcher.pause("mail")
        worker.dispatcher.resume("mail")
        await pass_time(1)
        assert worker.of_kind(RouteResumed) == []

        broken = False
        await pass_time(30)
        assert len(worker.of_kind(RouteResumed)) == 1


@virtual_time
async def test_a_breaker_stops_receiving_when_everything_fails_and_goes_on_when_a_trial_succeeds():
    url, broken_until = fresh_url(), 50.0
    starts = []

    async def handler(message):
        starts.append(asyncio.get_running_loop().time() - begun)
        if starts[-1] < broken_until:
            raise OSError("the database is down")

    begun = asyncio.get_running_loop().time()
    await publish(url, *["job"] * 20)
    route = Route(url, handler, concurrency=1, policy=SOON, breaker=Breaker(failures=3, pause=20))
    async with running(route) as worker:
        await pass_time(100)

    assert [round(start) for start in starts[:6]] == [0, 0, 0, 20, 40, 60], "three failures, then a trial each 20 s"
    assert len(starts) >= 25, "and then all of them"
    assert [event.cause for event in worker.of_kind(RouteHeld)] == ["breaker"] * 3
    assert worker.of_kind(RouteHeld)[0].duration == timedelta(seconds=20)
    assert len(worker.of_kind(RouteResumed)) == 1
