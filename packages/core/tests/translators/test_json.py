"""Messages as JSON: pulpo's own documents, and anybody's."""

import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core import AnyJson, Envelope, InvalidMessage, Message, PulpoJson, TranslationError, document_of, message_of

from .test_documents import TEXT, VALUES

MOMENT = datetime(2026, 11, 21, 10, tzinfo=UTC)
BODIES = st.dictionaries(TEXT, VALUES, max_size=4)
NAMED = {"request_type", "priority", "delay", "expiration", "attempts"}
#: Headers whose values `Envelope` wants as texts of a kind.
FIXED = {"uid", "published_at", "group", "dedup_id"}
HEADERS = st.dictionaries(TEXT.filter(lambda name: name not in NAMED | FIXED), VALUES, max_size=4)
MOMENTS = st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)).map(lambda m: m.replace(tzinfo=UTC))
MESSAGES = st.builds(
    Message,
    request_type=st.none() | TEXT,
    body=BODIES,
    priority=st.integers(0, 2**32 - 1),
    delay=MOMENTS,
    expiration=MOMENTS,
    attempts=st.integers(0, 1000),
    header=HEADERS,
)


@given(MESSAGES)
def test_what_is_encoded_is_translated_back_unchanged(message):
    envelope = PulpoJson().encode(message)

    assert PulpoJson().translate(envelope) == message
    assert (envelope.priority, envelope.not_before, envelope.expiration) == (
        message.priority,
        message.delay,
        message.expiration,
    )


def test_the_document_is_the_one_that_is_documented():
    message = Message(
        request_type="send_email",
        body={"to": "a@b.c", "payload": None},
        delay=MOMENT,
        expiration=MOMENT + timedelta(hours=2),
        header={"any": "custom header"},
        id="7",
    )

    assert document_of(message) == {
        "id": "7",
        "header": {
            "request_type": "send_email",
            "priority": 65536,
            "delay": "2026-11-21T10:00:00+00:00",
            "expiration": "2026-11-21T12:00:00+00:00",
            "attempts": 0,
            "any": "custom header",
        },
        "body": {"to": "a@b.c", "payload": None},
    }
    assert message_of(document_of(message)) == message


def test_what_is_not_said_is_not_written():
    assert document_of(Message()) == {"header": {"priority": 65536, "attempts": 0}, "body": {}}


@pytest.mark.parametrize("field", ["delay", "expiration"])
def test_a_message_whose_times_are_still_relative_cannot_be_encoded(field):
    with pytest.raises(InvalidMessage, match="resolved"):
        PulpoJson().encode(Message(**{field: 60}))


def test_what_queues_carry_beside_the_body_is_in_the_envelope_too():
    header = {
        "uid": "u1",
        "group": "g1",
        "dedup_id": "d1",
        "traceparent": "00-1-2-01",
        "tracestate": "a=b",
        "published_at": "2026-11-21T10:00:00+00:00",
        "tenant": "t",
    }
    envelope = PulpoJson().encode(Message(header=header))

    assert (envelope.uid, envelope.group, envelope.dedup_id) == ("u1", "g1", "d1")
    assert envelope.attributes == {"traceparent": "00-1-2-01", "tracestate": "a=b"}
    assert envelope.published_at == MOMENT
    assert json.loads(envelope.body)["header"]["tenant"] == "t"


def test_an_envelope_without_any_of_it_has_none():
    envelope = PulpoJson().encode(Message())

    assert (envelope.uid, envelope.group, envelope.dedup_id, envelope.published_at) == ("", None, None, None)
    assert envelope.attributes == {}


@pytest.mark.parametrize("field", ["group", "dedup_id"])
def test_what_must_be_a_text_is_refused_by_its_name(field):
    with pytest.raises(InvalidMessage, match=f"header.{field}: expected text, not int"):
        PulpoJson().encode(Message(header={field: 5}))


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01"])
def test_a_moment_of_publishing_that_is_none_is_refused_by_its_name(text):
    with pytest.raises(InvalidMessage, match=r"header\.published_at"):
        PulpoJson().encode(Message(header={"published_at": text}))


def test_a_moment_of_publishing_without_zone_is_local_time():
    envelope = PulpoJson().encode(Message(header={"published_at": "2026-11-21T10:00:00"}))

    assert envelope.published_at == datetime(2026, 11, 21, 10).astimezone(UTC)
    assert envelope.published_at.tzinfo is not None


# Reading


def translate(document: object) -> Message:
    return PulpoJson().translate(Envelope(body=json.dumps(document).encode()))


def test_documents_of_pulpo_messaging_are_read():
    """Times are naive and local, with and without fractions; an id may be a number."""
    message = translate(
        {
            "id": 17,
            "header": {
                "request_type": "echo",
                "delay": "2026-11-21 10:00:00.123456",
                "expiration": "2026-11-21 12:00:00",
                "attempts": 2,
                "source": "pulpo-cli.py",
            },
            "body": {"payload": "hello", "other": 1},
        }
    )

    assert (message.id, message.request_type, message.attempts, message.payload) == ("17", "echo", 2, "hello")
    assert message.expiration == datetime(2026, 11, 21, 12).astimezone(UTC)
    assert message.header == {"source": "pulpo-cli.py"}


@pytest.mark.parametrize(
    "document",
    [
        {"body": {}},
        {"header": {}},
        {"header": None, "body": None},
        {"header": {"request_type": None, "priority": None, "delay": None, "expiration": None, "attempts": None}},
    ],
)
def test_what_is_missing_has_its_default(document):
    assert translate(document) == Message()


