"""The file queue and its alternatives while messages wait: what one costs must not depend on how many there are.

What is measured is taken from the head of the queue, one by one or by 64 tasks at once, with the
backlog behind it. A system is measured up to the backlog at which one of its messages takes a tenth
of a second or so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.case import Bench, Case, Goal, Group, points
from benchmarks.file import BODY, HANDLERS, Huey, LegacySteps, LiteQueue, Peer, drain, folder, opened, publish

BACKLOGS = (0, 10_000, 100_000, 1_000_000)

#: Messages that one call publishes in advance.
_BATCH = 500

#: So many are published and handled before: a log that grows for the first time costs more than one that is used again.
_WARM_UP = 640


async def pulpo(bench: Bench, *, waiting: int, tasks: int) -> None:
    """Urgent messages, published and then handled."""
    from pulpo_core import Envelope

    with folder() as path:
        async with opened(path) as queue:
            for _ in range(waiting // _BATCH):
                await queue.publish([Envelope(body=BODY, priority=2**32 - 1) for _ in range(_BATCH)])
        async with opened(path) as queue:  # again: what filling has left to do is done
            await publish(queue, _WARM_UP, tasks=tasks)
            await drain(queue, tasks=tasks, most=_WARM_UP)
            with bench.measure("publish"):
                await publish(queue, bench.messages, tasks=tasks)
            with bench.measure("drain"):
                bench.check(await drain(queue, tasks=tasks, most=bench.messages), bench.messages, "handled")
            bench.check((await queue.stats()).ready, waiting, "still waiting")


def peer(bench: Bench, *, make: Callable[[Path], Peer], waiting: int) -> None:
    """Its calls, one after the other; it has no priorities that all of them share, so it takes the oldest."""
    with folder() as path:
        queue = make(path)
        for _ in range(waiting):
            queue.put()
        with bench.measure("publish"):
            for _ in range(bench.messages):
                queue.put()
        with bench.measure("drain"):
            for _ in range(bench.messages):
                bench.check(queue.take(), True, "taken")


def _name(curve: str, waiting: int) -> str:
    return f"{curve}, {waiting:,} waiting"


def _curve(curve: str, run: Callable[..., Any], *, messages: Sequence[int], peer: bool = True) -> Iterator[Case]:
    cases = {at: (partial(run, waiting=at), number) for at, number in zip(BACKLOGS, messages, strict=False)}
    yield from points(curve, _name, cases, peer=peer, timeout=900)


PULPO, AT_ONCE, STEPS = "pulpo, one by one", f"pulpo, {HANDLERS} at once", "pulpo-messaging's steps"


def _flat(curve: str, waiting: int) -> Iterator[Goal]:
    for what in ("publish", "drain"):
        yield Goal(case=_name(curve, waiting), against=_name(curve, 0), figure=what, at_most=1.25)


GROUP = Group(
    title="One message after the other, in front of a backlog in a file",
    cases=[
        *_curve(PULPO, partial(pulpo, tasks=1), messages=(500,) * 4, peer=False),
        *_curve(AT_ONCE, partial(pulpo, tasks=HANDLERS), messages=(6400,) * 4, peer=False),
        *_curve("huey", partial(peer, make=Huey), messages=(500, 500, 500)),
        *_curve("litequeue", partial(peer, make=partial(LiteQueue, level="NORMAL")), messages=(500, 100, 20)),
        *_curve(STEPS, partial(peer, make=LegacySteps), messages=(500, 50, 10)),
    ],
    baseline=_name(PULPO, 0),
    goals=[
        *(goal for curve in (PULPO, AT_ONCE) for waiting in BACKLOGS[1:] for goal in _flat(curve, waiting)),
        Goal(case=_name(PULPO, 100_000), against=_name(STEPS, 100_000), figure="drain", of="rate", at_least=100),
        Goal(case=_name(AT_ONCE, 100_000), against=_name(STEPS, 100_000), figure="drain", of="rate", at_least=1000),
    ],
    along="messages waiting",
    logarithmic=True,
)
