"""Attempts: every handing-out counts, whatever became of it."""

from __future__ import annotations

from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import EXACT_ATTEMPTS, LEASES_END


@clause("C080")
async def the_first_attempt_is_one(bench: Bench) -> None:
    """The first delivery of a message is attempt 1, and nothing was lost before it."""
    await bench.publish(bench.envelope())

    delivery = await bench.take_one()

    assert (delivery.attempt, delivery.lost) == (1, 0)


@clause("C081")
async def failures_and_losses_count(bench: Bench) -> None:
    """Each retry and each lost lease makes the next attempt one more, for whoever receives it."""
    await bench.publish(bench.envelope())
    other = await bench.other()
    attempts = []
    for queue in (bench.queue, other, bench.queue):
        delivery = await bench.take_one(queue=queue)
        attempts.append(delivery.attempt)
        await bench.retry(delivery, queue=queue)
        await bench.advance(bench.caps.min_retry_delay.total_seconds() + bench.tolerance)
    attempts.append((await bench.take_one()).attempt)

    assert attempts == [1, 2, 3, 4]


@clause("C085", needs=[LEASES_END])
async def crashes_count(bench: Bench) -> None:
    """A delivery that ended without an outcome counts as an attempt: a crash loop is seen."""
    await bench.publish(bench.envelope())
    attempts = []
    for _ in range(3):
        attempts.append((await bench.take_one()).attempt)
        await bench.pass_lease()

    assert attempts == [1, 2, 3]


@clause("C086", needs=[LEASES_END])
async def losses_are_told_apart(bench: Bench) -> None:
    """Attempts that were lost are counted apart from those that failed, or told as none; never more than there were."""
    await bench.publish(bench.envelope())
    await bench.retry_at_once(await bench.take_one())
    failed = await bench.take_one()
    assert failed.lost == 0, "a retry is not a loss"
    await bench.pass_lease()

    lost = await bench.take_one()

    assert lost.lost in {0, 1}, f"{lost.lost} losses were told after one"
    assert lost.attempt == 3


@clause("C087", needs=[EXACT_ATTEMPTS])
async def only_deliveries_count(bench: Bench) -> None:
    """Looking, counting, extending and waiting do not count as attempts."""
    await bench.publish(bench.envelope())
    await bench.call(bench.queue.stats())
    for kind in bench.caps.peek:
        await bench.call(bench.queue.peek(kind, "1"))
    first = await bench.take_one()
    await bench.extend(first)
    await bench.receive(1)
    await bench.retry_at_once(first)

    assert (await bench.take_one()).attempt == 2


@clause("C082", hooks=["restart_broker"])
async def attempts_survive_a_restart(bench: Bench) -> None:
    """The attempts of a message that waits for its retry are not forgotten when the broker restarts."""
    await bench.publish(bench.envelope())
    await bench.retry(await bench.take_one(), bench.delay)
    await bench.harness.restart_broker()
    await bench.advance(bench.delay + bench.tolerance)

    assert (await bench.persist(bench.take_one)).attempt == 2
