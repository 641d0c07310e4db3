"""What is told about how a queue of SQS is set up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_adapter_sqs.examining import _CHECKS, Seen, clock_skew
from pulpo_adapter_sqs.source import Source
from pulpo_core import Examiner, Level, PermissionDenied, QueueNotFound, Usage

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
DAY = 86_400


def source(name: str = "mail", **facts: Any) -> Source:
    return Source(name=name, url=f"https://sqs/1/{name}", arn=f"arn:aws:sqs:eu-west-1:1:{name}", **facts)


def levels(*, retention: int = 4 * DAY, buried: int = 14 * DAY, **facts: Any) -> dict[str, Level]:
    given = {
        "usage": Usage(horizon=timedelta(hours=1), max_attempts=10),
        "source": source(),
        "grave": source("mail-buried"),
        "refusal": None,
        "attributes": {"MessageRetentionPeriod": str(retention)},
        **facts,
    }
    seen = Seen(grave_attributes={"MessageRetentionPeriod": str(buried)}, **given)
    return {each.check: each.level for check in _CHECKS for each in check(seen)}


def test_the_adapter_can_be_asked():
    assert isinstance(SqsAdapter(), Examiner)


def test_a_queue_that_keeps_messages_for_longer_than_they_are_tried_is_as_it_should_be():
    assert set(levels().values()) == {Level.OK}


@pytest.mark.parametrize(
    ("check", "level", "facts"),
    [
        ("retention", Level.ERROR, {"retention": 60}),
        ("retention", Level.WARNING, {"usage": Usage(horizon=None)}),
        ("retention", Level.WARNING, {"attributes": {}}),
        ("retention", Level.OK, {"retention": 60, "usage": Usage(consumes=False)}),
        ("redrive", Level.WARNING, {"source": source(max_receives=10)}),
        ("redrive", Level.OK, {"source": source(max_receives=50)}),
        ("retention of what is buried", Level.WARNING, {"buried": DAY}),
        ("retention of what is buried", Level.WARNING, {"buried": 4 * DAY, "source": source(max_receives=50)}),
        ("permissions", Level.ERROR, {"refusal": PermissionDenied("sqs:DeleteMessage")}),
        ("burial", Level.ERROR, {"refusal": QueueNotFound("nowhere to bury"), "grave": None}),
    ],
)
def test_what_would_lose_messages_is_told(check: str, level: Level, facts: dict[str, Any]):
    assert levels(**facts)[check] is level


@pytest.mark.parametrize(("seconds", "level"), [(0, Level.OK), (-29, Level.OK), (31, Level.ERROR), (-400, Level.ERROR)])
def test_a_clock_that_is_off_is_an_error(seconds: int, level: Level):
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 21 Nov 2026 10:00:00 GMT"}}}

    [found] = clock_skew(answer, NOW + timedelta(seconds=seconds))

    assert found.level is level


@pytest.mark.parametrize("headers", [{}, {"date": "soon"}, {"date": "Sat, 21 Nov 2026 10:00:00 -0000"}])
def test_a_server_that_tells_no_time_says_nothing_about_the_clock(headers: dict[str, str]):
    assert clock_skew({"ResponseMetadata": {"HTTPHeaders": headers}}, NOW) == []
