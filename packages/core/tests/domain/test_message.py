"""What a producer asks for: every accepted form, every rejection by the name of its field."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day
from decimal import Decimal
from types import MappingProxyType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.errors import InvalidMessage
from pulpo_core.domain.message import (
    DEFAULT_PRIORITY,
    FIRST_PRIORITY,
    LAST_PRIORITY,
    NAMED_HEADERS,
    RESERVED_HEADERS,
    Message,
    parse_moment,
    to_moment,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)
WEST = timezone(timedelta(hours=-3))
INSTANT = timedelta(microseconds=1)


@pytest.fixture(params=["UTC0", "WEST+3", "EAST-5:30"], ids=["local time is UTC", "local time is behind", "and ahead"])
def local_time(request, monkeypatch) -> Iterator[timedelta]:
    """The machine's time zone, as what has to be added to local time to have UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield timedelta(seconds=time.timezone)
    time.tzset()


class Broken(tzinfo):
    """A time zone further from UTC than the calendar allows near its ends."""

    def utcoffset(self, _):
        return timedelta(hours=-23)

    def dst(self, _):
        return None


def test_a_message_needs_nothing_at_all():
    message = Message()

    assert attrs.asdict(message) == {
        "request_type": None,
        "body": {},
        "priority": DEFAULT_PRIORITY,
        "delay": None,
        "expiration": None,
        "attempts": 0,
        "header": {},
        "id": None,
    }
    assert (message.payload, message.uid) == (None, None)


NO_TIME = [
    pytest.param(None, id="none"),
    pytest.param(0, id="zero"),
    pytest.param(0.0, id="zero as a fraction"),
    pytest.param(-0.0, id="zero from below"),
    pytest.param(timedelta(), id="an empty time span"),
    pytest.param(1e-9, id="less than a calendar can tell from nothing"),
]

