"""Records of burials: whoever reaches the beanstalkd may have written anything into their tube."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pulpo_adapter_beanstalkd.records import Burial, decode, encode

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
BURIAL = Burial(job=7, body="ab", reason="bad", error="no", attempts=2, reserves=3, lost=1, kicks=0, at=AT)


def record(**changes: Any) -> bytes:
    """The body of a record with other fields in it."""
    return json.dumps(json.loads(encode(BURIAL)) | changes).encode()


def test_a_record_comes_back_as_it_was() -> None:
    assert decode(encode(BURIAL)) == BURIAL


def test_its_time_is_told_in_utc_wherever_it_was_written() -> None:
    found = decode(record(at="2026-11-21T12:00:00+02:00"))

    assert found == BURIAL
    assert found is not None
    assert found.at.tzinfo is UTC


@pytest.mark.parametrize(
    "changes",
    [
        {"at": "2026-11-21T10:00:00"},
        {"at": "0001-01-01T00:00:00+23:59"},
        {"at": "yesterday"},
        {"at": None},
        {"job": -1},
        {"job": True},
        {"lost": 1 << 64},
        {"reason": None},
        {"pulpo": 2},
    ],
    ids=str,
)
def test_what_is_no_record_is_nothing(changes: dict[str, Any]) -> None:
    assert decode(record(**changes)) is None
