"""Copies: bodies stay whole, reasons travel as far as there is room, and no copy is taken for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_adapter_sqs.codec import BURIAL, PULPO, Extras, decode, encode, size, text_attribute, unpack
from pulpo_adapter_sqs.copies import Burial, burial_entry, delay_of, hop_entry, kick_entry, read_burial
from pulpo_adapter_sqs.source import Source
from pulpo_core import Envelope
from tests.sqs_state import SqsError, StoredQueue, _check_message

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
GRAVE = Source(name="orders-buried", url="g", arn="arn:aws:sqs:eu-west-1:1:orders-buried")
FIFO_GRAVE = attrs.evolve(GRAVE, name="orders-buried.fifo", fifo=True)
ORIGIN = Source(name="orders", url="o", arn="arn:aws:sqs:eu-west-1:1:orders")
FIFO_ORIGIN = attrs.evolve(ORIGIN, name="orders.fifo", fifo=True)
BURIED = Burial(reason="fatal", error="ValueError: no", attempts=3, buried_at=NOW, origin=ORIGIN.arn, source_id="m-1")


def message(body: str = "x", attributes: dict[str, Any] | None = None, **system: str) -> dict[str, Any]:
    return {
        "MessageId": "m-1",
        "ReceiptHandle": "r-1",
        "Body": body,
        "MessageAttributes": attributes or {},
        "Attributes": {"SentTimestamp": "1763719200000", **system},
    }


def published(envelope: Envelope, **system: str) -> dict[str, Any]:
    entry = encode(envelope, ORIGIN)
    return message(entry["MessageBody"], entry["MessageAttributes"], **system)


def buried(original: dict[str, Any], *, burial: Burial = BURIED, target: Source = GRAVE) -> dict[str, Any]:
    """The message in the dead-letter queue that comes of burying *original*."""
    envelope, extras = decode(original)
    entry = burial_entry(original, envelope, extras, burial, target)
    return {**message(entry["MessageBody"], entry["MessageAttributes"]), "MessageId": "m-2", "entry": entry}


def kicked(grave: dict[str, Any], *, target: Source = ORIGIN) -> dict[str, Any]:
    envelope, extras = decode(grave)
    return kick_entry(grave, envelope, extras, target)


def texts(count: int) -> dict[str, dict[str, str]]:
    return {f"n{number}": text_attribute(f"v{number}") for number in range(count)}


class TestBurial:
    def test_the_record_tells_everything(self) -> None:
        assert read_burial(buried(message())["MessageAttributes"]) == BURIED

    def test_the_identity_of_a_foreign_message_is_kept(self) -> None:
        envelope, _ = decode(buried(message()))

        assert envelope.uid == "sqs:m-1"
        assert envelope.published_at == datetime.fromtimestamp(1_763_719_200, UTC)

    @given(count=st.integers(0, 10))
    def test_ten_attributes_of_others_still_fit(self, count: int) -> None:
        grave = buried(message(attributes=texts(count)))

        assert len(grave["MessageAttributes"]) <= 10
        assert decode(grave)[0].attributes == {f"n{number}": f"v{number}" for number in range(count)}

    @pytest.mark.parametrize("room", [0, 1, 100, 400, 1000, 5000])
    def test_the_body_stays_whole_however_little_room_there_is(self, room: int) -> None:
        body = "x" * (1024 * 1024 - room)

        grave = buried(message(body), burial=attrs.evolve(BURIED, error="e" * 2000, reason="r" * 500))

        assert grave["Body"] == body
        assert size(grave["Body"], grave["MessageAttributes"]) <= GRAVE.max_message_bytes

    def test_the_error_is_cut_before_the_reason_is_lost(self) -> None:
        body = "x" * (1024 * 1024 - 700)

        record = read_burial(buried(message(body), burial=attrs.evolve(BURIED, error="e" * 2000))["MessageAttributes"])

        assert record is not None
        assert record.reason == "fatal"
        assert 0 < len(record.error) < 2000

    @given(error=st.text(max_size=300), reason=st.text(max_size=300))
    def test_sqs_takes_whatever_went_wrong(self, error: str, reason: str) -> None:
        entry = buried(message(), burial=attrs.evolve(BURIED, error=error, reason=reason))["entry"]

        try:
            _check_message(StoredQueue("q", "u", "a", {}), entry)
        except SqsError as refused:
            pytest.fail(f"SQS refuses it: {refused}")

    def test_a_copy_on_fifo_has_an_id_of_its_own(self) -> None:
        original = published(Envelope(body=b"x", uid="u"), MessageGroupId="g", MessageDeduplicationId="original")

        entry = buried(original, target=FIFO_GRAVE)["entry"]

        assert entry["MessageDeduplicationId"] == "u:bury:m-1"

    def test_in_a_fifo_grave_nobody_waits_for_another(self) -> None:
        original = published(Envelope(body=b"x", uid="u"), MessageGroupId="g")

        assert buried(original, target=FIFO_GRAVE)["entry"]["MessageGroupId"] == "u"

    def test_the_trace_of_x_ray_goes_along(self) -> None:
        entry = buried(message(AWSTraceHeader="Root=1-5759e988"))["entry"]

        assert entry["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"] == "Root=1-5759e988"

    def test_a_second_burial_replaces_the_first_record(self) -> None:
        again = buried(buried(message()), burial=attrs.evolve(BURIED, reason="expired"))

        record = read_burial(again["MessageAttributes"])
        assert record is not None
        assert record.reason == "expired"

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"reason": 7}'])
    def test_what_somebody_else_wrote_is_no_record(self, text: str) -> None:
        assert read_burial({BURIAL: text_attribute(text)}) is None


class TestKick:
    def test_it_goes_back_as_it_was_published(self) -> None:
        sent = Envelope(body=b"\x00", uid="u", priority=7, expiration=NOW, attributes={"kind": "paid"})
        original = published(sent)

        entry = kicked(buried(original))

        assert entry["MessageBody"] == original["Body"]
        assert entry["MessageAttributes"].keys() == original["MessageAttributes"].keys()
        back, extras = decode(message(entry["MessageBody"], entry["MessageAttributes"]))
        assert (back.body, back.uid, back.priority, back.expiration) == (b"\x00", "u", 7, NOW)
        assert extras.attempts_base == 0

    def test_attributes_that_had_no_room_come_out_again_with_their_types(self) -> None:
        attributes = {
            **texts(8),
            "number": {"DataType": "Number", "StringValue": "42"},
            "binary": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        }

        first = kicked(buried(message(attributes=attributes)))["MessageAttributes"]
        freed = kicked(buried(message(attributes=dict(list(attributes.items())[2:]))))["MessageAttributes"]

        assert {name: first[name] for name in texts(8)} == texts(8)
        assert unpack(first).attributes == {"number": "42", "binary": "AAE="}
        assert (freed["number"], freed["binary"]) == (attributes["number"], attributes["binary"])

    def test_it_goes_back_to_its_group_with_an_id_of_its_own(self) -> None:
        original = published(Envelope(body=b"x", uid="u"), MessageGroupId="g", MessageDeduplicationId="original")

        entry = kicked(buried(original, target=FIFO_GRAVE), target=FIFO_ORIGIN)

        assert (entry["MessageGroupId"], entry["MessageDeduplicationId"]) == ("g", "u:kick:m-2")

    def test_what_was_in_no_group_is_in_none_again(self) -> None:
        original = published(Envelope(body=b"x", uid="u"), MessageGroupId="u")

        assert kicked(buried(original, target=FIFO_GRAVE), target=FIFO_ORIGIN)["MessageGroupId"] == "u"

    def test_what_aws_redrove_goes_back_to_its_group(self) -> None:
        entry = kicked(message(MessageGroupId="g", MessageDeduplicationId="original"), target=FIFO_ORIGIN)

        assert (entry["MessageGroupId"], entry["MessageDeduplicationId"]) == ("g", "sqs:m-1:kick:m-1")


class TestDelays:
    @pytest.mark.parametrize(
        ("seconds", "first", "rest"),
        [
            pytest.param(-5, 0, False, id="past"),
            pytest.param(0, 0, False, id="now"),
            pytest.param(0.2, 1, False, id="a fraction is rounded up"),
            pytest.param(900, 900, False, id="the longest"),
            pytest.param(900.5, 900, True, id="a little more"),
            pytest.param(86_400, 900, True, id="a day"),
        ],
    )
    def test_a_delay_is_cut_into_what_sqs_can(self, seconds: float, first: int, rest: bool) -> None:
        until = NOW + timedelta(seconds=seconds)

        assert delay_of(until, NOW) == (first, until if rest else None)

    def test_a_hop_keeps_the_message_and_its_attempts(self) -> None:
        original = published(Envelope(body=b"x", uid="u", attributes={"kind": "paid"}))
        envelope, extras = decode(original)

        entry = hop_entry(original, envelope, extras, until=NOW + timedelta(hours=1), now=NOW, attempts_base=4)

        back, further = decode(message(entry["MessageBody"], entry["MessageAttributes"]))
        assert (entry["DelaySeconds"], further.not_before, further.attempts_base) == (900, NOW + timedelta(hours=1), 4)
        assert (back.uid, back.attributes, back.published_at) == ("u", {"kind": "paid"}, envelope.published_at)

    def test_the_last_hop_arrives(self) -> None:
        original = message(attributes={PULPO: text_attribute('{"not_before": "2026-11-21T10:10:00+00:00"}')})
        envelope, extras = decode(original)

        entry = hop_entry(original, envelope, extras, until=NOW + timedelta(minutes=10), now=NOW, attempts_base=0)

        assert entry["DelaySeconds"] == 600
        assert unpack(entry["MessageAttributes"]) == Extras(uid="sqs:m-1", published_at=envelope.published_at)
