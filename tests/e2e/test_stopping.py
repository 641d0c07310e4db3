"""Workers that are killed, stopped and interrupted: nothing is lost, and the status says how it ended."""

from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from .conftest import JOURNAL, Shop, wait_until

MESSAGES = 120
AT_ONCE = 8


def test_killed_in_the_middle_of_its_work_a_worker_loses_nothing(shop: Shop) -> None:
    """Three times over: what had been handed out comes back after its lease, and is handled by the next one."""
    url = f"{shop.url}&lease=1s"
    shop.write(JOURNAL + "async def note(payload):\n    write(payload)\n    await asyncio.sleep(0.03)\n")
    jobs = "".join(f'{{"payload": "{n}"}}\n' for n in range(MESSAGES))
    assert shop.pulpo("publish", "-q", "--from-file", "-", stdin=jobs).out == f"{MESSAGES}\n"
    worker = ("run", "--queue", url, "--handler", "jobs:note", "--concurrency", str(AT_ONCE))

    for kill in range(1, 4):
        with shop.start(*worker) as running:
            wait_until(lambda kill=kill: len(set(shop.journal)) >= 25 * kill, f"some work before kill {kill}")
            running.signal(SIGKILL)
            assert running.end().status == -SIGKILL
        assert len(set(shop.journal)) < MESSAGES

    ended = shop.pulpo(*worker, "--max-empty-polls", "10", "--poll-interval", "200ms")  # longer than a lease

    assert ended.status == 0
    assert set(shop.journal) == {str(n) for n in range(MESSAGES)}
    assert len(shop.journal) <= MESSAGES + 3 * (AT_ONCE + 1)  # only what was in hand at a kill came twice
    assert shop.counts() == {"ready": 0, "delayed": 0, "reserved": 0, "buried": 0}


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_signal_lets_what_runs_finish_and_leaves_the_rest(shop: Shop, number: int) -> None:
    shop.write(
        JOURNAL + "async def note(payload):\n    write('begun')\n    await asyncio.sleep(0.7)\n    write('done')\n"
    )
    shop.pulpo("publish", "-q", "--payload", "x", "--count", "6")

    with shop.start("run", "--handler", "jobs:note", "--concurrency", "2", "--json") as running:
        wait_until(lambda: len(shop.journal) == 2, "two are running")
        running.signal(number)
        outcome = running.end()

    assert outcome.status == 0
    assert shop.journal == ["begun", "begun", "done", "done"]
    assert outcome.json["balanced"] is True
    assert (outcome.json["total"]["acked"], outcome.json["total"]["in_hand"]) == (2, 0)
    assert shop.counts() == {"ready": 4, "delayed": 0, "reserved": 0, "buried": 0}
    assert "stopping: what runs may finish" in outcome.err


LONG = JOURNAL + (
    "async def awaits(payload):\n    write('begun')\n    await asyncio.sleep(60)\n"
    "def blocks(payload):\n    write('begun')\n    time.sleep(60)\n"
)


@pytest.mark.parametrize(
    ("handler", "status", "counts"),
    [("awaits", 0, {"ready": 1, "reserved": 0}), ("blocks", 130, {"ready": 0, "reserved": 1})],
    ids=["given back: nothing is unsettled", "a thread cannot be cut: its lease is left to end"],
)
def test_a_second_signal_cuts_what_runs(shop: Shop, handler: str, status: int, counts: dict[str, int]) -> None:
    shop.write(LONG)
    shop.pulpo("publish", "-q", "--payload", "x")

    with shop.start("run", "--handler", f"jobs:{handler}") as running:
        wait_until(lambda: shop.journal, "it is running")
        running.signal(SIGTERM)
        wait_until(lambda: "stopping" in running.err, "the first signal was seen")
        running.signal(SIGTERM)
        outcome = running.end()

    assert outcome.status == status
    assert {name: shop.counts()[name] for name in counts} == counts


def test_a_signal_before_anything_came_ends_a_worker_at_once(shop: Shop) -> None:
    shop.write("async def note(): ...\n")

    with shop.start("run", "--handler", "jobs:note", "-v") as running:
        wait_until(lambda: "receiving" in running.err, "it is receiving")
        running.signal(SIGINT)
        outcome = running.end()

    assert outcome.status == 0


def test_an_interrupted_publish_says_exactly_what_is_in_the_queue(shop: Shop) -> None:
    with shop.start("publish", "--payload", "x", "--count", "1000000") as running:
        wait_until(lambda: running.out, "the first ids are printed")
        running.signal(SIGINT)
        outcome = running.end()

    ids = set(outcome.out.split())
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == "pulpo: stopped"
    assert f"published {len(ids):,} messages in " in outcome.err
    assert shop.counts()["ready"] == len(ids)
