"""What a user does on the first day: three lines of handler, publish, run, look, repair."""

import subprocess
import sys
import time
from signal import SIGTERM

import pytest

from tests.servers import BeanstalkdServer

from .conftest import JOURNAL, PULPO, Shop, wait_until

NOTHING = {"ready": 0, "delayed": 0, "reserved": 0, "buried": 0}


def test_three_lines_of_handler_are_an_application(shop: Shop) -> None:
    shop.write('def greet(payload):\n    with open("journal", "a") as journal:\n        print(payload, file=journal)\n')

    published = shop.pulpo("publish", "--type", "greet", "--payload", "from the shell")
    subprocess.run(
        [
            sys.executable,
            "-c",
            "from pulpo_core import Message, open_publisher_sync\n"
            f"with open_publisher_sync({shop.url!r}) as publisher:\n"
            "    publisher.publish(Message(request_type='greet', body={'payload': 'from Python'}))",
        ],
        check=True,
    )
    worked = shop.pulpo("run", "--handler", "greet=jobs:greet", "--burst", "--json")

    assert published.status == 0
    assert worked.status == 0
    assert sorted(shop.journal) == ["from Python", "from the shell"]
    assert (worked.json["total"]["acked"], worked.json["balanced"]) == (2, True)
    assert shop.counts() == NOTHING


def test_a_worker_that_waits_gets_what_another_process_publishes(shop: Shop) -> None:
    shop.write(JOURNAL + "async def greet(payload): write(payload)\n")

    with shop.start("run", "--handler", "greet=jobs:greet", "-v") as worker:
        shop.pulpo("publish", "--type", "greet", "--payload", "hello")
        wait_until(lambda: shop.journal, "the message was handled")
        worker.signal(SIGTERM)
        outcome = worker.end()

    assert outcome.status == 0
    assert "greet 1 attempt 1 acked (handled)" in outcome.err
    assert "hello" not in outcome.err
    assert shop.counts() == NOTHING


def test_what_fails_is_retried_after_a_backoff_and_then_buried_with_its_reason(shop: Shop) -> None:
    shop.write(
        JOURNAL
        + "def charge(payload, delivery):\n"
        + "    write(f'{delivery.attempt} {time.time()}')\n"
        + "    raise ConnectionError('the bank does not answer')\n"
        + "handlers = Handlers()\nhandlers.add('charge', charge)\n"
        + "backoff = Backoff(base=timedelta(seconds=0.4), jitter='none')\n"
        + f"routes = [Route({shop.url!r}, handlers, policy=Policy(max_attempts=2, backoff=backoff))]\n"
    )
    shop.pulpo("publish", "--type", "charge", "--payload", "17 coins")

    first = shop.pulpo("run", "jobs:routes", "--burst", "--json")
    assert first.json["total"]["retried"] == 1
    with shop.start("run", "jobs:routes", "--max-messages", "1") as second:
        assert second.end().status == 0

    attempts = [line.split() for line in shop.journal]
    assert [number for number, _ in attempts] == ["1", "2"]
    assert float(attempts[1][1]) - float(attempts[0][1]) >= 0.4
    [record] = shop.pulpo("buried", "list", "--json").json["records"]
    assert record["reason"] == "attempts-exhausted"
    assert record["error"] == "ConnectionError: the bank does not answer"
    assert record["attempts"] == 2
    assert "the bank does not answer" in shop.pulpo("buried", "show", record["id"]).out


def test_what_was_buried_is_kicked_once_the_cause_is_mended(shop: Shop) -> None:
    shop.write("def charge(payload): raise RuntimeError('not written yet')\n")
    shop.pulpo("publish", "--type", "charge", "--payload", "17 coins")
    shop.pulpo("run", "--handler", "charge=jobs:charge", "--burst", "--max-attempts", "1")
    assert shop.counts() == NOTHING | {"buried": 1}

    shop.write(JOURNAL + "def charge(payload, delivery): write(f'{delivery.attempt} {payload}')\n")
    assert shop.pulpo("buried", "kick", "--all", "--yes").out == "kicked 1 message\n"
    shop.pulpo("run", "--handler", "charge=jobs:charge", "--burst")

    assert shop.journal == ["1 17 coins"]
    assert shop.counts() == NOTHING


def test_a_message_without_handler_and_one_that_is_none_are_set_aside_and_not_lost(shop: Shop) -> None:
    shop.write("async def greet(): ...\n")
    shop.pulpo("publish", "--type", "unheard-of", "--payload", "x")

    shop.pulpo("run", "--handler", "greet=jobs:greet", "--burst")

    [record] = shop.pulpo("buried", "list", "--json").json["records"]
    assert record["reason"] == "no-handler"
    assert record["body"] == {"payload": "x"}


