"""Every command on every kind of queue, as a person meets it: what it says, where, and with which status."""

import itertools
import os

import attrs
import pytest

from tests.servers import AWS_ENVIRONMENT, BeanstalkdServer, free_port

from .conftest import Outcome, Shop

KINDS = ["file", "beanstalkd", "sqs"]

_NUMBERS = itertools.count()

AWS = {**AWS_ENVIRONMENT, "AWS_SECRET_ACCESS_KEY": "canary-of-the-environment"}


@attrs.frozen
class Desk:
    """A folder, and a queue of one kind that nobody else uses."""

    kind: str
    shop: Shop
    url: str

    def __call__(self, *arguments: str, stdin: str | None = None, queue: str | None = None) -> Outcome:
        """Run `pulpo` on the queue."""
        return self.shop.pulpo(*arguments, stdin=stdin, PULPO_QUEUE=queue or self.url, **AWS)

    def lines(self, *arguments: str, queue: str | None = None) -> tuple[int, str]:
        """The status of a command that goes wrong, and its one line."""
        outcome = self(*arguments, queue=queue)
        assert outcome.out == "", outcome.out
        return outcome.status, outcome.complaint

    def count(self, queue: str | None = None) -> dict[str, int]:
        """How many are ready and buried."""
        counted = self("stats", "--json", queue=queue).json
        return {name: counted[name] for name in ("ready", "buried")}


def url_of(kind: str, shop: Shop, request: pytest.FixtureRequest) -> str:
    """A queue of that kind which nobody else uses; it is there."""
    name = f"everywhere-{os.getpid()}-{next(_NUMBERS)}"
    if kind == "file":
        return f"file://{shop.folder}/{name}.db?queue=mail"
    if kind == "beanstalkd":
        server: BeanstalkdServer = request.getfixturevalue("beanstalkd")
        return server.url(name)
    endpoint = request.getfixturevalue("moto_server").url
    url = f"sqs://{name}?region=eu-west-1&endpoint_url={endpoint}&wait=0"
    assert shop.pulpo("queue", "create", "--queue", url, **AWS).status == 0
    return url


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, shop: Shop) -> Desk:
    """A queue of each kind."""
    return Desk(request.param, shop, url_of(request.param, shop, request))


FAILS = "def charge(payload): raise LookupError(f'no customer number {len(payload)}')\n"


def test_what_is_published_can_be_counted_looked_at_taken_out_and_purged(desk: Desk) -> None:
    published = desk("publish", "--type", "mail", "--payload", "a parcel", "--count", "3", "--json")
    assert (published.status, published.json["published"], published.err) == (0, 3, "")
    assert desk.count() == {"ready": 3, "buried": 0}

    if desk.kind == "sqs":
        assert desk.lines("peek") == (6, "pulpo: peek ready: SQS shows no message without handing it out")
        status, line = desk.lines("delete", "--yes", published.json["ids"][0])
        assert (status, "cannot be found by their ids" in line) == (6, True)
        gone = 0
    else:
        assert "a parcel" in desk("peek").out
        assert desk("peek", published.json["ids"][0], "--json").json["body"] == {"payload": "a parcel"}
        assert desk("delete", "--yes", published.json["ids"][1]).out.split() == published.json["ids"][1:2]
        gone = 1

    popped = desk("pop", "--json")
    assert (popped.status, popped.json["request_type"]) == (0, "mail")
    assert desk("purge", "--state", "ready", "--yes", "--json").json == {"removed": 2 - gone}
    assert desk("pop").err == "no message\n"


def test_what_was_buried_is_grouped_shown_kicked_by_filters_and_deleted(desk: Desk) -> None:
    desk.shop.write(FAILS)
    desk(
        "publish",
        "-q",
        "--from-file",
        "-",
        stdin='{"type": "charge", "payload": "x"}\n{"type": "charge", "payload": "xx"}',
    )
    run = desk("run", "--handler", "charge=jobs:charge", "--max-attempts", "1", "--max-messages", "2", "-q")
    assert run.status == 0, run.err

    [group] = desk("buried", "list", "--group", "--json").json["groups"]
    assert (group["count"], group["reason"], group["request_type"]) == (2, "attempts-exhausted", "charge")
    assert group["error"] == "LookupError: no customer number …"
    assert group["oldest"] <= group["newest"]

    shown = desk("buried", "show", group["example"], "--json")
    assert shown.json["body"]["payload"] in {"x", "xx"}
    assert desk("buried", "kick", "--error", "number 1", "--dry-run").out.splitlines()[-1] == "would kick 1 message"
    assert desk("buried", "kick", "--error", "number 1", "--yes").out.splitlines()[-1] == "kicked 1 message"
    assert desk("buried", "delete", "--all", "--yes").out == "removed 1 message\n"
    assert desk("pop", "--json").json["attempts"] == 0  # what was kicked has a fresh budget


@pytest.mark.parametrize("to", KINDS)
def test_messages_move_between_any_two_queues(to: str, request: pytest.FixtureRequest, shop: Shop) -> None:
    kind = KINDS[KINDS.index(to) - 1]
    source = Desk(kind, shop, url_of(kind, shop, request))
    target = url_of(to, shop, request)
    source("publish", "-q", "--type", "mail", "--body", '{"to": "a", "n": [1, 2]}', "--count", "2")

    moved = source("move", "--to", target, "--yes", "--json")

    assert moved.json == {"taken": 2, "put": 2, "moved": 2, "failed": {}, "in_both": 0}
    there = source("pop", "--json", queue=target).json
    assert (there["request_type"], there["body"]) == ("mail", {"to": "a", "n": [1, 2]})


