"""Messages as people write them down."""

from datetime import UTC, datetime, timedelta

import pytest

from pulpo_cli.jobs import parse_pairs, read_jobs, read_pairs
from pulpo_core import InvalidMessage, Message


def read(line: str) -> Message:
    [job] = read_jobs([line.encode()])
    assert job.message is not None, job.problem
    return job.message


def problem(line: bytes) -> str:
    [job] = read_jobs([line])
    assert job.message is None
    return job.problem


def test_a_line_in_short_form_is_a_message() -> None:
    message = read(
        '{"type": "send", "body": {"to": "x"}, "header": {"k": 1}, "priority": 5, "delay": 60,'
        ' "expires": "2026-11-21T10:00:00+00:00"}'
    )

    assert message.request_type == "send"
    assert message.body == {"to": "x"}
    assert message.header == {"k": 1}
    assert message.priority == 5
    assert message.delay == timedelta(minutes=1)
    assert message.expiration == datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.mark.parametrize(("written", "payload"), [("0", 0), ('""', ""), ("{}", {}), ("false", False), ("[1]", [1])])
def test_a_payload_is_any_value_and_falsy_ones_are_values(written: str, payload: object) -> None:
    assert read(f'{{"payload": {written}}}').body == {"payload": payload}


def test_a_line_can_be_a_document_of_pulpos_own_format() -> None:
    message = read('{"id": "7", "header": {"request_type": "send", "uid": "u1", "custom": true}, "body": {"to": "x"}}')

    assert message.request_type == "send"
    assert message.header == {"uid": "u1", "custom": True}
    assert message.body == {"to": "x"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"nope", "not JSON: Expecting value at column 1"),
        (b"[]", "expected a JSON object, not an array"),
        (b'"text"', "expected a JSON object, not a text"),
        (b"7", "expected a JSON object, not a number"),
        (b"null", "expected a JSON object, not null"),
        (b'{"payload": NaN}', "NaN is no JSON number"),
        (b'{"type": "x", "prio": 1}', "unknown key 'prio'; accepted: body, delay, expires, header, payload, priority"),
        (b'{"payload": 1, "body": {}}', "give either 'payload' or 'body'"),
        (b'{"type": 5, "payload": 1}', "request_type: expected text, not int"),
        (b'{"type": "x", "body": []}', "body: expected key-value pairs, not list"),
        (b'{"type": "x", "delay": "soon"}', "delay: 'soon' is not an ISO 8601 date and time"),
        (b'{"kind": "x"}', "not a pulpo message"),
        (b'{"header": 5}', "header: expected an object, not int"),
        (b'{"type": "\xff"}', "not UTF-8: byte 10"),
        (b'{"payload": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"payload": ' + b"9" * 5000 + b"}", "not acceptable JSON: Exceeds the limit"),
        (b'{"type": "", "payload": 1}', "request_type: '' is none that a handler could have"),
        (b'{"header": {"request_type": ""}, "body": {}}', "request_type: '' is none that a handler could have"),
    ],
    ids=range(18),
)
def test_a_line_that_is_no_message_says_why(line: bytes, text: str) -> None:
    assert text in problem(line)


def test_lines_are_numbered_as_in_the_file_and_empty_ones_are_left_out() -> None:
    jobs = list(read_jobs([b'{"payload": 1}\n', b"\n", b"broken\n", b"  \n", b'{"payload": 2}']))

    assert [(job.line, job.message is not None) for job in jobs] == [(1, True), (3, False), (5, True)]


def test_a_body_that_is_refused_is_never_quoted() -> None:
    for text in ('{"secret": "hunter2"', '["hunter2"]', '"hunter2"'):
        with pytest.raises(InvalidMessage) as caught:
            parse_pairs(text)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("k=1", 1), ("k=true", True), ("k=text", "text"), ('k="1"', "1"), ("k=", ""), ("k=a=b", "a=b"), ("k={", "{")],
)
def test_the_value_of_a_pair_is_json_or_else_text(text: str, value: object) -> None:
    assert read_pairs([text], option="--header") == {"k": value}