MOMENTS = [
    pytest.param(90, timedelta(seconds=90), id="whole seconds"),
    pytest.param(0.25, timedelta(milliseconds=250), id="parts of a second"),
    pytest.param(-5, timedelta(seconds=-5), id="seconds ago"),
    pytest.param(1e-6, INSTANT, id="the least time span"),
    pytest.param(timedelta(minutes=5), timedelta(minutes=5), id="a time span"),
    pytest.param(timedelta(days=-1), timedelta(days=-1), id="a time span ago"),
    pytest.param(LATER, LATER, id="a moment in UTC"),
    pytest.param(datetime(2026, 11, 21, 9, 0, tzinfo=WEST), LATER, id="a moment elsewhere"),
    pytest.param("2026-11-21T12:00:00+00:00", LATER, id="ISO text in UTC"),
    pytest.param("2026-11-21T12:00:00Z", LATER, id="ISO text with a Z"),
    pytest.param("2026-11-21T09:00:00-03:00", LATER, id="ISO text with an offset"),
    pytest.param("2026-11-21 12:00+00:00", LATER, id="ISO text with a space and no seconds"),
    pytest.param("20261121T120000Z", LATER, id="ISO text in its short form"),
    pytest.param("2026-11-21T12:00:00.000001Z", LATER + INSTANT, id="ISO text to the microsecond"),
    pytest.param("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC), id="the first moment of computers"),
    pytest.param("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC), id="the first moment of the calendar"),
]

NO_MOMENTS = [
    pytest.param(True, "expected seconds, timedelta, datetime or ISO 8601 text, not bool", id="true"),
    pytest.param(False, "expected seconds, timedelta, datetime or ISO 8601 text, not bool", id="false"),
    pytest.param(Decimal(5), "not Decimal", id="a decimal number"),
    pytest.param(Decimal(0), "not Decimal", id="a decimal zero"),
    pytest.param(date(2026, 11, 21), "not date", id="a date"),
    pytest.param(time_of_day(10), "not time", id="a time of day"),
    pytest.param([30], "not list", id="a list"),
    pytest.param({}, "not dict", id="an empty object"),
    pytest.param(b"2026-11-21", "not bytes", id="bytes"),
    pytest.param(math.nan, "nan is not a number of seconds that a calendar can hold", id="not a number"),
    pytest.param(math.inf, "inf is not a number of seconds", id="for ever"),
    pytest.param(-math.inf, "-inf is not a number of seconds", id="for ever in the past"),
    pytest.param(1e15, "is not a number of seconds that a calendar can hold", id="more seconds than a calendar holds"),
    pytest.param(10**400, "is not a number of seconds that a calendar can hold", id="more than a float holds"),
    pytest.param("", "'' is not an ISO 8601 date and time", id="empty text"),
    pytest.param("tomorrow", "'tomorrow' is not an ISO 8601 date and time", id="a word"),
    pytest.param("30", "'30' is not an ISO 8601 date and time", id="a number as text"),
    pytest.param("2026-13-01T00:00:00Z", "is not an ISO 8601 date and time", id="a thirteenth month"),
    pytest.param(" 2026-11-21T12:00:00Z", "is not an ISO 8601 date and time", id="a space before it"),
    pytest.param("x" * 1000, "x' is not an ISO 8601 date and time", id="a novel"),
    pytest.param("0001-01-01T00:00:00+01:00", "cannot be told in UTC", id="before the calendar begins"),
    pytest.param("9999-12-31T23:59:59-01:00", "cannot be told in UTC", id="after it ends"),
    pytest.param(datetime.max.replace(tzinfo=Broken()), "cannot be told in UTC", id="a zone beyond its end"),
]


@pytest.mark.parametrize("field", ["delay", "expiration"])
@pytest.mark.parametrize("value", NO_TIME)
def test_none_and_zero_mean_that_there_is_none(field, value):
    assert getattr(Message(**{field: value}), field) is None


@pytest.mark.parametrize("field", ["delay", "expiration"])
@pytest.mark.parametrize(("value", "moment"), MOMENTS)
def test_a_time_is_accepted_in_every_form(field, value, moment):
    read = getattr(Message(**{field: value}), field)

    assert read == moment
    assert isinstance(read, timedelta) or read.tzinfo is UTC


@pytest.mark.parametrize("field", ["delay", "expiration"])
@pytest.mark.parametrize(("value", "complaint"), NO_MOMENTS)
def test_any_other_time_is_refused_by_the_name_of_its_field(field, value, complaint):
    with pytest.raises(InvalidMessage) as caught:
        Message(**{field: value})

    assert str(caught.value).startswith(f"{field}: ")
    assert complaint in str(caught.value)
    assert len(str(caught.value)) < 140


@pytest.mark.parametrize("value", [datetime(2026, 11, 21, 9), "2026-11-21T09:00:00", "2026-11-21 09:00"])
def test_a_time_without_a_zone_is_local_time(local_time, value):
    assert Message(delay=value).delay == datetime(2026, 11, 21, 9, tzinfo=UTC) + local_time


def test_a_date_as_text_is_its_first_moment_in_local_time(local_time):
    assert Message(expiration="2026-11-21").expiration == datetime(2026, 11, 21, tzinfo=UTC) + local_time


def test_a_time_at_the_end_of_the_calendar_is_a_moment_or_refused(local_time):
    for value in (datetime.min, datetime.max):
        try:
            assert parse_moment(value, field="delay").tzinfo is UTC
        except InvalidMessage as error:
            complaint = str(error)
            assert complaint.startswith("delay: ")


@given(
    st.one_of(
        st.floats(-1e9, 1e9),
        st.integers(-(10**9), 10**9),
        st.timedeltas(timedelta(days=-9999), timedelta(days=9999)),
        st.datetimes(datetime(1900, 1, 1), datetime(2900, 1, 1), timezones=st.sampled_from([UTC, WEST])),
    )
)
def test_what_was_read_once_reads_the_same_again(value):
    moment = parse_moment(value, field="delay")

    assert parse_moment(moment, field="delay") == moment
    if isinstance(moment, datetime):
        assert parse_moment(moment.isoformat(), field="delay") == moment


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.timedeltas(), st.datetimes()))
def test_whatever_is_given_it_is_a_moment_none_or_refused_by_name(value):
    try:
        moment = parse_moment(value, field="expiration")
    except InvalidMessage as error:
        complaint = str(error)
        assert complaint.startswith("expiration: ")
    else:
        assert moment is None or isinstance(moment, timedelta) or moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("delay", "moment"),
    [
        pytest.param(30, NOW + timedelta(seconds=30), id="a span counts from now"),
        pytest.param(1e-6, NOW + INSTANT, id="however short"),
        pytest.param(-30, None, id="a span ago is now"),
        pytest.param(NOW, None, id="the moment itself is now"),
        pytest.param(NOW - INSTANT, None, id="a past moment is now"),
        pytest.param(NOW + INSTANT, NOW + INSTANT, id="a moment ahead stays"),
        pytest.param(None, None, id="none stays none"),
    ],
)
def test_a_delay_is_a_moment_ahead_or_gone(delay, moment):
    assert Message(delay=delay, expiration=LATER).resolved(NOW).delay == moment


