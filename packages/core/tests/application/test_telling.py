"""What observers, health checks and metrics ask: what was published, what handling took, how far a run has come."""

import asyncio
from datetime import timedelta

import pytest

from pulpo_core import (
    Ack,
    FollowUp,
    InvalidMessage,
    LeaseLost,
    Message,
    Phase,
    QueueStats,
    Route,
    Unavailable,
    open_publisher,
    open_publisher_sync,
)
from pulpo_core.events import Published, PublishFailed, Settled
from pulpo_core.testing import virtual_time

from .fakes import (
    FaultyAdapter,
    Recorder,
    Watch,
    Worker,
    failing,
    fresh_url,
    pass_time,
    publish,
    refusing,
    run,
    running,
)

APART = {"atomic_follow_ups": False}


# ------------------------------------------------------------------------------------------------------ publishing


@virtual_time
async def test_what_is_published_is_told_with_its_id():
    url, watch = fresh_url(), Watch()

    [stored] = await publish(url, Message(request_type="job"), observers=[watch])

    [event] = watch.events
    assert isinstance(event, Published)
    assert (event.queue, event.message.id, event.message.uid) == (url, stored.id, stored.uid)


@virtual_time
async def test_what_is_not_published_is_told_with_the_reason():
    watch = Watch()
    adapter = FaultyAdapter(publish=failing(Unavailable("away")))

    async with open_publisher(fresh_url(), observers=[watch], adapter=adapter) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(Message(request_type="job"))

    [event] = watch.of(PublishFailed)
    assert (event.message.request_type, str(event.error)) == ("job", "away")


@virtual_time
async def test_a_publish_that_is_cancelled_is_told_as_one_in_doubt():
    async def hang(method, batch):
        await asyncio.sleep(3600)

    watch = Watch()
    async with open_publisher(fresh_url(), observers=[watch], adapter=FaultyAdapter(publish=hang)) as publisher:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await publisher.publish(Message(request_type="job"))

    [event] = watch.events
    assert event.error.in_doubt


@virtual_time
async def test_an_observer_that_fails_does_no_harm_to_a_publish():
    def broken(event):
        raise RuntimeError

    watch = Watch()
    await publish(fresh_url(), "job", observers=[broken, watch])

    assert len(watch.events) == 1


def test_synchronous_code_is_told_too():
    watch = Watch()
    with open_publisher_sync(fresh_url(), observers=[watch]) as publisher:
        stored = publisher.publish(Message(request_type="job"))
        with pytest.raises(InvalidMessage):
            publisher.publish(Message(body={"x": object()}))

    assert [event.message.id for event in watch.of(Published)] == [stored.id]


@pytest.mark.parametrize("changes", [{}, APART], ids=["in one transaction", "before it"])
@virtual_time
async def test_follow_ups_are_told_when_they_are_in_their_queue(changes):
    url, other = fresh_url(), fresh_url()
    await publish(url, "job")

    async def first(message):
        if message.request_type == "job":
            return Ack([Message(request_type="next"), FollowUp(Message(request_type="mail"), other)])
        return None

    worker = await run(Route(url, first, adapter=FaultyAdapter(changes)))

    told = {event.message.request_type: event.queue for event in worker.of_kind(Published)}
    assert told == {"mail": other, "next": url}


@virtual_time
async def test_follow_ups_of_what_could_not_be_acknowledged_are_told_as_not_published():
    url = fresh_url()
    await publish(url, "job")

    async def first(message):
        return Message(request_type="next")

    adapter = FaultyAdapter(settle=refusing(LeaseLost("gone"), times=1))
    async with running(Route(url, first, adapter=adapter)) as worker:
        await pass_time(1)

    [event] = worker.of_kind(PublishFailed)
    assert event.message.request_type == "next"
    assert "lease_lost" in str(event.error)


# --------------------------------------------------------------------------------------------------------- handling


@virtual_time
async def test_what_a_handler_took_is_told_apart_from_what_it_waited():
    url = fresh_url()
    await publish(url, "a", "b")

    worker = await run(Route(url, Recorder(seconds=2), concurrency=1, prefetch=1))

    ends = [(event.handling, event.elapsed) for event in worker.of_kind(Settled)]
    assert ends == [(timedelta(seconds=2), timedelta(seconds=2)), (timedelta(seconds=2), timedelta(seconds=4))]


@virtual_time
async def test_where_no_handler_ran_nothing_is_told_about_its_time():
    url = fresh_url()
    await publish(url, Message(expiration=1))
    await pass_time(2)

    worker = await run(Route(url, Recorder()))

    assert [event.handling for event in worker.of_kind(Settled)] == [None]


# ------------------------------------------------------------------------------------------------- phase and progress


@virtual_time
async def test_a_run_goes_through_its_phases_in_order():
    url = fresh_url()
    await publish(url, "job")
    worker = Worker.of(Route(url, Recorder(seconds=5)))
    phases = [worker.dispatcher.phase]
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await pass_time(1)
        phases.append(worker.dispatcher.phase)
        worker.stop()
        phases.append(worker.dispatcher.phase)
    phases.append(worker.dispatcher.phase)

    assert phases == [Phase.STARTING, Phase.RECEIVING, Phase.DRAINING, Phase.ENDED]


@virtual_time
async def test_progress_tells_an_empty_queue_from_one_that_does_not_answer():
    empty, away = fresh_url(), fresh_url()
    broken = FaultyAdapter(receive=failing(Unavailable("away")))
    async with running(Route(empty, Recorder(), wait=1), Route(away, Recorder(), wait=1, adapter=broken)) as worker:
        await pass_time(100)
        progress = worker.dispatcher.progress

    assert progress[empty].last_receive <= timedelta(seconds=6)
    assert progress[empty].last_settled is None
    assert progress[away].last_receive is None


@virtual_time
async def test_progress_tells_what_is_in_hand_and_when_the_queue_last_answered():
    url = fresh_url()
    await publish(url, "a", "b")
    async with running(Route(url, Recorder(seconds=5), concurrency=1)) as worker:
        await pass_time(8)
        progress = worker.dispatcher.progress[url]

    assert (progress.in_hand, progress.last_settled) == (1, timedelta(seconds=3))


@virtual_time
async def test_each_open_queue_is_counted_and_one_that_cannot_be_says_why():
    url, away = fresh_url(), fresh_url()
    await publish(url, "a", "b")
    async with running(Route(url, Recorder(seconds=5), concurrency=1), Route(away, Recorder())) as worker:
        await pass_time(1)
        worker.dispatcher._queues[away].stats = failing_stats  # the only way to a queue that counts no more
        stats = await worker.dispatcher.stats()

    assert isinstance(stats[url], QueueStats)
    assert (stats[url].ready, stats[url].reserved) == (1, 1)
    assert str(stats[away]) == "away"


async def failing_stats():
    raise Unavailable("away")


@virtual_time
async def test_whoever_is_added_before_the_run_observes_it():
    url, watch = fresh_url(), Watch()
    await publish(url, "job")
    worker = Worker.of(Route(url, Recorder()))
    worker.dispatcher.observe(watch)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        await pass_time(1)
        worker.stop()

    assert len(watch.of(Settled)) == 1
