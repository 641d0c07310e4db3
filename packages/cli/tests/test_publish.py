"""`pulpo publish`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .conftest import Pulpo


def test_it_prints_the_id(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "--queue", url, "--type", "greet", "--payload", "hello")

    assert (outcome.status, outcome.err) == (0, "")
    [id_] = outcome.lines
    shown = pulpo("peek", id_, "--queue", url, "--json").json
    assert shown["request_type"] == "greet"
    assert shown["body"] == {"payload": "hello"}


def test_a_body_is_an_object_from_the_command_line_a_file_or_stdin(pulpo: Pulpo, url: str, tmp_path: Path) -> None:
    written = '{"to": "ä", "count": 0}'
    file = tmp_path / "body.json"
    file.write_text(written)

    pulpo("publish", "--queue", url, "--body", written)
    pulpo("publish", "--queue", url, "--body-file", str(file))
    pulpo("publish", "--queue", url, "--body-file", "-", stdin=written)

    assert [pulpo("pop", "--queue", url, "--json").json["body"] for _ in range(3)] == [{"to": "ä", "count": 0}] * 3


def test_headers_priority_and_times_travel_with_it(pulpo: Pulpo, url: str) -> None:
    before = datetime.now(UTC)
    pulpo(
        *("publish", "--queue", url, "--payload", "x", "--priority", "7", "--delay", "90", "--expires", "2h"),
        *("--header", "tenant=acme", "--header", "limit=3"),
    )

    header = pulpo("peek", "--state", "delayed", "--queue", url, "--json").json["header"]
    assert (header["tenant"], header["limit"], header["priority"]) == ("acme", 3, 7)
    assert datetime.fromisoformat(header["delay"]) - before >= timedelta(seconds=90)
    assert datetime.fromisoformat(header["expiration"]) - before >= timedelta(hours=2)


def test_a_delay_that_is_over_is_none(pulpo: Pulpo, url: str) -> None:
    for past in ("0", "-5", "2020-01-01T00:00:00Z"):
        assert pulpo("publish", "--queue", url, "--payload", "x", "--delay", past).status == 0

    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 3


def test_many_have_an_identity_each(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "--queue", url, "--payload", "x", "--count", "1200")

    assert len(set(outcome.lines)) == 1200
    assert outcome.err.startswith("published 1,200 messages in ")
    uids = {pulpo("pop", "--queue", url, "--json").json["header"]["uid"] for _ in range(3)}
    assert len(uids) == 3


def test_quietly_it_prints_only_how_many(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "-q", "--queue", url, "--payload", "x", "--count", "700")

    assert (outcome.out, outcome.err) == ("700\n", "")


def test_as_json_it_prints_one_document(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "--queue", url, "--payload", "x", "--count", "2", "--json")

    assert outcome.json.keys() == {"published", "failed", "ids"}
    assert (outcome.json["published"], outcome.json["failed"], len(outcome.json["ids"])) == (2, 0, 2)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--body", "{"], "--body: not JSON: Expecting property name"),
        (["--body", '"a'], "--body: not JSON: Unterminated string starting at column 1"),
        (["--body", "[1]"], "--body: expected a JSON object, not an array; a single value goes into --payload"),
        (["--body", "{}", "--payload", "x"], "give only one of --payload, --body and --body-file"),
        (["--body-file", "nowhere.json"], "'nowhere.json': No such file or directory"),
        (["--delay", "soon"], "Invalid value for '--delay': 'soon' is neither seconds"),
        (["--priority", "high"], "Invalid value for '--priority'"),
        (["--count", "0"], "Invalid value for '--count'"),
        (["--header", "tenant"], "--header: 'tenant' is not NAME=VALUE"),
        (["--header", "priority=5"], "header: 'priority' has a field of its own"),
        (["--delay", "1e15"], "Invalid value for '--delay'"),
        (["--delay", "9e12"], "delay: 104166666 days, 16:00:00 from now is beyond the calendar"),
        (["--type", ""], "request_type: '' is none that a handler could have; leave it out"),
    ],
    ids=range(13),
)
def test_a_wrong_option_is_one_line_and_nothing_is_stored(
    pulpo: Pulpo, url: str, arguments: list[str], line: str
) -> None:
    outcome = pulpo("publish", "--queue", url, *arguments)

    assert outcome.status == 2
    assert line in outcome.complaint
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 0


def test_a_message_that_the_queue_cannot_take_is_told_once(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "--queue", f"{url}?max_body=300", "--payload", "x" * 400, "--count", "50")

    assert outcome.status == 1
    assert outcome.out == ""
    assert "this queue carries up to 300" in outcome.complaint


# ------------------------------------------------------------------------------------------------------- --from-file


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    file = tmp_path / "jobs.ndjson"
    file.write_text(
        '{"type": "greet", "payload": "first"}\n'
        "\n"
        "broken\n"
        '{"header": {"request_type": "greet"}, "body": {"payload": "second"}}\n'
        '{"type": "greet", "prio": 1}\n'
    )
    return file


def test_the_lines_that_are_messages_are_published_and_the_others_named(pulpo: Pulpo, url: str, jobs: Path) -> None:
    outcome = pulpo("publish", "--queue", url, "--from-file", str(jobs))

    assert outcome.status == 1
    assert len(outcome.lines) == 2
    assert outcome.err.splitlines()[0] == f"pulpo: {jobs}:3: not JSON: Expecting value at column 1"
    assert outcome.err.splitlines()[1].startswith(f"pulpo: {jobs}:5: unknown key 'prio'")
    assert outcome.err.splitlines()[2].endswith("2 could not be")
    assert [pulpo("pop", "--queue", url, "--json").json["body"]["payload"] for _ in range(2)] == ["first", "second"]


def test_a_file_can_come_from_stdin_and_a_good_one_is_status_0(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("publish", "-q", "--queue", url, "--from-file", "-", stdin='{"payload": 1}\n' * 1001)

    assert (outcome.status, outcome.out) == (0, "1001\n")
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 1001


def test_a_line_that_the_queue_cannot_take_keeps_nobody_out(pulpo: Pulpo, url: str, tmp_path: Path) -> None:
    file = tmp_path / "jobs.ndjson"
    file.write_text('{"payload": "%s"}\n{"payload": "small"}\n' % ("x" * 400))

    outcome = pulpo("publish", "--queue", f"{url}?max_body=300", "--from-file", str(file), "--json")

    assert outcome.status == 1
    assert (outcome.json["published"], outcome.json["failed"]) == (1, 1)
    assert f"{file}:1: the message takes" in outcome.complaint


def test_what_lines_say_for_themselves_cannot_be_said_beside_them(pulpo: Pulpo, url: str, jobs: Path) -> None:
    outcome = pulpo("publish", "--queue", url, "--from-file", str(jobs), "--priority", "1")

    assert outcome.status == 2
    assert "--priority cannot go with --from-file" in outcome.complaint
