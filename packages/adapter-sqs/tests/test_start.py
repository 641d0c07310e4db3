"""At the start: whatever is wrong with the deployment is told in one line, and what is right costs little."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from aiobotocore.session import AioSession

from pulpo_adapter_sqs import SqsAdapter
from pulpo_core import Ack, Bury, ConfigurationError, Order, PermissionDenied, Policy, QueueNotFound, Unavailable
from pulpo_core.domain.policy import fit
from pulpo_core.testing import ManualClock, SeededJitter
from tests.sqs_server import Fault, SqsServer
from tests.sqs_state import SqsError

from .conftest import Opener, put, settle, take


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


async def test_a_missing_queue(opener: Opener) -> None:
    with pytest.raises(QueueNotFound) as error:
        async with opener("odrers"):
            pass

    assert "'odrers' in eu-west-1" in one_line(error.value)
    assert "pulpo queue create" in one_line(error.value)


async def test_a_missing_queue_of_another_account(opener: Opener) -> None:
    with pytest.raises(QueueNotFound, match="account 999999999999"):
        async with opener("orders", account="999999999999"):
            pass


async def test_a_missing_region(server: SqsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)

    with pytest.raises(ConfigurationError, match="region="):
        async with SqsAdapter().open("sqs://orders", clock=ManualClock(), jitter=SeededJitter()):
            pass


async def test_missing_credentials(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(ConfigurationError, match="AWS_ACCESS_KEY_ID") as error:
        async with opener():
            pass
    one_line(error.value)


async def test_a_profile_that_is_not_there(opener: Opener) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        async with opener(profile="nowhere"):
            pass


async def test_an_endpoint_that_is_no_url(server: SqsServer) -> None:
    with pytest.raises(ConfigurationError):
        async with SqsAdapter().open("sqs://orders?endpoint_url=nonsense", clock=ManualClock(), jitter=SeededJitter()):
            pass


async def test_a_server_that_is_not_there(server: SqsServer) -> None:
    url = "sqs://orders?endpoint_url=http://127.0.0.1:9"

    with pytest.raises(Unavailable):
        async with SqsAdapter().open(url, clock=ManualClock(), jitter=SeededJitter()):
            pass


async def test_a_name_that_does_not_resolve(server: SqsServer) -> None:
    url = "sqs://orders?endpoint_url=http://sqs.invalid:80"

    with pytest.raises(Unavailable) as error:
        async with SqsAdapter().open(url, clock=ManualClock(), jitter=SeededJitter()):
            pass
    assert not error.value.in_doubt


@pytest.mark.parametrize("operation", ["DeleteMessageBatch", "ChangeMessageVisibilityBatch"])
async def test_a_consumer_without_a_permission_does_not_begin(
    server: SqsServer, opener: Opener, operation: str
) -> None:
    """Receiving without being able to delete means handling everything again and again, for ever."""
    server.deny(operation, "orders")
    async with opener() as queue:
        await put(queue, 1)

        with pytest.raises(PermissionDenied, match=f"{operation} on queue 'orders'"):
            await queue.receive(1, timedelta())

    assert server.requests["ReceiveMessage"] == 0


async def test_a_consumer_that_may_not_read_the_attributes_does_not_begin(server: SqsServer, opener: Opener) -> None:
    server.deny("GetQueueAttributes", "orders")
    async with opener() as queue:
        with pytest.raises(PermissionDenied, match="GetQueueAttributes"):
            await queue.receive(1, timedelta())


async def test_a_producer_needs_no_more_than_to_send(server: SqsServer, opener: Opener) -> None:
    for operation in ("GetQueueAttributes", "ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"):
        server.deny(operation)
    async with opener() as queue:
        await put(queue, 1)

    assert server.bodies("orders") == ["message 0"]


async def test_whoever_has_the_url_need_not_ask_for_it(server: SqsServer) -> None:
    server.deny("GetQueueUrl")
    url = f"sqs://?url={server.url}/000000000000/orders"

    async with SqsAdapter().open(url, clock=ManualClock(), jitter=SeededJitter()) as queue:
        await put(queue, 1)

    assert server.bodies("orders") == ["message 0"]


async def test_a_consumer_with_nowhere_to_bury_does_not_begin(server: SqsServer, opener: Opener) -> None:
    server.create("lonely")
    async with opener("lonely") as queue:
        with pytest.raises(QueueNotFound, match="lonely-buried") as error:
            await queue.receive(1, timedelta())
        assert (await queue.stats()).buried == 0

    assert "dlq=" in one_line(error.value)


async def test_a_dead_letter_queue_that_could_not_hold_every_message(server: SqsServer, opener: Opener) -> None:
    server.create("small", MaximumMessageSize="1024")
    server.create("plain")
    async with opener("plain", dlq="small") as queue:
        with pytest.raises(ConfigurationError, match="MaximumMessageSize"):
            await queue.receive(1, timedelta())


async def test_a_queue_is_not_its_own_grave(server: SqsServer, opener: Opener) -> None:
    server.create("plain")
    async with opener("plain", dlq="plain") as queue:
        with pytest.raises(ConfigurationError, match="itself"):
            await queue.receive(1, timedelta())


async def test_one_session_and_one_client_serve_everything(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    create_client = AioSession.create_client

    def counted(session: AioSession, service_name: str, **options: Any) -> Any:
        made.append(service_name)
        return create_client(session, service_name, **options)

    monkeypatch.setattr(AioSession, "create_client", counted)
    async with opener() as queue:
        await put(queue, 2)
        one, two = await take(queue, 2)
        await queue.extend([one, two])
        await settle(queue, (one, Ack()), (two, Bury("so")))
        await queue.stats()
        await queue.kick()

    assert made == ["sqs"]


async def test_the_look_at_permissions_is_taken_once(server: SqsServer, opener: Opener) -> None:
    async with opener() as queue:
        for _ in range(3):
            await queue.receive(1, timedelta())

        assert server.requests["DeleteMessageBatch"] == server.requests["ChangeMessageVisibilityBatch"] == 1
        assert queue.requests == server.requests


async def test_a_look_that_fails_for_now_is_taken_again(server: SqsServer, opener: Opener) -> None:
    server.fail("DeleteMessageBatch", Fault(error=SqsError("ThrottlingException", "slow down")))
    async with opener() as queue:
        with pytest.raises(Unavailable):
            await queue.receive(1, timedelta())

        assert not await queue.receive(1, timedelta())


class TestCapabilities:
    async def test_of_a_standard_queue(self, opener: Opener) -> None:
        async with opener(visibility="60s", wait="5s") as queue:
            caps = queue.capabilities

        assert (caps.order, caps.groups, caps.priority) == (Order.NONE, False, False)
        assert (caps.lease, caps.max_wait, caps.max_hold) == (
            timedelta(seconds=60),
            timedelta(seconds=5),
            timedelta(hours=12),
        )
        assert (caps.max_delay, caps.max_retry_delay) == (timedelta(seconds=900), timedelta(hours=12))
        assert (caps.late_ack, caps.exact_attempts, caps.attempt_slack) == (True, False, 10)

    async def test_of_a_fifo_queue(self, opener: Opener) -> None:
        async with opener("orders.fifo") as queue:
            caps = queue.capabilities

        assert (caps.order, caps.groups, caps.max_delay, caps.late_ack) == (Order.GROUP, True, timedelta(), False)

    async def test_with_long_delays(self, opener: Opener) -> None:
        async with opener(long_delay="hop") as queue:
            assert (queue.capabilities.max_delay, queue.capabilities.max_retry_delay) == (None, None)

    async def test_the_redrive_policy_bounds_the_attempts(self, server: SqsServer, opener: Opener) -> None:
        target = server.create("dead")
        server.create("tight", RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": "4"}))
        async with opener("tight") as queue:
            assert queue.capabilities.max_receives == 4
            assert fit(Policy(), queue.capabilities).max_attempts == 4
            with pytest.raises(ConfigurationError, match="4"):
                fit(Policy(max_attempts=5), queue.capabilities)

    async def test_the_limit_of_the_queue_bounds_the_body(self, server: SqsServer, opener: Opener) -> None:
        server.create("small", MaximumMessageSize="2048")
        async with opener("small") as queue:
            assert queue.capabilities.max_body_bytes == 1024


async def test_nothing_of_the_bodies_is_logged(opener: Opener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with opener() as queue:
        await put(queue, 1)
        await queue.receive(1, timedelta())

    assert "message 0" not in caplog.text


async def test_credentials_are_never_part_of_a_text(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(QueueNotFound) as error:
        async with opener("missing"):
            pass

    assert "hunter2" not in f"{error.value!r}{error.value.__cause__!r}"
