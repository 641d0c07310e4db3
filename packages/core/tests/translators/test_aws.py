"""SNS, EventBridge and S3: what the service says is header, what the sender says is body."""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

import pytest

from pulpo_core import (
    AnyJson,
    Envelope,
    EventBridgeEvent,
    InvalidMessage,
    Message,
    S3Notification,
    SnsNotification,
    TranslationError,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def notification(message: str, **more: Any) -> Envelope:
    return envelope(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:eu-west-1:123456789012:orders",
            "Subject": "An order",
            "Message": message,
            "Timestamp": "2026-11-21T10:00:00.000Z",
            **more,
        }
    )


def envelope(document: Any, **fields: Any) -> Envelope:
    return Envelope(body=json.dumps(document).encode(), **fields)


async def finished(answer: Any) -> Message:
    return await answer


def sns_attributes(**texts: str) -> dict[str, Any]:
    return {name: {"Type": "String", "Value": text} for name, text in texts.items()}


class TestSns:
    def test_the_published_document_is_the_body(self):
        message = SnsNotification().translate(notification('{"order": 7}'))

        assert message.body == {"order": 7}

    def test_what_sns_says_is_header(self):
        message = SnsNotification().translate(notification("{}"))

        assert message.header["TopicArn"] == "arn:aws:sns:eu-west-1:123456789012:orders"
        assert message.header["Subject"] == "An order"
        assert message.header["SnsMessageId"] == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"

    def test_the_id_of_sns_does_not_hide_that_of_the_queue(self):
        assert "MessageId" not in SnsNotification().translate(notification("{}")).header

    @pytest.mark.parametrize("text", ["0", "false", "null", '""', "[]"])
    def test_falsy_documents_are_values(self, text):
        assert SnsNotification().translate(notification(text)).body == {"payload": json.loads(text)}

    def test_text_that_is_no_json_is_the_payload(self):
        assert SnsNotification().translate(notification("36|0|x")).payload == "36|0|x"

    def test_the_inner_translator_may_be_asynchronous(self):
        class FromStore:
            """Reads a message that lies somewhere else."""

            async def translate(self, envelope):
                await asyncio.sleep(0)
                return Message(body={"payload": envelope.body.decode()})

        message = asyncio.run(finished(SnsNotification(inner=FromStore()).translate(notification("s3://where"))))

        assert message.payload == "s3://where"
        assert message.header["Subject"] == "An order"

    def test_a_strict_inner_translator_refuses_text(self):
        with pytest.raises(TranslationError):
            SnsNotification(inner=AnyJson()).translate(notification("36|0|x"))

    def test_an_attribute_selects_the_handler(self):
        message = SnsNotification(type_attribute="kind").translate(
            notification("{}", MessageAttributes=sns_attributes(kind="paid"))
        )

        assert message.request_type == "paid"
        assert message.header["SnsMessageAttributes"] == {"kind": "paid"}

    def test_raw_delivery_is_the_message_itself(self):
        raw = envelope({"order": 7}, attributes={"kind": "paid", "traceparent": TRACE})

        message = SnsNotification(raw=True, type_attribute="kind").translate(raw)

        assert (message.body, message.request_type) == ({"order": 7}, "paid")
        assert message.header == {"traceparent": TRACE}

    def test_a_raw_body_that_looks_wrapped_is_only_a_body(self):
        message = SnsNotification(raw=True).translate(notification('{"order": 7}'))

        assert message.body["Type"] == "Notification"
        assert message.header == {}

    def test_trace_context_comes_through(self):
        wrapped = notification("{}", MessageAttributes=sns_attributes(traceparent=TRACE, tracestate="a=1"))

        header = SnsNotification().translate(wrapped).header

        assert (header["traceparent"], header["tracestate"]) == (TRACE, "a=1")

    @pytest.mark.parametrize(
        "name", ["uid", "attempts_base", "origin", "published_at", "group", "dedup_id", "attempts"]
    )
    def test_no_header_of_pulpo_can_be_forged_through_a_body(self, name):
        forged = notification("{}", **{name: "forged"}, MessageAttributes=sns_attributes(**{name: "forged"}))

        message = SnsNotification().translate(forged)

        assert message.header.get(name) is None
        assert (message.attempts, message.uid) == (0, None)

    def test_trace_context_of_another_form_is_left_out(self):
        wrapped = notification("{}", MessageAttributes=sns_attributes(traceparent="nonsense", tracestate="a=1"))

        assert not {"traceparent", "tracestate"} & SnsNotification().translate(wrapped).header.keys()

    @pytest.mark.parametrize(
        "document",
        [
            pytest.param([], id="no object"),
            pytest.param({"Type": "Notification"}, id="no message"),
            pytest.param({"Type": "Notification", "Message": 7}, id="a message that is no text"),
            pytest.param({"Type": "SubscriptionConfirmation", "Message": "…"}, id="no notification"),
            pytest.param({"Message": "{}"}, id="no type"),
        ],
    )
    def test_other_shapes_are_untranslatable(self, document):
        with pytest.raises(TranslationError):
            SnsNotification().translate(envelope(document))

    def test_errors_do_not_quote_the_body(self):
        with pytest.raises(TranslationError) as error:
            SnsNotification(inner=AnyJson()).translate(notification("secret secret"))

        assert "secret" not in str(error.value)

    @pytest.mark.parametrize("raw", [True, False], ids=["raw", "wrapped"])
    @pytest.mark.parametrize("body", [{"order": 7}, {"payload": "plain text"}, {"payload": [1, 2]}])
    def test_what_it_writes_it_reads(self, raw, body):
        translator = SnsNotification(raw=raw, type_attribute="kind")
        written = Message(request_type="paid", body=body, header={"traceparent": TRACE, "uid": "u"})

        read = translator.translate(translator.encode(written))

        assert (read.request_type, read.body) == ("paid", body)
        assert read.header["traceparent"] == TRACE