# ----------------------------------------------------------------------------------------- the same on every queue


@pytest.fixture(params=["file", "beanstalkd"])
def any_url(request: pytest.FixtureRequest, shop: Shop) -> str:
    """A queue of each kind that needs no cloud."""
    if request.param == "file":
        return shop.url
    server: BeanstalkdServer = request.getfixturevalue("beanstalkd")
    return server.url(f"e2e-{time.time_ns()}")


def test_what_is_put_can_be_looked_at_and_taken_out_again(shop: Shop, any_url: str) -> None:
    queue = ("--queue", any_url)

    put = shop.pulpo("publish", *queue, "--payload", "a parcel")
    peeked = shop.pulpo("peek", *queue)
    popped = shop.pulpo("pop", *queue, "--json")
    empty = shop.pulpo("pop", *queue)

    assert (put.status, peeked.status, popped.status) == (0, 0, 0)
    assert "a parcel" in peeked.out
    assert popped.json["id"] == put.out.strip()
    assert (empty.status, empty.out, empty.err) == (0, "", "no message\n")


def test_an_id_that_is_not_there_is_status_1_everywhere(shop: Shop, any_url: str) -> None:
    commands = [["peek"], ["delete", "-y"], ["buried", "kick", "-y"], ["buried", "show"], ["buried", "delete", "-y"]]
    shop.pulpo("publish", "--payload", "x", "--queue", any_url)

    for command in commands:
        outcome = shop.pulpo(*command, "999999", "--queue", any_url)
        assert outcome.status == 1, command
        assert len((outcome.out + outcome.err).splitlines()) == 1, command
    assert shop.pulpo("peek", "999999", "--queue", any_url).err == "pulpo: no message 999999 is here\n"


def test_what_was_buried_can_be_listed_kicked_and_deleted_everywhere(shop: Shop, any_url: str) -> None:
    queue = ("--queue", any_url)
    shop.write("def charge(payload): raise LookupError('no such customer')\n")
    ids = shop.pulpo("publish", *queue, "--type", "charge", "--payload", "x", "--count", "3").out.split()

    shop.pulpo("run", *queue, "--handler", "charge=jobs:charge", "--max-attempts", "1", "--max-messages", "3")

    records = shop.pulpo("buried", "list", *queue, "--json").json["records"]
    assert sorted(record["id"] for record in records) == sorted(ids)
    assert {record["reason"] for record in records} == {"attempts-exhausted"}
    assert {record["error"] for record in records} == {"LookupError: no such customer"}
    assert shop.pulpo("buried", "kick", ids[0], "--yes", *queue).out == "kicked 1 message\n"
    assert shop.pulpo("buried", "delete", ids[1], "--yes", *queue).out.split() == [ids[1]]
    counted = shop.pulpo("stats", *queue, "--json").json
    assert (counted["ready"], counted["buried"]) == (1, 1)


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["run", "--handler", "greet=jobs:greet", "--queue", "nope://x"], 2, "no adapter for 'nope' is installed"),
        (["run", "--handler", "greet=nowhere:greet"], 4, "no module 'nowhere' in "),
        (["run", "--handler", "greet=jobs:number"], 4, "cannot be called"),
        (["run", "--handler", "jobs:greet", "--queue", "beanstalkd://127.0.0.1:1/x"], 3, "127.0.0.1:1"),
        (["publish", "--body", "{"], 2, "--body: not JSON"),
        (["publish", "--payload", "x", "--queue", "file:///nowhere/at/all.db"], 2, "there is no directory"),
        (["queue", "create", "--queue", "memory://x"], 6, "needs no creating"),
    ],
    ids=range(7),
)
def test_what_is_wrong_is_one_line_and_its_status(shop: Shop, arguments: list[str], status: int, line: str) -> None:
    shop.write("number = 3\nasync def greet(): ...\n")

    outcome = shop.pulpo(*arguments)

    assert outcome.status == status
    assert outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert line in last
    assert len([each for each in outcome.err.splitlines() if each.startswith("pulpo: ")]) == 1
    assert "Traceback" not in outcome.err


def test_a_reader_that_has_seen_enough_is_no_drama(shop: Shop) -> None:
    shop.pulpo("publish", "-q", "--payload", "x", "--count", "900")
    shop.write("def bad(): raise RuntimeError\n")
    shop.pulpo("run", "--handler", "jobs:bad", "--max-attempts", "1", "--burst", "-q")

    done = subprocess.run(
        f"{PULPO} buried list --limit 900 --json --queue '{shop.url}' | head -c 20",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )

    assert done.stdout.startswith('{"records": [')
    assert done.stderr == ""
