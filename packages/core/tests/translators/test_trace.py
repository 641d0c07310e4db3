"""Trace context beside a body reaches the header, whichever translator reads the body."""

import pytest

from pulpo_core import AnyJson, Envelope, EventBridgeEvent, Message, PlainText, S3Notification, SnsNotification

TRACE = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "vendor=1"}

BODIES = [
    pytest.param(AnyJson(), b'{"order": 7}', id="any JSON"),
    pytest.param(PlainText(), b"order 7", id="text"),
    pytest.param(SnsNotification(raw=True), b'{"order": 7}', id="SNS, raw, JSON"),
    pytest.param(SnsNotification(raw=True), b"order 7", id="SNS, raw, text"),
    pytest.param(EventBridgeEvent(), b'{"detail-type": "paid", "detail": {"order": 7}}', id="EventBridge"),
    pytest.param(S3Notification(), b'{"Event": "s3:ObjectCreated:Put", "Records": [%s]}', id="S3"),
]
S3_RECORD = b'{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}'


@pytest.mark.parametrize(("translator", "body"), BODIES)
def test_what_came_beside_the_body_is_in_the_header(translator, body):
    body = body.replace(b"%s", S3_RECORD)

    header = translator.translate(Envelope(body=body, attributes={**TRACE, "kind": "paid"})).header

    assert {name: header.get(name) for name in TRACE} == TRACE
    assert "kind" not in header


@pytest.mark.parametrize(
    "attributes",
    [{}, {"tracestate": "a=1"}, {"traceparent": "nonsense", "tracestate": "a=1"}, {"traceparent": ""}],
    ids=["none", "only the state", "of another form", "empty"],
)
def test_what_is_no_trace_context_is_left_out(attributes):
    assert AnyJson().translate(Envelope(body=b"{}", attributes=attributes)).header == {}


@pytest.mark.parametrize("translator", [AnyJson(), PlainText()], ids=["any JSON", "text"])
def test_a_trace_survives_where_no_other_header_does(translator):
    sent = Message(body={"payload": "hello"}, header={**TRACE, "tenant": "acme"})

    assert translator.translate(translator.encode(sent)).header == TRACE