class TestEventBridge:
    EVENT: ClassVar = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": "111122223333",
        "time": "2026-11-21T10:00:00Z",
        "region": "eu-west-1",
        "resources": ["arn:aws:ec2:eu-west-1:111122223333:instance/i-1"],
        "detail": {"instance-id": "i-1", "state": "terminated"},
    }

    def test_the_detail_type_selects_the_handler(self):
        message = EventBridgeEvent().translate(envelope(self.EVENT))

        assert message.request_type == "EC2 Instance State-change Notification"
        assert message.body == {"instance-id": "i-1", "state": "terminated"}

    def test_the_rest_of_the_event_is_header(self):
        event = EventBridgeEvent().translate(envelope(self.EVENT)).header["event"]

        assert event == {name: value for name, value in self.EVENT.items() if name != "detail"}

    def test_a_detail_that_is_no_object_is_the_payload(self):
        assert EventBridgeEvent().translate(envelope({**self.EVENT, "detail": [1]})).payload == [1]

    @pytest.mark.parametrize("missing", ["detail", "detail-type"])
    def test_an_event_without_its_parts_is_untranslatable(self, missing):
        with pytest.raises(TranslationError, match="detail"):
            EventBridgeEvent().translate(envelope({k: v for k, v in self.EVENT.items() if k != missing}))

    def test_an_event_cannot_forge_an_identity(self):
        message = EventBridgeEvent().translate(envelope({**self.EVENT, "uid": "forged", "header": {"uid": "forged"}}))

        assert message.uid is None

    def test_what_it_writes_it_reads(self):
        read = EventBridgeEvent().translate(EventBridgeEvent().encode(Message(request_type="paid", body={"order": 7})))

        assert (read.request_type, read.body) == ("paid", {"order": 7})

    def test_through_a_topic(self):
        message = SnsNotification(inner=EventBridgeEvent()).translate(notification(json.dumps(self.EVENT)))

        assert message.request_type == "EC2 Instance State-change Notification"
        assert message.header["Subject"] == "An order"


class TestS3:
    @staticmethod
    def record(name: str = "ObjectCreated:Put", key: str = "a+b/caf%C3%A9.txt") -> dict[str, Any]:
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": "2026-11-21T10:00:00.000Z",
            "eventName": name,
            "s3": {
                "bucket": {"name": "photos", "arn": "arn:aws:s3:::photos"},
                "object": {"key": key, "size": 1024, "eTag": "d41d", "sequencer": "0055"},
            },
        }

    def test_a_record_tells_its_object_with_the_key_decoded(self):
        [record] = S3Notification().translate(envelope({"Records": [self.record()]})).body["records"]

        assert record == {
            "event": "ObjectCreated:Put",
            "bucket": "photos",
            "key": "a b/café.txt",
            "size": 1024,
            "etag": "d41d",
            "sequencer": "0055",
            "time": "2026-11-21T10:00:00.000Z",
        }

    def test_the_event_selects_the_handler(self):
        message = S3Notification().translate(envelope({"Records": [self.record("ObjectRemoved:Delete")] * 2}))

        assert message.request_type == "ObjectRemoved:Delete"

    def test_mixed_events_reach_the_default_handler_or_the_named_one(self):
        mixed = envelope({"Records": [self.record(), self.record("ObjectRemoved:Delete")]})

        assert S3Notification().translate(mixed).request_type is None
        assert S3Notification(request_type="s3").translate(mixed).request_type == "s3"

    def test_the_test_event_has_no_records(self):
        message = S3Notification().translate(envelope({"Service": "Amazon S3", "Event": "s3:TestEvent"}))

        assert (message.request_type, message.body) == ("s3:TestEvent", {"records": []})

    @pytest.mark.parametrize("document", [{}, {"Records": []}, {"Records": [7]}, {"Records": [{"s3": {}}]}, []])
    def test_other_shapes_are_untranslatable(self, document):
        with pytest.raises(TranslationError):
            S3Notification().translate(envelope(document))

    def test_nobody_but_s3_writes_them(self):
        with pytest.raises(InvalidMessage):
            S3Notification().encode(Message())
