"""`pulpo adapters`, `move`, `queue create`."""

import sys

import pytest

from pulpo_core import Message

from .actors import publish
from .conftest import Pulpo


def test_every_installed_adapter_is_listed_with_what_it_promises(pulpo: Pulpo) -> None:
    listed = {each["scheme"]: each for each in pulpo("adapters", "--json").json}

    assert {"memory", "file"} <= listed.keys()
    assert listed["memory"]["distribution"] == "pulpo-core"
    assert listed["memory"]["capabilities"]["priority"] is True
    assert listed["memory"]["capabilities"]["lease"] == 30.0
    assert sorted(listed["memory"]["capabilities"]["peek"]) == ["buried", "delayed", "id", "ready"]


def test_the_table_has_a_column_for_each(pulpo: Pulpo) -> None:
    lines = pulpo("adapters").lines

    assert {"memory://", "file://"} <= set(lines[0].split())
    assert any(line.startswith("durability") for line in lines)


def test_listing_adapters_imports_no_driver(pulpo: Pulpo) -> None:
    drivers = {"greenstalk", "aiobotocore", "botocore"}
    before = drivers & set(sys.modules)

    pulpo("adapters")

    assert drivers & set(sys.modules) == before


def test_move_takes_what_is_ready_to_the_other_queue(pulpo: Pulpo, url: str) -> None:
    other = f"{url}-other"
    publish(url, *(Message(request_type="greet", body={"n": n}) for n in range(250)), Message(delay=60))

    outcome = pulpo("move", "--yes", "--queue", url, "--to", other)

    assert outcome.out == "moved 250 messages\n"
    assert pulpo("stats", "--queue", other, "--json").json["ready"] == 250
    left = pulpo("stats", "--queue", url, "--json").json
    assert (left["ready"], left["reserved"], left["delayed"]) == (0, 0, 1)


def test_what_is_moved_keeps_its_identity_and_priority(pulpo: Pulpo, url: str) -> None:
    other = f"{url}-other"
    publish(url, Message(body={"k": 1}, priority=9, header={"tenant": "acme"}))
    uid = pulpo("peek", "--queue", url, "--json").json["header"]["uid"]

    pulpo("move", "--yes", "--queue", url, "--to", other)

    moved = pulpo("peek", "--queue", other, "--json").json
    assert (moved["header"]["uid"], moved["header"]["priority"], moved["body"]) == (uid, 9, {"k": 1})


def test_a_move_can_be_limited(pulpo: Pulpo, url: str) -> None:
    publish(url, *(Message() for _ in range(5)))

    assert pulpo("move", "--yes", "--queue", url, "--to", f"{url}-other", "--limit", "2", "--json").json["moved"] == 2
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 3


def test_what_the_other_queue_refuses_stays(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(body={"payload": "x" * 400}))

    outcome = pulpo("move", "--yes", "--queue", url, "--to", f"{url}-other?max_body=300")

    assert outcome.status == 1
    assert outcome.out == "moved 0 messages\n"
    counted = pulpo("stats", "--queue", url, "--json").json
    assert (counted["ready"], counted["reserved"]) == (1, 0)


def test_a_queue_is_not_moved_into_itself(pulpo: Pulpo, url: str) -> None:
    publish(url, Message())

    outcome = pulpo("move", "--yes", "--queue", url, "--to", f"{url}?lease=5s")

    assert outcome.status == 2
    assert "both URLs seem to name the same queue" in outcome.complaint
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 1


def test_a_queue_that_needs_no_creating_is_status_6(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("queue", "create", "--queue", url)

    assert outcome.status == 6
    assert "needs no creating" in outcome.complaint


def test_an_option_of_a_queue_is_a_pair(pulpo: Pulpo, url: str) -> None:
    assert pulpo("queue", "create", "--queue", url, "--option", "fifo").status == 2


@pytest.mark.parametrize("to", ["nope://x", "memory://x?colour=red"])
def test_the_other_queue_is_looked_at_before_anything_moves(pulpo: Pulpo, url: str, to: str) -> None:
    publish(url, Message())

    assert pulpo("move", "--yes", "--queue", url, "--to", to).status == 2
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 1
