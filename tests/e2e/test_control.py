"""Pausing, resuming and looking at the workers of this host; pausing a queue for everybody."""

import json
import os
import stat
from signal import SIGKILL, SIGTERM

from .conftest import JOURNAL, Shop, ask, wait_until

NOTE = JOURNAL + "async def note(payload):\n    write(payload)\n"


def test_a_route_is_paused_in_every_worker_of_this_host_and_resumed(shop: Shop) -> None:
    shop.write(NOTE)
    worker = ("run", "--handler", "jobs:note", "-v")
    with shop.start(*worker) as one, shop.start(*worker) as other:
        wait_until(lambda: "receiving" in one.err and "receiving" in other.err, "both receive")
        [route] = {route["name"] for each in workers(shop) for route in each["routes"]}

        paused = shop.pulpo("pause", route, "--json")
        assert paused.json == {"paused": route, "workers": sorted([one.process.pid, other.process.pid])}
        shop.pulpo("publish", "--payload", "x")
        assert [each["routes"][0]["paused"] for each in shop.statuses()] == [True, True]
        assert shop.counts()["ready"] == 1
        assert shop.journal == []

        resumed = shop.pulpo("resume", route)
        assert (resumed.status, resumed.out) == (0, f"resumed {route} in 2 workers\n")
        wait_until(lambda: shop.journal, "it is handled")
        wait_until(lambda: sum(each["routes"][0]["ledger"]["acked"] for each in shop.statuses()) == 1, "it is counted")
        for each in (one, other):
            each.signal(SIGTERM)
            assert each.end().status == 0

    assert shop.sockets == []
    assert shop.pulpo("status").err == "no worker is running\n"


def workers(shop: Shop) -> list[dict]:
    return [json.loads(line) for line in shop.pulpo("status", "--json").out.splitlines()]


def test_a_route_that_no_worker_runs_is_told_with_those_that_there_are(shop: Shop) -> None:
    nobody = shop.pulpo("pause", "mail")
    assert nobody.status == 1
    assert nobody.complaint == "pulpo: no worker on this host runs a route 'mail'; no worker is running"

    shop.write("async def note(): ...\n")
    with shop.start("run", "--handler", "jobs:note", "-v") as running:
        wait_until(lambda: "receiving" in running.err, "it receives")
        assert shop.pulpo("pause", "mail").complaint.endswith(f"there are: {shop.url}")


def test_a_queue_is_paused_for_everybody_and_for_as_long_as_is_said(shop: Shop) -> None:
    shop.write(NOTE)
    shop.pulpo("publish", "--payload", "x")
    assert shop.pulpo("pause", "--queue", shop.url).out == f"paused {shop.url}, for everybody\n"
    assert shop.pulpo("stats", "--json").json["paused"] is True
    assert shop.pulpo("run", "--handler", "jobs:note", "--once").status == 0
    assert shop.journal == []

    assert shop.pulpo("resume", "--queue", shop.url, "--json").json == {"resumed": shop.url}
    assert shop.pulpo("run", "--handler", "jobs:note", "--once").status == 0
    assert shop.journal == ["x"]


WRONG = {
    (): "give ROUTE, for the workers on this host, or --queue, for everybody: one of the two",
    ("mail", "--queue", "memory://x"): "give ROUTE, for the workers on this host, or --queue",
    ("mail", "--for", "5m"): "--for goes with --queue",
}


def test_wrong_use_is_one_line_and_status_2(shop: Shop) -> None:
    for arguments, said in WRONG.items():
        outcome = shop.pulpo("pause", *arguments)
        assert outcome.status == 2
        assert said in outcome.complaint


def test_the_socket_is_its_owners_alone_and_a_killed_worker_s_is_swept_away(shop: Shop) -> None:
    shop.write("async def note(): ...\n")
    with shop.start("run", "--handler", "jobs:note", "-v") as running:
        wait_until(lambda: "receiving" in running.err, "it receives")
        path = shop.sockets[0]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        running.signal(SIGKILL)
        running.end()

    assert shop.sockets == [path]
    assert shop.pulpo("status", "--json").out == ""
    assert shop.sockets == []


def test_nonsense_at_the_socket_is_answered_in_one_line_and_harms_nothing(shop: Shop) -> None:
    shop.write(NOTE)
    with shop.start("run", "--handler", "jobs:note", "-v") as running:
        wait_until(lambda: "receiving" in running.err, "it receives")
        for nonsense in (b"\n", b"[]\n", b'{"do": "die"}\n', b'{"do": ["status"]}\n', b"\xff\n", b'{"do": "pause"}\n'):
            answer = ask(shop.sockets[0], nonsense)
            assert answer["ok"] is False
        assert ask(shop.sockets[0], b"x" * 100_000) == {}
        running.signal(SIGTERM)
        assert running.end().status == 0


def test_a_worker_that_can_have_no_socket_says_so_and_works(shop: Shop) -> None:
    shop.write(NOTE)
    shop.pulpo("publish", "--payload", "x")
    (shop.folder / f"pulpo-{os.getuid()}").mkdir(mode=0o755)
    outcome = shop.pulpo("run", "--handler", "jobs:note", "--once")

    assert outcome.status == 0
    assert shop.journal == ["x"]
    assert "do not reach this worker" in outcome.err
    assert "is open to others; chmod 700 it, or set XDG_RUNTIME_DIR" in outcome.err
    assert shop.pulpo("status").status == 2