@pytest.mark.parametrize(
    ("expiration", "moment"),
    [
        pytest.param(30, NOW + timedelta(seconds=30), id="a span counts from now"),
        pytest.param(-30, NOW - timedelta(seconds=30), id="a span ago is over"),
        pytest.param(NOW, NOW, id="the moment itself stays"),
        pytest.param(NOW - INSTANT, NOW - INSTANT, id="a past moment stays, to be found expired"),
        pytest.param(None, None, id="none stays none"),
    ],
)
def test_an_expiration_is_a_moment_wherever_it_lies(expiration, moment):
    assert Message(delay=LATER, expiration=expiration).resolved(NOW).expiration == moment


def test_resolving_changes_the_times_alone_and_only_once():
    message = Message(request_type="a", body={"b": 1}, priority=7, delay=5, expiration=9, header={"uid": "u"}, id="3")

    resolved = message.resolved(NOW)

    assert resolved == attrs.evolve(message, delay=NOW + timedelta(seconds=5), expiration=NOW + timedelta(seconds=9))
    assert resolved.resolved(NOW + timedelta(seconds=1)) == resolved
    assert message.delay == timedelta(seconds=5)


def test_a_message_without_times_is_resolved_already():
    message = Message(request_type="a")

    assert message.resolved(NOW) is message


@pytest.mark.parametrize("field", ["delay", "expiration"])
@pytest.mark.parametrize("span", [timedelta.max, timedelta.min])
def test_a_time_that_leads_out_of_the_calendar_is_refused_by_name(field, span):
    with pytest.raises(InvalidMessage, match=rf"^{field}: .* from now is beyond the calendar$"):
        Message(**{field: span}).resolved(NOW)
    with pytest.raises(InvalidMessage, match=r"^grace: "):
        to_moment(span, NOW, field="grace")


@pytest.mark.parametrize(
    ("priority", "kept"),
    [
        pytest.param(None, DEFAULT_PRIORITY, id="none is the default"),
        pytest.param(0, 0, id="0 is the first"),
        pytest.param(7, 7, id="a number in between is kept"),
        pytest.param(LAST_PRIORITY, LAST_PRIORITY, id="the last is kept"),
        pytest.param(-1, FIRST_PRIORITY, id="below 0 is the first"),
        pytest.param(-(10**30), FIRST_PRIORITY, id="far below too"),
        pytest.param(LAST_PRIORITY + 1, LAST_PRIORITY, id="above the last is the last"),
        pytest.param(10**30, LAST_PRIORITY, id="far above too"),
    ],
)
def test_a_priority_is_moved_to_the_nearer_end(priority, kept):
    assert Message(priority=priority).priority == kept


def test_priorities_have_the_range_of_an_unsigned_32_bit_number():
    assert (FIRST_PRIORITY, DEFAULT_PRIORITY, LAST_PRIORITY) == (0, 65536, 4294967295)


@pytest.mark.parametrize("attempts", [0, 1, 10**12])
def test_attempts_are_counted_from_0(attempts):
    assert Message(attempts=attempts).attempts == attempts


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        pytest.param({"priority": 1.5}, "priority: expected a whole number, not float", id="priority as a fraction"),
        pytest.param({"priority": "high"}, "priority: expected a whole number, not str", id="priority as a word"),
        pytest.param({"priority": True}, "priority: expected a whole number, not bool", id="priority as true"),
        pytest.param({"attempts": -1}, "attempts: expected a whole number from 0, not -1", id="attempts below 0"),
        pytest.param(
            {"attempts": 1.0}, "attempts: expected a whole number from 0, not 1.0", id="attempts as a fraction"
        ),
        pytest.param({"attempts": True}, "attempts: expected a whole number from 0, not True", id="attempts as true"),
        pytest.param({"attempts": None}, "attempts: expected a whole number from 0, not None", id="attempts as none"),
        pytest.param({"request_type": 5}, "request_type: expected text, not int", id="request type as a number"),
        pytest.param({"request_type": b"a"}, "request_type: expected text, not bytes", id="request type as bytes"),
        pytest.param({"id": 5}, "id: expected text, not int", id="id as a number"),
        pytest.param({"body": "secret"}, "body: expected key-value pairs, not str", id="body as text"),
        pytest.param({"body": [("a", 1)]}, "body: expected key-value pairs, not list", id="body as a list of pairs"),
        pytest.param({"body": 0}, "body: expected key-value pairs, not int", id="body as a falsy value"),
        pytest.param({"header": "x"}, "header: expected key-value pairs, not str", id="header as text"),
        pytest.param({"header": []}, "header: expected key-value pairs, not list", id="header as an empty list"),
        *(
            pytest.param(
                {"header": {name: None}},
                f"header: '{name}' has a field of its own; give it as Message({name}=…)",
                id=f"{name} in the header",
            )
            for name in NAMED_HEADERS
        ),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(fields, complaint):
    with pytest.raises(InvalidMessage) as caught:
        Message(**fields)

    assert str(caught.value) == complaint


