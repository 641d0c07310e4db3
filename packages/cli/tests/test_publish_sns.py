"""`pulpo publish-sns`: notifications for topics."""

import subprocess
import sys

import pytest

from tests.conftest import aws_credentials, moto_server  # noqa: F401 - fixtures
from tests.moto import MotoServer
from tests.servers import free_port

from .aws import Aws, aws_on
from .conftest import Outcome, Pulpo


@pytest.fixture
def aws(moto_server: MotoServer, aws_credentials: None) -> Aws:  # noqa: F811 - the fixtures above
    return aws_on(moto_server)


def publish(pulpo: Pulpo, aws: Aws, topic: str, *arguments: str) -> Outcome:
    return pulpo("publish-sns", "--topic", topic, "--endpoint-url", aws.url, *arguments)


def test_what_is_published_is_heard_and_its_id_printed(pulpo: Pulpo, aws: Aws) -> None:
    arn, queue = aws.topic()

    outcome = publish(pulpo, aws, arn, "--body", '{"order": 7}', "--attribute", "kind=paid")

    [message] = aws.messages(queue)
    assert (outcome.status, len(outcome.lines), outcome.err) == (0, 1, "")
    assert message["Body"] == '{"order": 7}'
    assert message["MessageAttributes"]["kind"]["StringValue"] == "paid"


def test_a_topic_is_found_by_its_exact_name(pulpo: Pulpo, aws: Aws) -> None:
    arn, queue = aws.topic()
    name = arn.rpartition(":")[2]

    outcome = publish(pulpo, aws, name, "--payload", "plain text", "--subject", "An order", "--json")

    assert outcome.json.keys() == {"published", "failed", "ids"}
    assert (outcome.json["published"], outcome.json["failed"]) == (1, 0)
    assert aws.bodies(queue) == ["plain text"]


def test_the_end_of_a_name_is_no_name(pulpo: Pulpo, aws: Aws) -> None:
    arn, _ = aws.topic()

    outcome = publish(pulpo, aws, arn.rpartition(":")[2][1:], "--payload", "x")

    assert outcome.status == 2
    assert "there is no topic" in outcome.complaint


def test_a_fifo_topic_needs_a_group_and_an_identity(pulpo: Pulpo, aws: Aws) -> None:
    arn, _ = aws.topic(".fifo")

    refused = publish(pulpo, aws, arn, "--payload", "x")
    accepted = publish(pulpo, aws, arn, "--payload", "x", "--group", "g", "--dedup-id", "d")

    assert (refused.status, accepted.status) == (2, 0)
    assert "a notification needs a group and a dedup_id" in refused.complaint


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give one of --payload, --body and --body-file"),
        (["--body", "not JSON"], "--body: not JSON"),
        (["--payload", ""], "SNS publishes no empty notification"),
        (["--payload", "x", "--subject", "two\nlines"], "subject: expected 1 to 100 ASCII characters"),
        (["--payload", "x", "--attribute", "=x"], "--attribute: '=x' is not NAME=TEXT"),
        (["--payload", "x", "--region", "us-east-1"], "is not in region 'us-east-1'"),
    ],
    ids=range(6),
)
def test_what_cannot_be_is_one_line_and_nothing_is_sent(
    pulpo: Pulpo, aws: Aws, arguments: list[str], line: str
) -> None:
    arn, queue = aws.topic()

    outcome = publish(pulpo, aws, arn, *arguments)

    assert outcome.status == 2
    assert line in outcome.complaint
    assert aws.bodies(queue) == []


def test_a_server_that_does_not_answer_is_status_3(pulpo: Pulpo, aws: Aws) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"

    outcome = pulpo("publish-sns", "--topic", "orders", "--endpoint-url", nowhere, "--payload", "x")

    assert outcome.status == 3
    assert nowhere in outcome.complaint


def test_without_the_adapter_it_says_what_to_install(pulpo: Pulpo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pulpo_adapter_sqs", None)

    outcome = pulpo("publish-sns", "--topic", "orders", "--payload", "x")

    assert outcome.status == 6
    assert outcome.complaint.endswith("pip install pulpo-adapter-sqs")


def test_its_help_loads_neither_the_adapter_nor_a_driver() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from pulpo_cli.main import cli;"
        "assert CliRunner().invoke(cli, ['publish-sns', '--help']).exit_code == 0;"
        "print(*sorted({'pulpo_adapter_sqs', 'aiobotocore', 'botocore'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == ""