@pytest.mark.parametrize("payload", [0, "", False, {}, [], None])
def test_falsy_payloads_are_values(payload):
    assert translate({"body": {"payload": payload}}).body == {"payload": payload}


FOREIGN = {
    "no object": ([], "expected an object with 'header' and 'body'"),
    "nothing": (None, "expected an object with 'header' and 'body'"),
    "some other object": ({"a": 1}, "expected an object with 'header' and 'body'"),
    "the header is a text": ({"header": "x"}, "header: expected an object, not str"),
    "the body is a list": ({"body": [1]}, "body: expected key-value pairs, not list"),
    "the body is a text": ({"body": "x"}, "body: expected key-value pairs, not str"),
    "the type is a number": ({"header": {"request_type": 5}}, "header.request_type: expected text, not int"),
    "the type cannot be printed": ({"header": {"request_type": "a\ud800"}}, "header.request_type: .*surrogate"),
    "the priority is a text": ({"header": {"priority": "high"}}, "priority: expected a whole number"),
    "the delay is no time": ({"header": {"delay": "soon"}}, "delay: 'soon' is not an ISO 8601"),
    "the expiration is a list": ({"header": {"expiration": []}}, "expiration: expected seconds"),
    "attempts below 0": ({"header": {"attempts": -1}}, "attempts: expected a whole number from 0"),
    "attempts as text": ({"header": {"attempts": "2"}}, "attempts: expected a whole number from 0"),
    "the id is an object": ({"id": {}, "body": {}}, "id: expected text, not dict"),
    "the id is a truth": ({"id": True, "body": {}}, "id: expected text, not bool"),
    "the id cannot be printed": ({"id": "\udfff", "body": {}}, "id: .*surrogate"),
}


@pytest.mark.parametrize(("document", "text"), FOREIGN.values(), ids=FOREIGN)
def test_what_has_another_shape_is_refused_by_the_name_of_its_field(document, text):
    with pytest.raises(TranslationError, match=text):
        translate(document)


def test_what_is_no_json_is_refused():
    with pytest.raises(TranslationError, match="not JSON"):
        PulpoJson().translate(Envelope(body=b"<xml/>"))


# Anybody's documents


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"{}", {}),
        (b"[1, 2]", {"payload": [1, 2]}),
        (b'"text"', {"payload": "text"}),
        (b"0", {"payload": 0}),
        (b"false", {"payload": False}),
        (b'""', {"payload": ""}),
        (b"null", {"payload": None}),
    ],
)
def test_an_object_is_the_body_and_anything_else_its_payload(body, expected):
    assert AnyJson().translate(Envelope(body=body)).body == expected


def test_the_type_may_be_fixed_or_read_from_the_document():
    envelope = Envelope(body=b'{"detail": {"kind": "order"}, "a.b": "odd"}')

    assert AnyJson().translate(envelope).request_type is None
    assert AnyJson(request_type="all").translate(envelope).request_type == "all"
    assert AnyJson(type_from="detail.kind").translate(envelope).request_type == "order"
    assert AnyJson(type_from="detail.kind", request_type="all").translate(envelope).request_type == "order"


@pytest.mark.parametrize("body", [b'{"detail": null}', b'{"detail": {"kind": null}}', b'{"detail": "x"}', b"[]", b"5"])
def test_a_document_without_the_type_reaches_the_default_or_the_type_that_was_fixed(body):
    assert AnyJson(type_from="detail.kind").translate(Envelope(body=body)).request_type is None
    assert AnyJson(type_from="detail.kind", request_type="all").translate(Envelope(body=body)).request_type == "all"


@pytest.mark.parametrize("value", ["5", "true", "[]", '"\\ud800"'])
def test_a_type_that_is_no_text_is_refused_by_its_path(value):
    with pytest.raises(TranslationError, match=r"^detail\.kind: "):
        AnyJson(type_from="detail.kind").translate(Envelope(body=b'{"detail": {"kind": %s}}' % value.encode()))


@given(BODIES)
def test_bodies_go_out_as_they_are(body):
    translator = AnyJson()
    message = Message(body=body)
    if set(body) == {"payload"}:
        assert json.loads(translator.encode(message).body) == body["payload"]
    else:
        assert translator.translate(translator.encode(message)).body == body


@given(VALUES.filter(lambda value: not isinstance(value, dict)))
def test_a_payload_alone_goes_out_as_it_is_and_comes_back(value):
    translator = AnyJson()
    body = {"payload": value}

    assert translator.translate(translator.encode(Message(body=body))).body == body


def test_what_the_queue_needs_to_know_is_in_the_envelope_although_headers_stay_behind():
    envelope = AnyJson().encode(Message(priority=3, delay=MOMENT, header={"uid": "u1", "group": "g1", "tenant": "t"}))

    assert (envelope.priority, envelope.not_before, envelope.uid, envelope.group) == (3, MOMENT, "u1", "g1")
    assert b"tenant" not in envelope.body


@pytest.mark.parametrize("body", [{"a": object()}, {"payload": object()}, {1: "a"}])
def test_what_json_cannot_carry_is_refused(body):
    with pytest.raises(InvalidMessage):
        AnyJson().encode(Message(body=body))


def test_translators_are_values():
    assert AnyJson(type_from="a") == AnyJson(type_from="a")
    assert attrs.evolve(AnyJson(), request_type="x") == AnyJson(request_type="x")
