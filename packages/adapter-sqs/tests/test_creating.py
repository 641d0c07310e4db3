"""Queues are created when somebody asks, complete with where they bury."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_core import Bury, ConfigurationError, PermissionDenied, Settling
from pulpo_core.testing import ManualClock, SeededJitter
from tests.sqs_server import SqsServer

from .conftest import put, take


async def create(server: SqsServer, name: str, **options: Any) -> str:
    return await SqsAdapter().create(f"sqs://{name}?endpoint_url={server.url}", options)


def attributes(server: SqsServer, name: str) -> dict[str, str]:
    return server.state.queues[name].attributes


async def test_a_queue_comes_with_where_it_buries(server: SqsServer) -> None:
    said = await create(server, "new")

    assert said == "created queue 'new' with dead-letter queue 'new-buried' after 20 receives"
    policy = json.loads(attributes(server, "new")["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": server.state.queues["new-buried"].arn, "maxReceiveCount": 20}
    assert attributes(server, "new-buried")["MessageRetentionPeriod"] == "1209600"


async def test_what_is_created_can_be_worked_with(server: SqsServer, clock: ManualClock) -> None:
    await create(server, "new.fifo")
    url = f"sqs://new.fifo?endpoint_url={server.url}"
    async with SqsAdapter().open(url, clock=clock, jitter=SeededJitter()) as queue:
        await put(queue, 1)
        [delivery] = await take(queue, 1)
        assert await queue.settle([Settling(delivery, Bury("fatal"))]) == [None]
        assert await queue.kick() == 1


async def test_options_are_kept(server: SqsServer) -> None:
    await create(
        server, "new.fifo", dlq="dead.fifo", max_receives=50, visibility="2m", retention="14d", content_dedup=True
    )

    told = attributes(server, "new.fifo")
    assert told["VisibilityTimeout"] == "120"
    assert told["MessageRetentionPeriod"] == "1209600"
    assert told["ContentBasedDeduplication"] == "true"
    assert json.loads(told["RedrivePolicy"])["maxReceiveCount"] == 50
    assert "dead.fifo" in server.state.queues


@pytest.mark.parametrize("retention", [timedelta(days=1), 86_400, "1d", "24h"], ids=repr)
async def test_spans_are_taken_in_every_form(server: SqsServer, retention: object) -> None:
    await create(server, "new", retention=retention)

    assert attributes(server, "new")["MessageRetentionPeriod"] == "86400"


async def test_a_queue_without_a_grave_has_to_be_asked_for(server: SqsServer) -> None:
    assert await create(server, "new", dlq="off") == "created queue 'new'"
    assert "new-buried" not in server.state.queues


async def test_encryption(server: SqsServer) -> None:
    await create(server, "managed", encryption="sqs")
    await create(server, "keyed", encryption="alias/orders")

    assert attributes(server, "managed-buried")["SqsManagedSseEnabled"] == "true"
    assert attributes(server, "keyed")["KmsMasterKeyId"] == "alias/orders"


async def test_every_queue_of_a_set_is_created(server: SqsServer) -> None:
    said = await create(server, "high,low")

    assert said.count("created queue") == 2
    assert {"high", "high-buried", "low", "low-buried"} <= server.state.queues.keys()


async def test_creating_again_changes_nothing_and_is_told(server: SqsServer) -> None:
    first = await create(server, "new")
    before = {name: dict(queue.attributes) for name, queue in server.state.queues.items()}

    again = await create(server, "new")

    assert first == "created queue 'new' with dead-letter queue 'new-buried' after 20 receives"
    assert again == "queue 'new' with dead-letter queue 'new-buried' after 20 receives was there already"
    assert {name: queue.attributes for name, queue in server.state.queues.items()} == before


async def test_whoever_may_create_queues_and_not_look_for_them_can_create(server: SqsServer) -> None:
    server.deny("GetQueueUrl")

    assert (await create(server, "new")).startswith("created queue 'new'")
    assert "new" in server.state.queues


async def test_a_queue_that_is_there_and_different_is_left_alone(server: SqsServer) -> None:
    await create(server, "new", visibility="30s")

    with pytest.raises(ConfigurationError, match="VisibilityTimeout"):
        await create(server, "new", visibility="60s")
    assert attributes(server, "new")["VisibilityTimeout"] == "30"


async def test_a_queue_of_others_is_left_alone_and_where_it_will_bury_is_told(server: SqsServer) -> None:
    server.create("theirs")

    with pytest.raises(
        ConfigurationError, match=r"'theirs' is there already .* 'theirs-buried', to bury in, is there now"
    ):
        await create(server, "theirs")
    assert "RedrivePolicy" not in attributes(server, "theirs")
    assert "theirs-buried" in server.state.queues


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("new", {"fifo": True}, "unknown option .fifo. of a queue; accepted: content_dedup"),
        ("new", {"retention": "15d"}, "retention"),
        ("new", {"visibility": "13h"}, "visibility"),
        ("new", {"max_receives": 0}, "max_receives"),
        ("new", {"content_dedup": True}, "FIFO"),
        ("new.fifo", {"dlq": "dead"}, "both must be FIFO"),
        ("new", {"dlq": "de ad"}, "name of a queue"),
    ],
)
async def test_options_that_make_no_sense_create_nothing(
    server: SqsServer, name: str, options: dict[str, object], says: str
) -> None:
    before = set(server.state.queues)

    with pytest.raises(ConfigurationError, match=says):
        await create(server, name, **options)
    assert set(server.state.queues) == before


async def test_a_missing_permission_is_told(server: SqsServer) -> None:
    server.deny("CreateQueue")

    with pytest.raises(PermissionDenied, match="CreateQueue on queue 'new-buried'"):
        await create(server, "new")
