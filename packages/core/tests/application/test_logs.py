"""What happened, as lines of the standard library's logging."""

import logging
from datetime import timedelta

import attrs
import pytest

from pulpo_core import Message, Reason, Retry, Tally, Unavailable
from pulpo_core.application.logs import LogObserver
from pulpo_core.events import (
    Alarm,
    LeaseExtended,
    LeaseGone,
    Published,
    Received,
    ReceiveFailed,
    ReceiveRecovered,
    RouteStarted,
    RouteStopped,
    Settled,
    SettleFailed,
    Started,
)

from .fakes import delivery

DELIVERY = delivery("7", Message(request_type="job", body={"secret": "secret-value"}))


def settled(**changes):
    fields = {
        "route": "mail",
        "delivery": DELIVERY,
        "request_type": "job",
        "settlement": Retry(5),
        "reason": Reason.FAILED,
        "tally": Tally.RETRIED,
        "elapsed": timedelta(milliseconds=40),
        "handling": timedelta(milliseconds=12.5),
        "error": "ValueError: broken",
    }
    return Settled(**{**fields, **changes})


LINES = {
    "settled": (settled(), "INFO", "mail: job 7 attempt 1 retried (failed) in 12.5 ms: ValueError: broken"),
    "settled without error and type": (
        settled(request_type=None, error="", reason=Reason.HANDLED, tally=Tally.ACKED),
        "INFO",
        "mail: - 7 attempt 1 acked (handled) in 12.5 ms",
    ),
    "settled without having been handled": (
        settled(handling=None, error="", reason=Reason.EXPIRED, tally=Tally.BURIED),
        "INFO",
        "mail: job 7 attempt 1 buried (expired)",
    ),
    "receive failed": (
        ReceiveFailed(route="mail", error=Unavailable("away"), delay=timedelta(seconds=2)),
        "WARNING",
        "mail: receive failed, next in 2.0 s: Unavailable: away",
    ),
    "receive recovered": (
        ReceiveRecovered(route="mail", failures=3),
        "WARNING",
        "mail: receiving works again, after 3 failures",
    ),
    "receive recovered at once": (
        ReceiveRecovered(route="mail", failures=1),
        "WARNING",
        "mail: receiving works again, after 1 failure",
    ),
    "settle failed": (
        SettleFailed(route="mail", delivery=DELIVERY, error=Unavailable("away"), final=False),
        "WARNING",
        "mail: settling 7 failed, will be repeated: Unavailable: away",
    ),
    "settle failed for good": (
        SettleFailed(route="mail", delivery=DELIVERY, error=Unavailable("away"), final=True),
        "WARNING",
        "mail: settling 7 failed: Unavailable: away",
    ),
    "lease gone": (
        LeaseGone(route="mail", delivery=DELIVERY),
        "WARNING",
        "mail: the lease of 7 is lost; another worker may have it",
    ),
    "alarm": (Alarm(route="mail", text="classifier failed"), "WARNING", "mail: classifier failed"),
    "route started": (RouteStarted(route="mail"), "INFO", "mail: receiving"),
    "route stopped": (RouteStopped(route="mail"), "INFO", "mail: stopped"),
}


@pytest.mark.parametrize(("event", "level", "line"), LINES.values(), ids=LINES)
def test_what_is_worth_a_line_has_one_with_its_facts_beside(event, level, line, caplog):
    with caplog.at_level(logging.DEBUG, logger="pulpo"):
        LogObserver()(event)

    [record] = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("pulpo.dispatcher", level, line)
    assert record.pulpo_route == "mail"


SILENT = [
    Received(route="mail", delivery=DELIVERY),
    Started(route="mail", delivery=DELIVERY, message=Message(body={"secret": "secret-value"})),
    LeaseExtended(route="mail", count=3),
    Published(queue="mail", message=Message()),
]


@pytest.mark.parametrize("event", SILENT, ids=lambda event: type(event).__name__)
def test_what_is_not_worth_a_line_has_none(event, caplog):
    with caplog.at_level(logging.DEBUG, logger="pulpo"):
        LogObserver()(event)

    assert caplog.records == []


def test_a_settlement_has_every_fact_that_a_collector_may_want(caplog):
    with caplog.at_level(logging.INFO, logger="pulpo"):
        LogObserver({"mail": "file:///shop.db?queue=mail"})(settled())

    [record] = caplog.records
    facts = {name.removeprefix("pulpo_"): value for name, value in vars(record).items() if name.startswith("pulpo_")}
    assert facts == {
        "route": "mail",
        "queue": "file:///shop.db?queue=mail",
        "id": "7",
        "uid": "uid-7",
        "type": "job",
        "attempt": 1,
        "settlement": "retried",
        "reason": "failed",
        "duration_ms": 12.5,
        "elapsed_ms": 40.0,
        "error": "ValueError: broken",
    }


def test_single_deliveries_are_not_even_looked_at_unless_somebody_reads_their_lines(caplog):
    with caplog.at_level(logging.WARNING, logger="pulpo"):
        assert not LogObserver.wants_deliveries()
        LogObserver()(attrs.evolve(settled(), delivery=None))  # nothing of it is read
    with caplog.at_level(logging.INFO, logger="pulpo"):
        assert LogObserver.wants_deliveries()