def test_a_body_is_never_part_of_a_refusal():
    with pytest.raises(InvalidMessage) as caught:
        Message(body="4111 1111 1111 1111")

    assert "4111" not in str(caught.value)


@pytest.mark.parametrize("payload", [0, "", {}, [], False, 0.0, None, "x", {"a": [1, None]}], ids=repr)
def test_a_falsy_payload_is_a_value(payload):
    message = Message(body={"payload": payload})

    assert message.payload == payload
    assert message.body == {"payload": payload}


@pytest.mark.parametrize("field", ["body", "header"])
def test_pairs_are_copied_so_that_the_producer_may_go_on_with_its_own(field):
    own = {"a": 1}
    message = Message(**{field: own})
    own["a"] = 2

    assert getattr(message, field) == {"a": 1}
    assert getattr(Message(**{field: MappingProxyType(own)}), field) == {"a": 2}
    assert getattr(Message(**{field: None}), field) == {}


@pytest.mark.parametrize(
    ("header", "uid"),
    [
        pytest.param({}, None, id="none where there is none"),
        pytest.param({"uid": "0198"}, "0198", id="the one in the header"),
        pytest.param({"uid": ""}, "", id="an empty one is one"),
        pytest.param({"uid": 5}, None, id="a number is not one"),
    ],
)
def test_the_uid_is_a_text_of_the_header(header, uid):
    assert Message(header=header).uid == uid


def test_headers_are_added_and_replaced_and_nothing_else_changes():
    message = Message(request_type="a", header={"uid": "u", "tenant": 1}, delay=5)

    changed = message.with_header(tenant=2, traceparent="00-1")

    assert changed == attrs.evolve(message, header={"uid": "u", "tenant": 2, "traceparent": "00-1"})
    assert message.header == {"uid": "u", "tenant": 1}
    with pytest.raises(InvalidMessage, match=r"^header: 'priority' has a field of its own"):
        message.with_header(priority=3)


def test_no_header_is_both_named_and_reserved():
    assert RESERVED_HEADERS.isdisjoint(NAMED_HEADERS)
    assert {"uid", "published_at", "attempts_base", "group", "dedup_id", "traceparent", "tracestate", "origin"} == (
        RESERVED_HEADERS
    )


@pytest.mark.parametrize(
    ("header", "uid"),
    [
        pytest.param({}, "file:7", id="one without an identity gets the one its queue gives"),
        pytest.param({"uid": "0198"}, "0198", id="one with an identity keeps it"),
    ],
)
def test_a_received_message_is_named_and_counted_by_its_queue(header, uid):
    message = Message(request_type="a", body={"b": 1}, priority=7, delay=5, expiration=LATER, header=header)

    received = message.received(id="7", uid="file:7", attempts=3)

    assert received == Message(
        request_type="a", body={"b": 1}, priority=7, delay=5, expiration=LATER, header={"uid": uid}, attempts=3, id="7"
    )
    assert type(received) is Message
    assert message.header == header


def test_a_published_message_has_the_id_that_its_queue_gave_it():
    message = Message(request_type="a", body={"b": 1}, priority=7, delay=5, expiration=LATER, header={"uid": "u"})

    assert message.published(id="7") == attrs.evolve(message, id="7")
    assert message.id is None


def test_a_message_is_a_value_that_cannot_be_changed():
    message = Message(request_type="a", delay=5)

    assert message == Message(request_type="a", delay=timedelta(seconds=5))
    assert message != Message(request_type="b", delay=5)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        message.delay = None
    with pytest.raises(TypeError, match="unhashable"):
        hash(message)


def test_what_is_printed_of_a_message_tells_neither_body_nor_header():
    message = Message(request_type="mail", body={"to": "secret"}, header={"token": "secret"}, id="7")

    assert "secret" not in repr(message)
    assert "'mail'" in repr(message)
    assert "'7'" in repr(message)
