"""In process: the cost of one message for a no-op handler, with no queue I/O."""

from __future__ import annotations

from functools import partial

from benchmarks.case import Bench, Case, Group


async def _noop(message: object) -> None:
    pass


async def pulpo(bench: Bench, *, concurrency: int) -> None:
    """The whole pipeline: JSON, routing, handling, policy, ledger, settlement, on a queue in memory."""
    from pulpo_core import Dispatcher, Handlers, Message, Route, Until, open_publisher, open_queue
    from pulpo_core.domain.lifecycle import State

    url = "memory://bench"
    handlers = Handlers()
    handlers.add("noop", _noop)
    async with open_queue(url) as queue, open_publisher(url) as publisher:
        await publisher.publish_many([Message(request_type="noop", body={"n": n}) for n in range(bench.messages)])
        dispatcher = Dispatcher([Route(url, handlers, name="bench", concurrency=concurrency)], until=Until(burst=True))
        with bench.measure("handle"):
            await dispatcher.run()
        bench.check(dispatcher.ledgers["bench"].acked, bench.messages, "acked")
        await queue.purge(frozenset({State.READY}))


GROUP = Group(
    title="in process, no-op handler",
    cases=[Case(name=f"pulpo, {c}", run=partial(pulpo, concurrency=c), messages=20_000) for c in (1, 10, 100)],
    baseline="pulpo, 10",
)
