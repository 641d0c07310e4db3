"""Topics: found by their exact name, published to in tens, and heard by queues. On moto's server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from pulpo_adapter_sqs import Notification, SnsForwarder, SqsAdapter, SqsForwarder, SqsQueue, open_topic
from pulpo_core import (
    Ack,
    AnyJson,
    ConfigurationError,
    Dispatcher,
    Handlers,
    InvalidMessage,
    Message,
    MessageTooLarge,
    QueueNotFound,
    Route,
    Settling,
    SnsNotification,
    SystemClock,
    SystemJitter,
    Unavailable,
    Until,
)
from tests.clocks import SystemTime
from tests.moto import MotoServer


@pytest.fixture
def moto(moto_server: MotoServer) -> MotoServer:
    moto_server.clock = SystemTime()
    return moto_server


@pytest.fixture
def sns(moto: MotoServer) -> Any:
    """SNS by the vendor's own client."""
    client = boto3.client("sns", endpoint_url=moto.url)
    yield client
    for topic in client.list_topics()["Topics"]:
        client.delete_topic(TopicArn=topic["TopicArn"])


@pytest.fixture
async def heard(moto: MotoServer, sns: Any) -> AsyncIterator[SqsQueue]:
    """A queue that hears the topic ``orders``, wrapped."""
    async for queue in _subscribed(moto, sns, raw="false"):
        yield queue


@pytest.fixture
async def heard_raw(moto: MotoServer, sns: Any) -> AsyncIterator[SqsQueue]:
    """A queue that hears the topic ``orders``, raw."""
    async for queue in _subscribed(moto, sns, raw="true"):
        yield queue


async def _subscribed(moto: MotoServer, sns: Any, *, raw: str) -> AsyncIterator[SqsQueue]:
    url = f"sqs://heard?endpoint_url={moto.url}"
    await SqsAdapter().create(url, {})
    topic = sns.create_topic(Name="orders")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint="arn:aws:sqs:eu-west-1:123456789012:heard",
        Attributes={"RawMessageDelivery": raw},
    )
    async with SqsAdapter().open(url, clock=SystemClock(), jitter=SystemJitter()) as queue:
        yield queue
    sqs = boto3.client("sqs", endpoint_url=moto.url)  # with whatever is still in hand, and would come again
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="heard")["QueueUrl"])


async def next_message(queue: SqsQueue, translator: SnsNotification) -> Message:
    [delivery] = await queue.receive(1, timedelta(seconds=5))
    await queue.settle([Settling(delivery, Ack())])
    return translator.translate(delivery.envelope)


async def test_what_is_published_is_heard(moto: MotoServer, heard: SqsQueue) -> None:
    async with open_topic("orders", endpoint_url=moto.url) as topic:
        name = await topic.publish(
            Notification(content='{"order": 7}', subject="An order", attributes={"kind": "paid"})
        )

    message = await next_message(heard, SnsNotification(type_attribute="kind"))
    assert (message.request_type, message.body) == ("paid", {"order": 7})
    assert message.header["Subject"] == "An order"
    assert message.header["SnsMessageId"] == name
    assert message.header["TopicArn"].endswith(":orders")


async def test_raw_delivery_is_heard_too(moto: MotoServer, heard_raw: SqsQueue) -> None:
    async with open_topic("orders", endpoint_url=moto.url) as topic:
        await topic.publish(Notification(content='{"order": 7}', attributes={"kind": "paid"}))

    message = await next_message(heard_raw, SnsNotification(raw=True, type_attribute="kind"))
    assert (message.request_type, message.body) == ("paid", {"order": 7})


async def test_a_topic_by_its_arn_is_not_looked_up(moto: MotoServer, sns: Any) -> None:
    arn = sns.create_topic(Name="orders")["TopicArn"]

    async with open_topic(arn, endpoint_url=moto.url) as topic:
        assert topic.arn == arn
        assert topic.name == "orders"


async def test_a_name_is_found_on_whatever_page_it_is(moto: MotoServer, sns: Any) -> None:
    for number in range(250):  # a page has a hundred
        sns.create_topic(Name=f"topic-{number}")

    async with open_topic("topic-249", endpoint_url=moto.url) as topic:
        assert topic.name == "topic-249"


@pytest.mark.parametrize("name", ["order", "orders-eu", "my-orders", "Orders"])
async def test_a_name_must_match_to_the_letter(moto: MotoServer, sns: Any, name: str) -> None:
    sns.create_topic(Name="orders")

    with pytest.raises(QueueNotFound, match=name):
        async with open_topic(name, endpoint_url=moto.url):
            pass


@pytest.mark.parametrize("topic", ["arn:aws:sqs:eu-west-1:1:orders", "or ders", "", "arn:aws:sns:*:orders"])
async def test_what_is_no_topic_is_told_before_anything_is_asked(moto: MotoServer, topic: str) -> None:
    with pytest.raises(ConfigurationError, match="topic"):
        async with open_topic(topic, endpoint_url=moto.url):
            pass


async def test_publishing_to_a_topic_that_is_gone(moto: MotoServer, sns: Any) -> None:
    arn = sns.create_topic(Name="gone")["TopicArn"]
    sns.delete_topic(TopicArn=arn)

    async with open_topic(arn, endpoint_url=moto.url) as topic:
        with pytest.raises((QueueNotFound, Unavailable)):
            await topic.publish("x")


