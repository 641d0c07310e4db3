"""What can be changed from `pulpo top`: each change with its question and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from pulpo_cli.units import number, plural
from pulpo_core import Queue, State

from .watching import Watched
from .workers import Workers, asked

#: Why there is nothing to be done.
NOT_OPEN = "this queue cannot be reached now"


@attrs.frozen(kw_only=True)
class Repair:
    """A change that waits for its confirmation.

    Attributes:
        act: does it, and says what was done.
    """

    question: str
    act: Callable[[], Awaitable[str]]


def kick(watched: Watched) -> Repair | str:
    """All that is buried goes back to work."""
    queue, stats = watched.queue, watched.stats
    if queue is None or stats is None:
        return NOT_OPEN
    if not stats.buried:
        return "nothing is buried"
    opened = queue

    async def act() -> str:
        return f"kicked {plural(await opened.kick(), 'message')}"

    return Repair(question=f"Kick {plural(stats.buried, 'buried message')} of {watched.url}?", act=act)


def purgeable(watched: Watched) -> list[tuple[str, str]]:
    """The states that can be emptied and hold anything: their names, and how to call them."""
    queue, stats = watched.queue, watched.stats
    if queue is None or stats is None:
        return []
    counts = {name: getattr(stats, name) for name in ("ready", "delayed", "buried")}
    return [
        (name, f"{name}: {number(count)}")
        for name, count in counts.items()
        if name in queue.capabilities.purge_states and count != 0
    ]


def purge(watched: Watched, state: str) -> Repair | str:
    """Everything in *state* is removed for good."""
    queue, stats = watched.queue, watched.stats
    if queue is None or stats is None:
        return NOT_OPEN
    opened, count = queue, getattr(stats, state)

    async def act() -> str:
        removed = await opened.purge(frozenset({State(state)}))
        return f"removed {plural(removed, 'message')}"

    how_many = f"all {state} messages" if count is None else plural(count, f"{state} message")
    return Repair(question=f"Remove {how_many} of {watched.url} for good?", act=act)


def pause(watched: Watched, workers: Workers) -> Repair | str:
    """Pause or resume for everybody where the queue can, else the workers on this host that run it."""
    queue, stats = watched.queue, watched.stats
    if queue is None or stats is None:
        return NOT_OPEN
    if queue.capabilities.pause:
        return _pause_queue(queue, watched.url, paused=stats.paused)
    routes = {route["name"]: route["paused"] for route in workers.of_queue(watched.url)}
    if not routes:
        return "this kind of queue cannot be paused, and no worker on this host runs it"
    return _pause_workers(routes, watched.url)


def _pause_queue(queue: Queue, url: str, *, paused: bool) -> Repair:
    async def act() -> str:
        await (queue.resume() if paused else queue.pause())
        return f"{'resumed' if paused else 'paused'} {url}, for everybody"

    return Repair(question=f"{'Resume' if paused else 'Pause'} {url}, for everybody?", act=act)


def _pause_workers(routes: dict[str, bool], url: str) -> Repair:
    do = "resume" if all(routes.values()) else "pause"

    async def act() -> str:
        answers = [answer for name in routes for answer in await asked(do, route=name) if answer["ok"]]
        return f"{do}d {url} in {plural(len(answers), 'worker')} on this host"

    return Repair(question=f"{do.capitalize()} {url} in the workers on this host?", act=act)
