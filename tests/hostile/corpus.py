"""Bodies that nobody should send, and that somebody will."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Iterator, Mapping
from typing import Any, Final

#: Stands for what belongs to a customer: it may be in a body, and in no log and no text of an error.
SECRET: Final = "s3cr3t-of-a-customer"

_SECRET = SECRET.encode()

#: Neither of the right type nor in the right range, wherever they stand.
WRONG: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    -(10**30),
    1e308,
    "",
    "text",
    "2026-13-45",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "\x00",
    "\u202e",
    "x" * 10_000,
    [],
    [[]],
    {},
    {"a": {"b": None}},
)

#: Keys of the header that pulpo knows.
HEADERS: Final = (
    "request_type",
    "priority",
    "delay",
    "expiration",
    "attempts",
    "uid",
    "published_at",
    "attempts_base",
    "group",
    "dedup_id",
    "traceparent",
    "tracestate",
    "origin",
)

RAW: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "a space": b" ",
    "a zero byte": b"\x00",
    "no UTF-8": b"\xff\xfe\xfd" + _SECRET,
    "UTF-8 cut short": _SECRET + "€".encode()[:2],
    "UTF-8 of a surrogate": b'"\xed\xa0\x80' + _SECRET + b'"',
    "overlong UTF-8": b'"\xc0\xaf' + _SECRET + b'"',
    "UTF-16": f'{{"body": "{SECRET}"}}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + b'{"body": {}}',
    "JSON cut short": b'{"header": {}, "body": {"payload": "' + _SECRET,
    "JSON and something": b'{"body": {}} ' + _SECRET,
    "two documents": b'{"body": {}}{"body": {}}',
    "single quotes": b"{'body': '" + _SECRET + b"'}",
    "arrays without end": b"[" * 100_000,
    "objects without end": b'{"body":' * 100_000,
    "deep arrays": b'{"body": {"payload": ' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
    "very deep arrays": b'{"body": {"payload": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
    "deep objects": b'{"body": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_001,
    "a huge whole number": b'{"body": {"payload": ' + b"9" * 5_000 + b"}}",
    "a huge priority": b'{"header": {"priority": ' + b"9" * 5_000 + b'}, "body": {}}',
    "more than a float holds": b'{"body": {"payload": 1e999}}',
    "a delay more than a float holds": b'{"header": {"delay": 1e999}, "body": {}}',
    "NaN": b'{"body": {"payload": NaN}}',
    "a delay of NaN": b'{"header": {"delay": NaN}, "body": {}}',
    "Infinity": b'{"body": {"payload": -Infinity}}',
    "keys twice": b'{"header": {"request_type": "a", "request_type": "b"}, "header": {"priority": "x"}, "body": {}}',
    "a lone surrogate": b'{"body": {"payload": "\\ud800 ' + _SECRET + b'"}}',
    "a lone surrogate as a type": b'{"header": {"request_type": "\\udfff"}, "body": {}}',
    "a lone surrogate as a key": b'{"body": {"\\ud800": 1}}',
    "a lone surrogate as an id": b'{"id": "\\ud800", "header": {"uid": "\\ud800", "group": "\\ud800"}, "body": {}}',
    "escaped zero bytes": b'{"body": {"payload": "\\u0000\\u0000"}}',
    "1 MiB of text": json.dumps({"body": {"payload": SECRET + "x" * (1 << 20)}}).encode(),
    "1 MiB of escapes": b'{"body": {"payload": "' + b"\\u00e9" * 170_000 + b'"}}',
    "1 MiB of spaces": b" " * (1 << 20) + b'{"body": {}}',
    "a hundred thousand keys": json.dumps({"body": {str(number): number for number in range(100_000)}}).encode(),
    "a long key": json.dumps({"body": {"k" * 500_000: 1}}).encode(),
    "a compressed bomb": gzip.compress(b"0" * 10_000_000),
    "a pickle": pickle.dumps({"body": SECRET}),
    "XML": b"<!DOCTYPE x [<!ENTITY a 'a'>]><body>" + _SECRET + b"</body>",
    "a number": b"42",
    "null": b"null",
    "true": b"true",
    "text": json.dumps(SECRET).encode(),
    "an array": b"[1, 2, 3]",
    "an empty object": b"{}",
    "neither header nor body": b'{"a": 1}',
    "a header that is text": b'{"header": "x", "body": {}}',
    "a header that is an array": b'{"header": [1], "body": {}}',
    "a body that is text": json.dumps({"header": {}, "body": SECRET}).encode(),
    "a body that is an array": b'{"header": {}, "body": [1]}',
    "a body that is null": b'{"header": {}, "body": null}',
    "an id that is an object": b'{"id": {}, "body": {}}',
    "an id that is huge": b'{"id": 123456789012345678901234567890, "body": {}}',
    "a body that does not fit": json.dumps({"header": {"request_type": "typed"}, "body": {"count": SECRET}}).encode(),
    "SNS without a message": b'{"Type": "Notification"}',
    "SNS with a number for a message": b'{"Type": "Notification", "Message": 1}',
    "SNS with a surrogate": b'{"Type": "Notification", "Message": "\\ud800"}',
    "SNS with odd attributes": json.dumps(
        {"Type": "Notification", "Message": "1", "MessageAttributes": {"a": 1, "b": {"Value": []}}}
    ).encode(),
    "SNS within SNS": json.dumps({"Type": "Notification", "Message": '{"Type": "Notification"}'}).encode(),
    "EventBridge with odd fields": b'{"detail-type": ["x"], "detail": 1}',
    "S3 with odd records": b'{"Records": [{"s3": {"object": {"key": 5}, "bucket": []}, "eventName": {}}]}',
    "S3 with records of nothing": b'{"Records": [null, 1, "x"]}',
    "S3 whose event is an object": json.dumps(
        {"Records": [{"eventName": {}, "s3": {"bucket": {"name": 1}, "object": {"key": "k"}}}]}
    ).encode(),
}


def corpus() -> Iterator[tuple[str, bytes]]:
    """Every hostile body with its name: the raw ones, and each wrong value in each header."""
    yield from RAW.items()
    for header in HEADERS:
        for number, value in enumerate(WRONG):
            document = {"header": {header: value}, "body": {"payload": SECRET}}
            yield f"{header} is wrong value {number}", json.dumps(document).encode()
