"""What a URL says, and what is wrong with one that says nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_adapter_sqs.settings import Settings
from pulpo_core import InvalidURL
from pulpo_core.testing import ManualClock, SeededJitter


@pytest.mark.parametrize(
    ("url", "name", "region", "account"),
    [
        pytest.param("sqs://orders", "orders", None, None, id="name"),
        pytest.param("sqs://orders.fifo?region=eu-west-1", "orders.fifo", "eu-west-1", None, id="region"),
        pytest.param("sqs://orders?account=123456789012", "orders", None, "123456789012", id="account"),
        pytest.param(
            "sqs://arn:aws:sqs:eu-west-1:123456789012:orders", "orders", "eu-west-1", "123456789012", id="ARN"
        ),
        pytest.param(
            "sqs://arn:aws-cn:sqs:cn-north-1:123456789012:orders.fifo?wait=5s",
            "orders.fifo",
            "cn-north-1",
            "123456789012",
            id="ARN in China",
        ),
        pytest.param(
            "sqs://?url=https://sqs.eu-west-1.amazonaws.com/123456789012/orders",
            "orders",
            "eu-west-1",
            "123456789012",
            id="URL",
        ),
        pytest.param(
            "sqs://?url=https%3A%2F%2Feu-west-1.queue.amazonaws.com%2F123456789012%2Forders",
            "orders",
            "eu-west-1",
            "123456789012",
            id="URL of old, quoted",
        ),
        pytest.param(
            "sqs://?url=http://localhost:4566/000000000000/orders&region=eu-west-1",
            "orders",
            "eu-west-1",
            "000000000000",
            id="URL elsewhere",
        ),
    ],
)
def test_a_queue_is_named_by_name_arn_or_url(url: str, name: str, region: str | None, account: str | None) -> None:
    settings = Settings.of(url)

    [address] = settings.addresses
    assert (address.name, settings.endpoint.region, address.account) == (name, region, account)


def test_a_url_elsewhere_is_its_own_endpoint() -> None:
    assert Settings.of("sqs://?url=http://localhost:4566/0/orders").endpoint.url == "http://localhost:4566"


def test_a_url_of_aws_leaves_the_endpoint_to_the_region() -> None:
    assert Settings.of("sqs://?url=https://sqs.eu-west-1.amazonaws.com/1/orders").endpoint.url is None


def test_several_queues_keep_their_order() -> None:
    settings = Settings.of("sqs://high,normal,low")

    assert [address.name for address in settings.addresses] == ["high", "normal", "low"]


def test_unless_said_otherwise() -> None:
    settings = Settings.of("sqs://orders")

    assert (settings.visibility, settings.wait, settings.hops, settings.lower_every) == (30, 10, False, 20)
    assert settings.endpoint.timeout == timedelta(seconds=10)


def test_everything_can_be_said() -> None:
    settings = Settings.of(
        "sqs://a,b?region=eu-west-1&profile=work&account=1&endpoint_url=http://x:1&visibility=2m&wait=20s"
        "&dlq=dead&long_delay=hop&bands=10&lower_every=0&timeout=500ms"
    )

    assert (settings.visibility, settings.wait, settings.hops, settings.lower_every) == (120, 20, True, 0)
    assert settings.dlq is not None
    assert (settings.dlq.name, settings.bounds, settings.endpoint.profile) == ("dead", (10,), "work")
    assert settings.endpoint.timeout == timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("sqs://", "name the queue", id="no queue"),
        pytest.param("sqs://orders?url=https://sqs.eu-west-1.amazonaws.com/1/orders", "name the queue", id="two names"),
        pytest.param("sqs://orders/more", "nothing may follow", id="a path"),
        pytest.param("sqs://or ders", "name of a queue", id="a blank"),
        pytest.param(f"sqs://{'x' * 81}", "name of a queue", id="too long"),
        pytest.param("sqs://a,b,a", "twice", id="one queue twice"),
        pytest.param("sqs://a,b,c,d", "bands=", id="four queues without bands"),
        pytest.param("sqs://a,b?bands=1,2", "bands=", id="too many bands"),
        pytest.param("sqs://a,b,c?bands=2,1", "rise", id="bands that fall"),
        pytest.param("sqs://arn:aws:sns:eu-west-1:1:topic", "ARN", id="the ARN of something else"),
        pytest.param("sqs://arn:aws:sqs:eu-west-1:1:orders?region=us-east-1", "one region", id="two regions"),
        pytest.param("sqs://orders?url=ftp://x/orders", "URL of a queue", id="a URL of something else"),
        pytest.param("sqs://orders?visibility=2s", "3 to 43200", id="visibility too short"),
        pytest.param("sqs://orders?visibility=13h", "3 to 43200", id="visibility too long"),
        pytest.param("sqs://orders?visibility=3500ms", "whole seconds", id="visibility with a fraction"),
        pytest.param("sqs://orders?wait=21s", "0 to 20", id="wait too long"),
        pytest.param("sqs://orders?timeout=0s", "more than 0", id="no time at all"),
        pytest.param("sqs://orders?long_delay=maybe", "hop", id="long_delay unknown"),
        pytest.param("sqs://orders?visiblity=3s", "visibility", id="a slip of the pen"),
        pytest.param("sqs://orders?aws_secret_access_key=x", "unknown parameter", id="a secret"),
    ],
)
def test_what_is_wrong_is_told_at_once(url: str, says: str) -> None:
    with pytest.raises(InvalidURL, match=says):
        SqsAdapter().open(url, clock=ManualClock(), jitter=SeededJitter())


def test_making_an_adapter_and_a_context_imports_no_driver() -> None:
    import subprocess
    import sys

    code = (
        "import sys, pulpo_adapter_sqs as a, pulpo_core.testing as t\n"
        "a.SqsAdapter().open('sqs://orders', clock=t.ManualClock(), jitter=t.SeededJitter())\n"
        "sys.exit(any(name in sys.modules for name in ('aiobotocore', 'botocore', 'aiohttp')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
