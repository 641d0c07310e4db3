"""`pulpo buried`."""

import pytest

from pulpo_cli.burials.choice import find_buried
from pulpo_core import Bury, Capabilities, Message, Queue, open_queue

from .actors import bury, publish, publish_bytes
from .conftest import Pulpo


@pytest.fixture
def ids(url: str) -> list[str]:
    """Three buried messages: two of one kind, one foreign; and one that is ready."""
    publish(url, Message(request_type="mail", body={"to": "a"}), Message(request_type="mail", body={"to": "b"}))
    publish_bytes(url, b"no document")
    publish(url, Message(request_type="mail"))
    return bury(
        url,
        Bury("fatal", "KeyError: 'name'"),
        Bury("fatal", "KeyError: 'address'"),
        Bury("untranslatable", "not JSON\x1b[2J"),
    )


def test_the_list_says_what_why_and_after_how_many_attempts(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    outcome = pulpo("buried", "list", "--queue", url)

    rows = [line.split() for line in outcome.lines[2:]]
    assert [row[0] for row in rows] == ids
    assert rows[0][1:3] == ["mail", "1"]
    assert rows[0][-3:] == ["fatal", "KeyError:", "'name'"]
    assert "\x1b" not in outcome.out


def test_the_list_as_json_has_bodies_and_reasons(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    shown = pulpo("buried", "list", "--queue", url, "--json").json

    assert [record["id"] for record in shown["records"]] == ids
    assert shown["records"][0]["body"] == {"to": "a"}
    assert shown["records"][2]["raw"] == "no document"
    assert shown["records"][2]["reason"] == "untranslatable"
    assert shown["partial"] is False


def test_a_list_that_is_cut_says_so(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    outcome = pulpo("buried", "list", "--queue", url, "--limit", "2")

    assert len(outcome.lines) == 4
    assert outcome.err.startswith("partial: ")


def test_groups_are_counted_the_largest_first(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    groups = pulpo("buried", "list", "--group", "--queue", url, "--json").json["groups"]

    assert [(each["count"], each["reason"], each["request_type"]) for each in groups] == [
        (2, "fatal", "mail"),
        (1, "untranslatable", None),
    ]
    assert groups[0]["example"] == ids[0]
    assert pulpo("buried", "list", "--group", "--queue", url).lines[2].split()[:3] == ["2", "fatal", "mail"]


def test_show_tells_everything_about_one(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    outcome = pulpo("buried", "show", ids[0], "--queue", url)

    facts = {line.split()[0]: line for line in outcome.lines}
    assert facts["reason"].endswith("fatal")
    assert facts["error"].endswith("KeyError: 'name'")
    assert "ago" in facts["buried"]
    assert '"to": "a"' in outcome.out


def test_only_what_is_buried_is_shown(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    ready = pulpo("peek", "--queue", url, "--json").json["id"]

    assert pulpo("buried", "show", ready, "--queue", url).status == 1


def test_kick_puts_back_to_work(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    assert pulpo("buried", "kick", "--yes", ids[0], "--queue", url).out == "kicked 1 message\n"

    assert pulpo("peek", ids[0], "--queue", url, "--json").json["state"] == "ready"


@pytest.mark.parametrize("command", ["list", "kick --all", "delete --all"])
def test_a_limit_beyond_all_counting_is_wrong_usage(pulpo: Pulpo, url: str, command: str) -> None:
    outcome = pulpo("buried", *command.split(), "--queue", url, "--limit", "9" * 20)

    assert outcome.status == 2
    assert "is not in the range 1<=x<=1000000000" in outcome.complaint


def test_kicking_all_can_be_limited(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    assert pulpo("buried", "kick", "--yes", "--all", "--limit", "2", "--queue", url, "--json").json["kicked"] == 2
    assert pulpo("buried", "kick", "--yes", "--all", "--queue", url).out == "kicked 1 message\n"
    assert pulpo("buried", "kick", "--yes", "--all", "--queue", url).out == "kicked 0 messages\n"


def test_one_wrong_id_keeps_the_others_buried(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    outcome = pulpo("buried", "kick", "--yes", ids[0], "404", "--queue", url)

    assert outcome.status == 1
    assert "404" in outcome.complaint
    assert pulpo("stats", "--queue", url, "--json").json["buried"] == 3


def test_delete_removes_what_is_buried_and_nothing_else(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    ready = pulpo("peek", "--queue", url, "--json").json["id"]

    outcome = pulpo("buried", "delete", "--yes", ids[0], ready, "--queue", url)

    assert outcome.status == 1
    assert outcome.lines == [ids[0]]
    assert ready in outcome.complaint
    counted = pulpo("stats", "--queue", url, "--json").json
    assert (counted["ready"], counted["buried"]) == (1, 2)


def test_delete_all_removes_all_that_is_buried(pulpo: Pulpo, url: str, ids: list[str]) -> None:
    assert pulpo("buried", "delete", "--all", "--yes", "--queue", url).out == "removed 3 messages\n"
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 1


async def test_where_nothing_can_be_looked_up_by_id_the_buried_ones_are_searched(url: str, ids: list[str]) -> None:
    async with open_queue(url) as queue:
        blind = Blind(queue)
        found = await find_buried(blind, ids[1])
        missing = await find_buried(blind, "404")

    assert found is not None
    assert found.id == ids[1]
    assert missing is None


class Blind:
    """A queue without peek, as SQS is."""

    capabilities = Capabilities(peek=frozenset())

    def __init__(self, queue: Queue) -> None:
        self.buried = queue.buried


@pytest.mark.parametrize("command", ["kick", "delete"])
def test_ids_or_all_but_not_both_and_not_neither(pulpo: Pulpo, url: str, command: str) -> None:
    for arguments in ([], ["7", "--all"]):
        outcome = pulpo("buried", command, *arguments, "--queue", url)
        assert outcome.status == 2
        assert "give either IDs, or --all, or filters" in outcome.complaint


def test_nothing_buried_is_no_error_and_an_empty_document(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("buried", "list", "--queue", url)

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "nothing is buried\n")
    assert pulpo("buried", "list", "--queue", url, "--json").json["records"] == []
