"""`pulpo stats`, `peek`, `pop`, `delete`, `purge`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pulpo_cli.records import facts
from pulpo_core import Bury, Envelope, Message, Record, State

from .actors import bury, publish, publish_bytes
from .conftest import Pulpo


def test_stats_count_every_state(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(), Message(), Message(), Message(delay=60))
    bury(url, Bury("asked"))

    shown = pulpo("stats", "--queue", url)
    counted = pulpo("stats", "--queue", url, "--json").json

    assert [line.split() for line in shown.lines[:5]] == [
        ["queue", url],
        ["ready", "2"],
        ["delayed", "1"],
        ["reserved", "0"],
        ["buried", "1"],
    ]
    assert counted["oldest_age_seconds"] >= 0
    assert [counted[name] for name in ("ready", "delayed", "reserved", "buried", "exact")] == [2, 1, 0, 1, True]


def test_several_queues_are_counted_side_by_side(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(), Message())

    shown = pulpo("stats", "--queue", url, "--queue", f"{url}-empty")
    counted = pulpo("stats", "--queue", url, "--queue", f"{url}-empty", "--json").json

    assert [line.split()[:3] for line in shown.lines[2:]] == [[url, "2", "0"], [f"{url}-empty", "0", "0"]]
    assert [(each["queue"], each["ready"]) for each in counted] == [(url, 2), (f"{url}-empty", 0)]


def test_without_a_queue_all_of_the_settings_are_counted(pulpo: Pulpo, url: str, in_folder: Path) -> None:
    routes = f'[pulpo.routes.a]\nqueue = "{url}"\n[pulpo.routes.b]\nqueue = "{url}-b"\n'
    (in_folder / "pulpo.toml").write_text(routes)

    assert [each["queue"] for each in pulpo("stats", "--json").json] == [url, f"{url}-b"]
    assert pulpo("stats", "--queue", "b", "--json").json["queue"] == f"{url}-b"


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("state", ["ready", "delayed", "buried"])
def test_peek_shows_the_next_of_a_state_and_changes_nothing(pulpo: Pulpo, url: str, state: str) -> None:
    publish(url, Message(request_type="a"))
    bury(url, Bury("asked", "because"))
    publish(url, Message(request_type="b", body={"payload": "text"}), Message(request_type="c", delay=60))
    before = pulpo("stats", "--queue", url, "--json").json

    outcome = pulpo("peek", "--state", state, "--queue", url)

    assert outcome.status == 0
    assert ["state", state] in [line.split() for line in outcome.lines]
    after = pulpo("stats", "--queue", url, "--json").json
    assert {k: v for k, v in after.items() if k != "oldest_age_seconds"} == {
        k: v for k, v in before.items() if k != "oldest_age_seconds"
    }


def test_peek_of_an_empty_queue_is_no_message_and_no_error(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("peek", "--queue", url)

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "no message\n")
    assert pulpo("peek", "--queue", url, "--json").json is None


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["peek", "404"], "pulpo: no message 404 is here"),
        (["buried", "show", "404"], "pulpo: no message 404 is buried here"),
    ],
    ids=["peek", "buried show"],
)
def test_an_id_that_is_not_there_is_named_and_status_1(pulpo: Pulpo, url: str, command: list[str], line: str) -> None:
    outcome = pulpo(*command, "--queue", url)

    assert (outcome.status, outcome.out, outcome.complaint) == (1, "", line)
    assert pulpo(*command, "--queue", url, "--json").json is None


def test_an_id_says_enough(pulpo: Pulpo, url: str) -> None:
    assert "leave it out with an ID" in pulpo("peek", "7", "--state", "ready", "--queue", url).complaint


def test_foreign_bytes_are_shown_as_they_are_with_the_reason(pulpo: Pulpo, url: str) -> None:
    [text, binary] = publish_bytes(url, b"plain \x1b[2J words", b"\xff\xfe")

    shown = pulpo("peek", text, "--queue", url).out
    assert "plain \\x1b[2J words" in shown
    assert "unknown: not JSON" in shown
    assert pulpo("peek", text, "--queue", url, "--json").json["raw"] == "plain \x1b[2J words"
    assert pulpo("peek", binary, "--queue", url, "--json").json["raw_base64"] == "//4="


def test_headers_are_shown_in_full(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(header={"tenant": "acme", "limits": [1, 2]}, priority=3, expiration=60))

    lines = [line.split(maxsplit=2) for line in pulpo("peek", "--queue", url).lines]

    assert ["header", "tenant", "acme"] in lines
    assert ["header", "limits", "[1, 2]"] in lines
    assert ["priority", "3"] in lines


def test_the_uid_is_that_of_the_message_where_the_queue_makes_one_of_its_id() -> None:
    body = b'{"header": {"uid": "01a1ff25-6299-73c6-9c5b-50d3008f3fb5"}, "body": {}}'

    shown = facts(
        Record(id="7", state=State.READY, envelope=Envelope(body=body, uid="beanstalkd:7")), datetime.now(UTC)
    )
    foreign = facts(
        Record(id="7", state=State.READY, envelope=Envelope(body=b"text", uid="beanstalkd:7")), datetime.now(UTC)
    )

    assert (shown["uid"], foreign["uid"]) == ("01a1ff25-6299-73c6-9c5b-50d3008f3fb5", "beanstalkd:7")


def test_pop_prints_the_message_and_takes_it_out(pulpo: Pulpo, url: str) -> None:
    [id_] = publish(url, Message(request_type="greet", body={"payload": "hello"}))

    popped = pulpo("pop", "--queue", url, "--json").json

    assert (popped["id"], popped["state"], popped["body"]) == (id_, "gone", {"payload": "hello"})
    assert pulpo("stats", "--queue", url, "--json").json["reserved"] == 0


def test_pop_from_an_empty_queue_is_no_message_and_no_error(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("pop", "--queue", url)

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "no message\n")
    assert pulpo("pop", "--queue", url, "--json").json is None


def test_delete_removes_what_is_there_and_names_what_is_not(pulpo: Pulpo, url: str) -> None:
    first, second, delayed = publish(url, Message(), Message(), Message(delay=60))

    outcome = pulpo("delete", "--yes", first, "404", delayed, "--queue", url)

    assert outcome.status == 1
    assert outcome.lines == [first, delayed]
    assert "404" in outcome.complaint
    assert pulpo("peek", "--queue", url, "--json").json["id"] == second


def test_delete_as_json_has_both_lists(pulpo: Pulpo, url: str) -> None:
    [id_] = publish(url, Message())

    outcome = pulpo("delete", "--yes", id_, "404", "--queue", url, "--json")

    assert (outcome.json["removed"], outcome.json["deleted"]) == (1, [id_])
    assert list(outcome.json["failed"]) == ["404"]


def test_purge_empties_the_states_that_are_named_and_no_others(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(), Message(), Message(delay=60))
    bury(url, Bury())

    outcome = pulpo("purge", "--state", "ready", "--state", "buried", "--queue", url, "--yes")

    assert outcome.out == "removed 2 messages\n"
    left = pulpo("stats", "--queue", url, "--json").json
    assert [left[name] for name in ("ready", "delayed", "buried")] == [0, 1, 0]


@pytest.mark.parametrize(
    "command",
    [
        ["purge", "--state", "ready"],
        ["delete", "1"],
        ["buried", "delete", "1"],
        ["buried", "kick", "1"],
        ["move", "--to", "memory://elsewhere"],
    ],
)
def test_what_changes_a_queue_needs_yes_where_nobody_can_be_asked(pulpo: Pulpo, url: str, command: list[str]) -> None:
    publish(url, Message())

    outcome = pulpo(*command, "--queue", url, stdin="y\n")

    assert outcome.status == 2
    assert "add --yes" in outcome.complaint
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 1
