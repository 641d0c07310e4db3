"""Several workers under a supervisor: killed, signalled, given wrong settings, and left alone by it."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from tests.servers import BeanstalkdServer

from .conftest import JOURNAL, Running, Shop, wait_until

MESSAGES = 150

#: Each line says which process wrote it.
NOTE = JOURNAL + (
    "async def note(payload):\n    write(f'{payload} {os.getpid()}')\n    await asyncio.sleep(0.03)\n"
    "async def long(payload):\n    write(f'{payload} {os.getpid()}')\n    await asyncio.sleep(60)\n"
    "async def polite(payload):\n    write(f'{payload} {os.getpid()}')\n    await asyncio.sleep(0.7)\n"
    "    write('done')\n"
)


def pids(shop: Shop) -> list[int]:
    """Of the workers that have handled something, in the order in which they first did."""
    return list(dict.fromkeys(int(line.split()[1]) for line in shop.journal if " " in line))


def publish(shop: Shop, count: int, url: str = "") -> None:
    jobs = "".join(f'{{"payload": "{n}"}}\n' for n in range(count))
    assert shop.pulpo("publish", "-q", "--from-file", "-", stdin=jobs, PULPO_QUEUE=url or shop.url).status == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["file", "beanstalkd"])
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    shop: Shop, beanstalkd: BeanstalkdServer, scheme: str
) -> None:
    url = f"{shop.url}&lease=1s" if scheme == "file" else f"{beanstalkd.url(f'e2e-processes-{os.getpid()}')}?ttr=2s"
    shop.write(NOTE)
    publish(shop, MESSAGES, url)
    worker = ("run", "--queue", url, "--handler", "jobs:note", "--concurrency", "4", "--processes", "2")

    with shop.start(*worker, "--json") as running:
        wait_until(lambda: len(pids(shop)) == 2, "both are at work")
        os.kill(pids(shop)[0], SIGKILL)
        wait_until(lambda: "was killed by SIGKILL" in running.err, "the supervisor has noticed")
        wait_until(lambda: len(handled(shop)) == MESSAGES, "everything is handled")
        running.signal(SIGTERM)
        outcome = running.end()

    assert outcome.status == 0
    assert handled(shop) == {str(n) for n in range(MESSAGES)}
    assert len(shop.journal) <= MESSAGES + 5, "only what was in hand came twice"
    report = outcome.json
    assert report["balanced"] is True
    assert [(each["worker"], each["status"], each["final"]) for each in report["workers"]] == [
        (place, status, final)
        for place in (1, 2)
        for status, final in ([(-SIGKILL, False), (0, True)] if place == killed_place(report) else [(0, True)])
    ]
    assert "1 worker was killed: of those only what they had reported shortly before is counted" in outcome.err


def handled(shop: Shop) -> set[str]:
    return {line.split()[0] for line in shop.journal}


def killed_place(report: dict) -> int:
    return next(each["worker"] for each in report["workers"] if each["status"] == -SIGKILL)


@pytest.mark.parametrize("group", [False, True], ids=["to the supervisor", "to all at once, as a terminal does"])
def test_a_signal_lets_what_runs_in_every_worker_finish(shop: Shop, group: bool) -> None:
    shop.write(NOTE)
    publish(shop, 12)

    with shop.start("run", "--handler", "jobs:polite", "--concurrency", "2", "--processes", "2", "--json") as running:
        wait_until(lambda: len(pids(shop)) == 2, "both are at work")
        running.signal(SIGINT)
        for pid in pids(shop) if group else []:
            os.kill(pid, SIGINT)
        outcome = running.end()

    begun = len([line for line in shop.journal if line != "done"])
    assert outcome.status == 0
    assert shop.journal.count("done") == begun
    assert outcome.json["total"]["acked"] == begun
    assert shop.counts()["ready"] == 12 - begun
    assert outcome.err.count("Ctrl-C drains and stops") == 1, "it is told once, not by each of them"


def test_a_second_signal_cuts_and_a_third_kills(shop: Shop) -> None:
    shop.write(NOTE)
    publish(shop, 2)
    worker = ("run", "--handler", "jobs:long", "--concurrency", "1", "--processes", "2", "--json")

    with shop.start(*worker) as running:
        wait_until(lambda: len(pids(shop)) == 2, "both are at work")
        stop_twice(running)
        outcome = running.end()
    assert outcome.status == 0
    assert outcome.json["total"]["released"] == 2

    shop.write(NOTE.replace("await asyncio.sleep(60)", "time.sleep(60)"))  # its loop hears nothing
    with shop.start(*worker) as running:
        wait_until(lambda: len(pids(shop)) == 4, "both are at work again")
        stop_twice(running)
        running.signal(SIGTERM)
        outcome = running.end()
    assert outcome.status == 130
    assert shop.counts()["reserved"] == 2, "left to their leases"


def test_a_worker_whose_loop_is_blocked_is_left_when_its_time_to_stop_is_over(shop: Shop) -> None:
    shop.write(
        JOURNAL
        + "async def deaf(payload):\n    write(f'{payload} {os.getpid()}')\n    time.sleep(60)\n"
        + "class Brief(Dispatcher):\n    stops_within = timedelta(seconds=1)\n"
        + f"brief = Brief(Route({shop.url!r}, deaf))\n"
    )
    publish(shop, 1)

    with shop.start("run", "jobs:brief", "--processes", "2", "--json") as running:
        wait_until(lambda: len(pids(shop)) == 1, "one is at work")
        running.signal(SIGTERM)
        outcome = running.end()

    assert outcome.status == 130
    assert "a handler does not end: leaving without it" in outcome.err
    assert shop.counts()["reserved"] == 1, "left to its lease"


def stop_twice(running: Running) -> None:
    running.signal(SIGTERM)
    wait_until(lambda: "stopping: " in running.err, "the first signal was seen")
    running.signal(SIGTERM)
    wait_until(lambda: "stopping now: " in running.err, "the second signal was seen")


WRONG = {
    "no such handler": (("--handler", "jobs:nothing"), 4, "module 'jobs' has no 'nothing'"),
    "no such broker": (("--handler", "jobs:note", "--queue", "beanstalkd://127.0.0.1:1/x"), 3, "no connection to"),
    "no such scheme": (("--handler", "jobs:note", "--queue", "kafka://x"), 2, "no adapter for 'kafka'"),
}


@pytest.mark.parametrize(("arguments", "status", "said"), WRONG.values(), ids=WRONG)
def test_what_no_worker_could_do_ends_all_with_one_line(
    shop: Shop, arguments: tuple[str, ...], status: int, said: str
) -> None:
    shop.write(NOTE)
    outcome = shop.pulpo("run", "--processes", "2", *arguments, "-q")

    assert outcome.status == status
    assert said in outcome.complaint


def test_workers_whose_supervisor_is_killed_drain_and_end(shop: Shop) -> None:
    shop.write(NOTE)
    publish(shop, 40)
    with shop.start("run", "--handler", "jobs:polite", "--concurrency", "2", "--processes", "2") as running:
        wait_until(lambda: len(pids(shop)) == 2, "both are at work")
        running.signal(SIGKILL)
        running.end()
        wait_until(lambda: not any(is_alive(pid) for pid in pids(shop)), "both have ended")

    begun = len([line for line in shop.journal if line != "done"])
    assert shop.journal.count("done") == begun
    assert shop.counts() == {"ready": 40 - begun, "delayed": 0, "reserved": 0, "buried": 0}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_limit_of_messages_holds_for_all_workers_together(shop: Shop) -> None:
    shop.write(NOTE)
    publish(shop, 20)
    limited = ("run", "--handler", "jobs:note", "--processes", "2", "--max-messages", "7")
    outcome = shop.pulpo(*limited, "--json", "--log-format", "json", "-v")

    assert outcome.status == 0
    assert outcome.json["total"]["acked"] == 7
    assert sorted(each["total"]["acked"] for each in outcome.json["workers"]) == [3, 4]
    assert shop.counts()["ready"] == 13
    records = [json.loads(line) for line in outcome.err.splitlines()]
    assert Counter(each["worker"] for each in records if " acked " in each["event"]) == {1: 4, 2: 3}


def test_a_paused_route_stays_paused_in_the_worker_that_takes_the_place_of_another(shop: Shop) -> None:
    shop.write(NOTE)
    publish(shop, 1)
    with shop.start("run", "--handler", "jobs:note", "--processes", "1", "--reload", "-v") as running:
        wait_until(lambda: pids(shop), "it is at work")
        assert shop.pulpo("pause", shop.url).status == 0
        wait_until(lambda: signal_and_see(shop, running), "another one has taken its place, paused")
        publish(shop, 1)
        assert shop.counts()["ready"] == 1


def signal_and_see(shop: Shop, running: Running) -> bool:
    """Kill the worker once, half a second after it has said that it is paused."""
    if "was killed" not in running.err:
        signal.sigtimedwait([], 0.6)
        os.kill(pids(shop)[-1], SIGKILL)
        wait_until(lambda: "was killed" in running.err, "it is noticed")
    return any(route["paused"] for each in shop.statuses() for route in each.get("routes", ()))


def test_new_code_is_taken_up_and_broken_code_waited_out(shop: Shop) -> None:
    code = JOURNAL + "async def note(payload):\n    write(f'{payload} {os.getpid()} VERSION')\n"
    shop.write(code.replace("VERSION", "one"))
    with shop.start("run", "--handler", "jobs:note", "--reload", "--json", "-v") as running:
        publish(shop, 1)
        wait_until(lambda: len(shop.journal) == 1, "the first version is at work")

        flaw = len(code.splitlines()) + 1
        shop.write(code + "def broken(:\n")
        wait_until(lambda: f"jobs.py, line {flaw}: invalid syntax; waiting for" in running.err, "it is read")
        publish(shop, 1)
        wait_until(lambda: len(shop.journal) == 2, "the first version goes on")

        shop.write("import nothing_by_that_name\n")
        wait_until(lambda: "waiting for the next change" in running.err.splitlines()[-1], "it cannot be imported")

        shop.write(code.replace("VERSION", "two"))
        publish(shop, 1)
        wait_until(lambda: len(shop.journal) == 3, "the second version is at work")
        running.signal(SIGTERM)
        outcome = running.end()

    assert [line.split()[2] for line in shop.journal] == ["one", "one", "two"]
    assert outcome.status == 0
    assert outcome.json["total"]["acked"] == 3
    assert Counter(each["status"] for each in outcome.json["workers"]) == {0: 2, 4: 1}


CRUNCH = JOURNAL + (
    "handlers = Handlers()\n"
    "@handlers('crunch', runs_in='process', timeout=20)\n"
    "def crunch(payload):\n"
    "    write(f'{payload} {os.getpid()}')\n"
    "    if payload == 'segfault':\n        os.kill(os.getpid(), 11)\n"
    "    end = time.monotonic() + 1\n"
    "    while time.monotonic() < end: pass\n"
    "    write('done')\n"
    "app = Route(os.environ['PULPO_QUEUE'], handlers, policy=Policy(max_attempts=1))\n"
)


def test_a_handler_in_a_process_is_not_disturbed_by_signals_to_the_whole_group(shop: Shop) -> None:
    shop.write(CRUNCH)
    shop.pulpo("publish", "-q", "--type", "crunch", "--payload", "segfault")
    shop.pulpo("publish", "-q", "--type", "crunch", "--payload", "fine")

    with shop.start("run", "jobs:app", "--process-pool", "1", "--json") as running:
        wait_until(lambda: len(pids(shop)) == 2, "the second is at work, in another process")
        running.signal(SIGTERM)
        os.kill(pids(shop)[1], SIGTERM)
        os.kill(pids(shop)[1], SIGINT)
        outcome = running.end()

    assert outcome.status == 0
    assert shop.journal[-1] == "done"
    assert (outcome.json["total"]["acked"], outcome.json["total"]["buried"]) == (1, 1)
    assert "the handler's process was killed by SIGSEGV" in shop.pulpo("buried", "list", "--json").out