async def test_many_are_published_in_tens(moto: MotoServer, heard: SqsQueue) -> None:
    async with open_topic("orders", endpoint_url=moto.url) as topic:
        answers = await topic.publish_many([str(number) for number in range(25)])

    assert len({answer for answer in answers if isinstance(answer, str)}) == 25
    payloads = set()
    while len(payloads) < 25:
        for delivery in await heard.receive(25, timedelta(seconds=5)):
            payloads.add(SnsNotification().translate(delivery.envelope).payload)
    assert payloads == set(range(25))


@pytest.mark.parametrize(
    ("notification", "error"),
    [
        pytest.param(Notification(content=""), InvalidMessage, id="nothing"),
        pytest.param(Notification(content="\x00"), InvalidMessage, id="a control character"),
        pytest.param(Notification(content="x", subject="two\nlines"), InvalidMessage, id="a subject of two lines"),
        pytest.param(Notification(content="x", subject="x" * 101), InvalidMessage, id="a long subject"),
        pytest.param(Notification(content="x", subject="ü"), InvalidMessage, id="a subject that is no ASCII"),
        pytest.param(Notification(content="x", attributes={"": "x"}), InvalidMessage, id="an attribute without a name"),
        pytest.param(Notification(content="x", attributes={"n": ""}), InvalidMessage, id="one without a value"),
        pytest.param(Notification(content="x" * 262_145), MessageTooLarge, id="too much"),
        pytest.param(Notification(content="ü" * 131_073), MessageTooLarge, id="too much in bytes"),
    ],
)
async def test_what_sns_would_refuse_is_not_sent(
    moto: MotoServer, sns: Any, notification: Notification, error: type[Exception]
) -> None:
    sns.create_topic(Name="orders")
    async with open_topic("orders", endpoint_url=moto.url) as topic:
        with pytest.raises(error):
            await topic.publish(notification)


async def test_a_fifo_topic_needs_a_group_and_an_identity(moto: MotoServer, sns: Any) -> None:
    sns.create_topic(Name="orders.fifo", Attributes={"FifoTopic": "true"})
    async with open_topic("orders.fifo", endpoint_url=moto.url) as topic:
        with pytest.raises(InvalidMessage, match="dedup_id"):
            await topic.publish("x")
        assert await topic.publish(Notification(content="x", group="g", dedup_id="d"))


class TestForwarders:
    async def test_a_service_that_passes_messages_on_to_a_queue(self, moto: MotoServer) -> None:
        source, target = (f"sqs://{name}?endpoint_url={moto.url}" for name in ("from", "to"))
        for url in (source, target):
            await SqsAdapter().create(url, {})
        boto3.client("sqs", endpoint_url=moto.url).send_message(QueueUrl="from", MessageBody='{"order": 7}')
        forwarder = SqsForwarder(target)
        route = Route(source, _only(forwarder), translator=AnyJson())

        dispatcher = Dispatcher([route], until=Until(burst=True))
        await dispatcher.run()

        [ledger] = dispatcher.ledgers.values()
        assert (ledger.received, ledger.acked) == (1, 1)
        async with SqsAdapter().open(target, clock=SystemClock(), jitter=SystemJitter()) as queue:
            [delivery] = await queue.receive(1, timedelta())
            assert json.loads(delivery.envelope.body) == {"order": 7}
            await queue.settle([Settling(delivery, Ack())])

    async def test_passing_on_to_a_topic(self, moto: MotoServer, heard: SqsQueue) -> None:
        forwarder = SnsForwarder("orders", endpoint_url=moto.url, subject="An order")

        assert await forwarder.handle({"order": 7}, Message(header={"uid": "u"}))
        await forwarder.stop()

        message = await next_message(heard, SnsNotification())
        assert (message.body, message.header["Subject"]) == ({"order": 7}, "An order")

    async def test_without_an_encoder_text_stays_as_it_is(self, moto: MotoServer, heard: SqsQueue) -> None:
        forwarder = SnsForwarder("orders", endpoint_url=moto.url, encoder=None)

        assert await forwarder.handle("36|0|x", Message())
        with pytest.raises(InvalidMessage):
            await forwarder.handle({"order": 7}, Message())
        await forwarder.stop()

        assert (await next_message(heard, SnsNotification())).payload == "36|0|x"

    async def test_a_missing_queue_is_an_error_and_not_an_acknowledgement(self, moto: MotoServer) -> None:
        forwarder = SqsForwarder(f"sqs://nowhere?endpoint_url={moto.url}")

        with pytest.raises(QueueNotFound):
            await forwarder.handle("x", Message())
        await forwarder.stop()

    def test_a_wrong_url_is_told_when_it_is_given(self) -> None:
        with pytest.raises(ConfigurationError):
            SqsForwarder("sqs://or ders")

    async def test_after_a_stop_it_connects_anew(self, moto: MotoServer) -> None:
        url = f"sqs://to?endpoint_url={moto.url}"
        await SqsAdapter().create(url, {})
        forwarder = SqsForwarder(url)
        for _ in range(2):
            assert await forwarder.handle("x", Message())
            await forwarder.stop()
            await forwarder.stop()


def _only(handler: object) -> Handlers:
    handlers = Handlers()
    handlers.default(handler)
    return handlers
