"""Envelopes to SQS and back: nothing is changed, nothing outgrows its limit, nothing is believed too easily."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_adapter_sqs.codec import (
    BURIAL,
    MAX_ATTRIBUTES,
    PULPO,
    decode,
    encode,
    fifo_id,
    max_body_bytes,
    room,
    size,
    text_attribute,
    unpack,
)
from pulpo_adapter_sqs.source import Source
from pulpo_core import Envelope, MessageTooLarge
from tests.sqs_state import SqsError, StoredQueue, _check_message

SOURCE = Source(name="orders", url="u", arn="arn:aws:sqs:eu-west-1:1:orders")
QUEUE = StoredQueue("orders", "u", "a", {})
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def received(entry: dict[str, Any], **system: str) -> dict[str, Any]:
    """What SQS hands out of what was sent."""
    return {
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": entry["MessageBody"],
        "MessageAttributes": entry["MessageAttributes"],
        "Attributes": {"SentTimestamp": "1763719200000", **system},
    }


@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    uid=st.text(max_size=40),
    priority=st.integers(0, 2**32 - 1),
    published_at=st.none() | MOMENTS,
    expiration=st.none() | MOMENTS,
    attributes=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=15),
)
def test_whatever_is_published_comes_back(**fields: Any) -> None:
    sent = Envelope(**fields)

    entry = encode(sent, SOURCE)
    envelope, _ = decode(received(entry))

    assert envelope.body == sent.body
    assert envelope.uid == (sent.uid or "sqs:m-1")
    assert (envelope.priority, envelope.expiration) == (sent.priority, sent.expiration)
    assert envelope.attributes == sent.attributes
    assert sent.published_at is None or envelope.published_at == sent.published_at


@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    attributes=st.dictionaries(st.text(max_size=300), st.text(max_size=40), max_size=15),
)
def test_whatever_is_encoded_is_taken_by_sqs(body: bytes, attributes: dict[str, str]) -> None:
    entry = encode(Envelope(body=body, uid="u", attributes=attributes), SOURCE)

    try:
        _check_message(QUEUE, entry)
    except SqsError as error:
        pytest.fail(f"SQS refuses it: {error}")


def test_text_stays_readable_for_everybody() -> None:
    assert encode(Envelope(body='{"grün": 1}'.encode()), SOURCE)["MessageBody"] == '{"grün": 1}'


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff", b"a\x0bb", "\uffff".encode()], ids=repr)
def test_what_sqs_refuses_travels_encoded(body: bytes) -> None:
    entry = encode(Envelope(body=body), SOURCE)

    assert entry["MessageBody"].isascii()
    assert decode(received(entry))[0].body == body


def test_base64_of_others_is_only_text() -> None:
    envelope, _ = decode({"MessageId": "m", "ReceiptHandle": "r", "Body": "aGVsbG8="})

    assert envelope.body == b"aGVsbG8="


def test_there_are_never_more_attributes_than_sqs_takes_even_after_a_burial() -> None:
    entry = encode(Envelope(body=b"x", uid="u", attributes={f"n{i}": "v" for i in range(30)}), SOURCE)

    assert len(entry["MessageAttributes"]) == MAX_ATTRIBUTES - 1  # one is left for the reason of a burial


def test_nothing_to_say_takes_no_attribute() -> None:
    assert encode(Envelope(body=b"x"), SOURCE)["MessageAttributes"] == {}


def test_a_foreign_message_is_named_after_its_id_and_dated_by_the_broker() -> None:
    envelope, _ = decode(
        {"MessageId": "m-1", "ReceiptHandle": "r", "Body": "x", "Attributes": {"SentTimestamp": "1500"}}
    )

    assert envelope.uid == "sqs:m-1"
    assert envelope.published_at == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)


def test_everything_that_sqs_said_but_the_body_is_metadata() -> None:
    message = received(encode(Envelope(body=b"x"), SOURCE), SenderId="AIDA")

    metadata = decode(message)[0].metadata

    assert metadata == {name: value for name, value in message.items() if name != "Body"}


@pytest.mark.parametrize("name", [PULPO, BURIAL])
def test_users_cannot_say_what_only_pulpo_says(name: str) -> None:
    forged = json.dumps({"uid": "forged", "attempts_base": 7, "reason": "fatal"})
    entry = encode(Envelope(body=b"x", uid="true", attributes={name: forged}), SOURCE)

    envelope, extras = decode(received(entry))

    assert (envelope.uid, extras.attempts_base) == ("true", 0)
    assert envelope.attributes == {name: forged}


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "7", '{"uid": 7, "attempts_base": -1, "priority": "high"}', '{"expiration": "tomorrow"}'],
)
def test_a_foreign_attribute_of_that_name_says_nothing(text: str) -> None:
    envelope, extras = decode(received({"MessageBody": "x", "MessageAttributes": {PULPO: text_attribute(text)}}))

    assert envelope.uid == "sqs:m-1"
    assert extras.attempts_base == 0
    assert envelope.expiration is None


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ({"DataType": "Number", "StringValue": "42"}, "42"),
        ({"DataType": "Binary", "BinaryValue": b"\x00\x01"}, "AAE="),
        ({"DataType": "String.custom", "StringValue": "x"}, "x"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["DataType"],
)
def test_attributes_of_every_type_are_told_as_text(attribute: dict[str, Any], text: str) -> None:
    envelope, _ = decode(received({"MessageBody": "x", "MessageAttributes": {"n": attribute}}))

    assert envelope.attributes == {"n": text}


class TestSizes:
    def test_the_longest_body_fits_with_room_for_its_burial(self) -> None:
        entry = encode(Envelope(body=b"x" * max_body_bytes(SOURCE), uid="u" * 36), SOURCE)

        assert size(entry["MessageBody"], entry["MessageAttributes"]) <= SOURCE.max_message_bytes - room(SOURCE) // 2

    def test_one_byte_more_is_refused_before_it_is_sent(self) -> None:
        with pytest.raises(MessageTooLarge, match=r"1,044,481 bytes; queue 'orders' carries up to 1,044,480"):
            encode(Envelope(body=b"x" * (max_body_bytes(SOURCE) + 1)), SOURCE)

    def test_bytes_count_not_characters(self) -> None:
        with pytest.raises(MessageTooLarge):
            encode(Envelope(body="ü".encode() * (max_body_bytes(SOURCE) // 2 + 1)), SOURCE)

    def test_attributes_count(self) -> None:
        heavy = {f"n{i}": "x" * 1000 for i in range(8)}

        with pytest.raises(MessageTooLarge, match="with its attributes"):
            encode(Envelope(body=b"x" * max_body_bytes(SOURCE), attributes=heavy), SOURCE)

    def test_what_is_encoded_counts_as_it_travels(self) -> None:
        with pytest.raises(MessageTooLarge):
            encode(Envelope(body=b"\xff" * (max_body_bytes(SOURCE) * 3 // 4 + 10)), SOURCE)

    @pytest.mark.parametrize("limit", [1024, 4096, 262_144, 1_048_576])
    def test_a_queue_of_any_limit_has_room(self, limit: int) -> None:
        source = attrs.evolve(SOURCE, max_message_bytes=limit)

        assert 0 < max_body_bytes(source) < limit

    @given(body=st.text(max_size=50), attributes=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=9))
    def test_sizes_are_what_they_are_in_bytes(self, body: str, attributes: dict[str, str]) -> None:
        plain = {name: text_attribute(text) for name, text in attributes.items()}
        parts = [body, *plain, *["String"] * len(plain), *attributes.values()]

        assert size(body, plain) == sum(len(part.encode()) for part in parts)


@given(st.text(max_size=200))
def test_ids_of_fifo_queues_are_always_acceptable_and_never_collide_by_accident(text: str) -> None:
    assert 1 <= len(fifo_id(text)) <= 128
    assert fifo_id(text).isascii()
    assert fifo_id(text) != fifo_id(text + "x")


def test_unpacking_nothing_says_nothing() -> None:
    assert unpack({}).uid == ""
