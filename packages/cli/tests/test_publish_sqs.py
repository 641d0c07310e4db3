"""`pulpo publish-sqs`: bodies as they are."""

from pathlib import Path

import pytest

from pulpo_cli.commands.publish_sqs import url_of
from tests.conftest import aws_credentials, moto_server  # noqa: F401 - fixtures
from tests.moto import MotoServer

from .aws import Aws, aws_on
from .conftest import Outcome, Pulpo


@pytest.fixture
def aws(moto_server: MotoServer, aws_credentials: None) -> Aws:  # noqa: F811 - the fixtures above
    return aws_on(moto_server)


def publish(pulpo: Pulpo, aws: Aws, queue: str, *arguments: str, stdin: str | bytes | None = None) -> Outcome:
    return pulpo("publish-sqs", "--queue", queue, "--endpoint-url", aws.url, *arguments, stdin=stdin)


def test_the_body_is_what_was_given_and_nothing_else(pulpo: Pulpo, aws: Aws) -> None:
    queue = aws.queue()

    outcome = publish(pulpo, aws, queue, "--payload", '{"a":1}')

    [message] = aws.messages(queue)
    assert (outcome.status, outcome.lines, outcome.err) == (0, [message["MessageId"]], "")
    assert message["Body"] == '{"a":1}'


def test_a_body_comes_from_the_command_line_a_file_or_stdin(pulpo: Pulpo, aws: Aws, tmp_path: Path) -> None:
    queue, file = aws.queue(), tmp_path / "body"
    file.write_bytes("ä\n".encode())

    publish(pulpo, aws, queue, "--body", "[1, 2]")
    publish(pulpo, aws, queue, "--body-file", str(file))
    publish(pulpo, aws, queue, "--body-file", "-", stdin="from stdin")

    assert aws.bodies(queue) == ["[1, 2]", "ä\n", "from stdin"]


def test_attributes_stand_beside_it_for_others_to_read(pulpo: Pulpo, aws: Aws) -> None:
    queue = aws.queue()

    publish(pulpo, aws, queue, "--payload", "x", "--attribute", "kind=paid", "--attribute", "number=7")

    attributes = aws.messages(queue)[0]["MessageAttributes"]
    assert {name: attributes[name]["StringValue"] for name in ("kind", "number")} == {"kind": "paid", "number": "7"}


def test_each_line_of_a_file_is_a_body_and_what_cannot_be_one_is_named(pulpo: Pulpo, aws: Aws, tmp_path: Path) -> None:
    queue, file = aws.queue(), tmp_path / "bodies"
    file.write_bytes(b"first\n\n\xff\xfe\nsecond\r\n")

    outcome = publish(pulpo, aws, queue, "--from-file", str(file), "--json")

    assert outcome.status == 1
    assert (outcome.json["published"], outcome.json["failed"]) == (2, 1)
    assert f"{file}:3: not UTF-8: byte 0" in outcome.complaint
    assert aws.bodies(queue) == ["first", "second"]


def test_many_are_published_as_quickly_as_with_publish(pulpo: Pulpo, aws: Aws) -> None:
    queue = aws.queue()

    outcome = publish(pulpo, aws, queue, "--payload", "x", "--count", "25", "-q")

    assert outcome.out == "25\n"
    assert len(aws.bodies(queue)) == 25


def test_a_fifo_queue_gets_its_group_and_drops_what_it_has(pulpo: Pulpo, aws: Aws) -> None:
    queue = aws.queue(".fifo")

    for _ in range(2):
        publish(pulpo, aws, queue, "--payload", "x", "--group", "g", "--dedup-id", "d")

    [message] = aws.messages(queue)
    assert (message["Attributes"]["MessageGroupId"], message["Attributes"]["MessageDeduplicationId"]) == ("g", "d")


@pytest.mark.parametrize(
    ("named", "url"),
    [
        ("orders", "sqs://orders"),
        ("arn:aws:sqs:eu-west-1:1:orders", "sqs://arn:aws:sqs:eu-west-1:1:orders"),
        ("https://sqs.eu-west-1.amazonaws.com/1/orders", "sqs://?url=https://sqs.eu-west-1.amazonaws.com/1/orders"),
        ("sqs://high,low?bands=9", "sqs://high,low?bands=9"),
    ],
    ids=["name", "ARN", "URL at AWS", "URL of pulpo"],
)
def test_a_queue_is_named_as_people_name_it(named: str, url: str) -> None:
    assert url_of(named, {"region": None}) == url
    assert url_of(named, {"region": "eu-west-1"}) == url + ("&" if "?" in url else "?") + "region=eu-west-1"


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ([], 2, "give one of --payload, --body and --body-file"),
        (["--payload", "x", "--body", "{}"], 2, "give one of --payload, --body and --body-file"),
        (["--body", "{"], 2, "--body: not JSON: Expecting property name"),
        (["--payload", "x", "--attribute", "kind"], 2, "--attribute: 'kind' is not NAME=TEXT"),
        (["--payload", "x", "--delay", "1h"], 6, "delays by up to 0:15:00"),
        (["--payload", "x", "--group", "g"], 6, "not a FIFO queue"),
        (["--payload", "x", "--region", "nowhere at all"], 2, "nowhere at all"),
        (["--from-file", "-", "--payload", "x"], 2, "--payload cannot go with --from-file"),
    ],
    ids=range(8),
)
def test_what_cannot_be_is_one_line_and_nothing_is_stored(
    pulpo: Pulpo, aws: Aws, arguments: list[str], status: int, line: str
) -> None:
    queue = aws.queue()

    outcome = publish(pulpo, aws, queue, *arguments)

    assert outcome.status == status
    assert line in outcome.complaint
    assert aws.bodies(queue) == []


def test_bytes_that_are_no_text_are_refused(pulpo: Pulpo, aws: Aws) -> None:
    outcome = publish(pulpo, aws, aws.queue(), "--body-file", "-", stdin=b"\xff")

    assert (outcome.status, outcome.complaint[:56]) == (2, "pulpo: --body-file: not UTF-8: byte 0; AWS carries text;")


def test_a_queue_of_another_kind_is_told_what_is_for_it(pulpo: Pulpo) -> None:
    outcome = pulpo("publish-sqs", "--queue", "file:///tmp/shop.db", "--payload", "x")

    assert outcome.status == 2
    assert "is not at SQS; `pulpo publish` is for every kind of queue" in outcome.complaint


def test_a_queue_of_another_kind_is_told_without_its_secret(pulpo: Pulpo) -> None:
    outcome = pulpo("publish-sqs", "--queue", "beanstalkd://u:canary@host/mail?token=canary", "--payload", "x")

    assert outcome.complaint.startswith("pulpo: --queue: 'beanstalkd://…@host/mail' is not at SQS")


def test_a_missing_queue_is_named_with_a_way_out(pulpo: Pulpo, aws: Aws) -> None:
    outcome = publish(pulpo, aws, "nobody-made-this", "--payload", "x")

    assert outcome.status == 2
    assert "there is no queue 'nobody-made-this' in eu-west-1" in outcome.complaint
    assert "pulpo queue create" in outcome.complaint