def test_a_route_is_examined_explained_and_simulated(desk: Desk) -> None:
    desk.shop.write(FAILS)
    route = ("--queue", desk.url, "--handler", "charge=jobs:charge")

    examined = desk("doctor", *route, "--json")
    assert examined.status == 0, examined.out
    checks = {each["check"]: each["level"] for each in examined.json}
    assert {"application", "queue", "handlers", "lease", "timeout"} <= checks.keys()
    own = {
        "file": {"file system", "SQLite", "durability"},
        "beanstalkd": {"durability", "job size", "access"},
        "sqs": {"permissions", "redrive", "retention", "clock", "access"},
    }
    assert own[desk.kind] <= checks.keys()

    explained = desk("explain", *route)
    assert (explained.status, explained.err) == (0, "")
    assert "attempts-exhausted" in explained.out
    assert desk("simulate", *route, "--seed", "1", "--json").json["timeline"][-1]["settlement"] == "bury"


COMMANDS: list[list[str]] = [
    ["stats"],
    ["pop"],
    ["publish", "--payload", "x"],
    ["purge", "--state", "ready", "--yes"],
    ["buried", "list"],
    ["buried", "kick", "--all", "--yes"],
    ["move", "--to", "file:///tmp/elsewhere.db", "--yes"],
    ["run", "--handler", "jobs:charge", "--burst"],
]


def unreachable(kind: str) -> str:
    """A broker that is not there."""
    port = free_port()
    if kind == "beanstalkd":
        return f"beanstalkd://127.0.0.1:{port}/mail"
    return f"sqs://mail?region=eu-west-1&endpoint_url=http://127.0.0.1:{port}"


@pytest.mark.parametrize(("kind", "commands"), [("beanstalkd", COMMANDS[::2]), ("sqs", COMMANDS[1::2])])
def test_a_broker_that_is_not_there_is_status_3_and_one_line(kind: str, commands: list[list[str]], shop: Shop) -> None:
    shop.write(FAILS)
    desk = Desk(kind, shop, unreachable(kind))

    for command in commands:
        outcome = desk(*command, "-q", "--queue", desk.url)
        assert (outcome.status, len(outcome.err.splitlines())) == (3, 1), (command, outcome)
    assert desk("doctor", "--queue", desk.url).status == 1


def wrong(kind: str, shop: Shop) -> dict[str, str]:
    """URLs that cannot be right, and what is said about each."""
    return {
        "file": {
            f"file://{shop.folder}/q.db?colour=red": "unknown parameter 'colour'; accepted: ",
            f"file://{shop.folder}/nowhere/q.db": "there is no directory",
            f"file://{shop.folder}/q.db?lease=soon": "'soon' is not a duration",
        },
        "beanstalkd": {
            "beanstalkd://127.0.0.1/": "name the tube",
            "beanstalkd://127.0.0.1/mail?ttr=0": "is not a time to run",
            "beanstalkd://user:canary@127.0.0.1/mail": "must not carry a password",
        },
        "sqs": {
            "sqs://mail?wait=60": "is not a number of whole seconds from 0 to 20",
            "sqs://not a name?region=eu-west-1": "is not the name of a queue",
            "sqs://mail?endpoint_url=http://u:canary@127.0.0.1": "must not carry a user or password",
        },
    }[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_url_that_cannot_be_right_is_status_2_and_one_line_that_says_what_is_wrong(kind: str, shop: Shop) -> None:
    for (url, text), command in zip(wrong(kind, shop).items(), itertools.cycle(COMMANDS), strict=False):
        status, line = Desk(kind, shop, url).lines(*command, "--queue", url)
        assert (status, text in line, "canary" in line) == (2, True, False), (command, line)


def test_a_queue_that_does_not_exist_is_status_2(shop: Shop, request: pytest.FixtureRequest) -> None:
    endpoint = request.getfixturevalue("moto_server").url
    desk = Desk("sqs", shop, f"sqs://no-such-queue?region=eu-west-1&endpoint_url={endpoint}")

    for command in (["stats"], ["publish", "--payload", "x"], ["run", "--handler", "jobs:charge", "--burst", "-q"]):
        desk.shop.write(FAILS)
        outcome = desk(*command, "--queue", desk.url)
        assert (outcome.status, "there is no queue 'no-such-queue'" in outcome.err) == (2, True), (command, outcome)
    examined = desk("doctor", "--queue", desk.url, "--json")
    assert examined.status == 1
    assert any("pulpo queue create" in each["advice"] for each in examined.json)


def test_a_queue_is_paused_for_everybody_where_that_can_be_done(desk: Desk) -> None:
    if desk.kind == "sqs":
        status, line = desk.lines("pause", "--queue", desk.url, "--for", "1m")
        assert (status, "SQS cannot pause a queue for everybody; pause the route of each worker" in line) == (6, True)
        return
    desk("publish", "--payload", "x")
    assert desk("pause", "--queue", desk.url, "--for", "1m", "--json").json == {"paused": desk.url}
    assert desk("stats", "--json").json["paused"] is True
    assert desk("pop").err == "no message\n"
    assert desk("resume", "--queue", desk.url).out == f"resumed {desk.url}, for everybody\n"
    assert "x" in desk("pop").out


def test_workers_of_every_kind_of_queue_are_added_up(desk: Desk) -> None:
    desk.shop.write("async def note(payload): ...\n")
    desk("publish", "-q", "--payload", "x", "--count", "12")
    workers = ("run", "--handler", "jobs:note", "--processes", "2", "--max-messages", "12", "--json")
    ran = desk(*workers)

    assert (ran.status, ran.json["balanced"]) == (0, True), ran.err
    assert [each["total"]["acked"] for each in ran.json["workers"]] == [6, 6]
    assert ran.json["total"]["acked"] == 12
