"""What `pulpo top` offers to change, where a queue can do it and where it cannot."""

from typing import Any

import attrs
import pytest

from pulpo_cli.top import workers
from pulpo_cli.top.history import Sample
from pulpo_cli.top.repairs import NOT_OPEN, Repair, kick, pause, purge, purgeable
from pulpo_cli.top.watching import Watched
from pulpo_cli.top.workers import Workers
from pulpo_core import Capabilities, QueueStats

URL = "sqs://orders"


@attrs.define
class Queue:
    """An open queue that can only say what it can do."""

    capabilities: Capabilities


def watched(stats: QueueStats | None = None, **capabilities: Any) -> Watched:
    made = Watched(URL)
    made.queue = Queue(attrs.evolve(Capabilities(), **capabilities))  # type: ignore[assignment]  # nothing else is asked of it
    made.history.add(Sample(0, stats or QueueStats()))
    return made


def worker(*, paused: bool) -> Workers:
    return Workers([{"pid": 7, "routes": [{"name": "mail", "queue": URL, "paused": paused, "ledger": None}]}])


@pytest.mark.parametrize(("paused", "do"), [(False, "pause"), (True, "resume")])
async def test_where_a_queue_cannot_be_paused_the_workers_on_this_host_can(
    monkeypatch: pytest.MonkeyPatch, paused: bool, do: str
) -> None:
    asked = []

    def ask(what: str, **question: Any) -> list[dict[str, Any]]:
        asked.append((what, question))
        return [{"ok": True, "pid": 7}, {"ok": False, "pid": 8}]

    monkeypatch.setattr(workers, "ask_workers", ask)
    repair = pause(watched(pause=False), worker(paused=paused))

    assert isinstance(repair, Repair)
    assert repair.question == f"{do.capitalize()} {URL} in the workers on this host?"
    assert await repair.act() == f"{do}d {URL} in 1 worker on this host"
    assert asked == [(do, {"route": "mail"})]


def test_without_workers_there_is_nobody_to_pause() -> None:
    assert "no worker on this host" in str(pause(watched(pause=False), Workers()))


def test_a_queue_that_is_not_open_is_not_touched() -> None:
    closed = Watched(URL)

    assert kick(closed) == purge(closed, "ready") == pause(closed, Workers()) == NOT_OPEN
    assert purgeable(closed) == []


def test_only_what_can_be_emptied_and_is_not_empty_is_offered() -> None:
    stats = QueueStats(ready=3, delayed=2, reserved=1, buried=0)

    assert purgeable(watched(stats, purge_states=frozenset({"ready", "buried"}))) == [("ready", "ready: 3")]


def test_what_cannot_be_counted_can_be_emptied_all_the_same() -> None:
    stats = QueueStats(ready=None)
    repair = purge(watched(stats), "ready")

    assert ("ready", "ready: –") in purgeable(watched(stats))
    assert isinstance(repair, Repair)
    assert repair.question == f"Remove all ready messages of {URL} for good?"
