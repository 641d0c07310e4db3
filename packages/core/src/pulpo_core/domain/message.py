"""What a producer asks for: `Message`.

A message is immutable. Relative times (``delay=30``, ``expiration=timedelta(hours=1)``) stay
relative until the message is published, because only then is there a *now* to count from:
`Message.resolved` turns them into moments in UTC.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from .errors import InvalidMessage
from .fields import is_number, is_whole

FIRST_PRIORITY: Final = 0
DEFAULT_PRIORITY: Final = 65_536
LAST_PRIORITY: Final = 4_294_967_295  # 2**32 - 1, beanstalkd's range, which every adapter keeps

#: Header keys that are attributes of `Message`, in the order in which documents list them.
NAMED_HEADERS: Final = ("request_type", "priority", "delay", "expiration", "attempts")
_NAMED: Final = frozenset(NAMED_HEADERS)

#: Header keys whose meaning pulpo fixes; everything else in a header belongs to the user.
RESERVED_HEADERS: Final = frozenset(
    {"uid", "published_at", "attempts_base", "group", "dedup_id", "traceparent", "tracestate", "origin"}
)

#: When something happens: an aware moment in UTC, or a time span still to be counted from *now*.
Moment = datetime | timedelta


def parse_moment(value: object, *, field: str) -> Moment | None:
    """Read one of the accepted forms of a time; `None` and 0 mean that there is none.

    Args:
        value: seconds (int or float) or a timedelta, counted from publishing; an aware
            datetime; a naive datetime, taken as local time; or ISO 8601 text of either.
        field: what to call it in an error.

    Raises:
        InvalidMessage: *value* is none of these; the text names *field*.
    """
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value or None
    if isinstance(value, datetime):
        return _to_utc(value, field)
    if isinstance(value, str):
        return _to_utc(_parse_iso(value, field), field)
    if is_number(value):
        return _parse_seconds(value, field) or None
    raise InvalidMessage(f"{field}: expected seconds, timedelta, datetime or ISO 8601 text, not {_describe(value)}")


def _parse_iso(text: str, field: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidMessage(f"{field}: {text[:64]!r} is not an ISO 8601 date and time") from error


def _parse_seconds(value: float, field: str) -> timedelta:
    try:
        if not math.isfinite(value):
            raise OverflowError
        return timedelta(seconds=value)
    except OverflowError as error:
        raise InvalidMessage(f"{field}: {value!r:.40} is not a number of seconds that a calendar can hold") from error


def _to_utc(moment: datetime, field: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise InvalidMessage(f"{field}: {moment.isoformat()} cannot be told in UTC") from error


def _describe(value: object) -> str:
    return type(value).__name__


def _clamp_priority(value: object) -> int:
    if value is None:
        return DEFAULT_PRIORITY
    if not is_whole(value):
        raise InvalidMessage(f"priority: expected a whole number, not {_describe(value)}")
    return max(FIRST_PRIORITY, min(value, LAST_PRIORITY))


def _attempts(value: object) -> int:
    if not is_whole(value) or value < 0:
        raise InvalidMessage(f"attempts: expected a whole number from 0, not {value!r:.40}")
    return value


def _text(value: object, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidMessage(f"{field}: expected text, not {_describe(value)}")


def _pairs(value: object, field: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidMessage(f"{field}: expected key-value pairs, not {_describe(value)}")
    return dict(value)


def _free_headers(header: dict[str, Any]) -> dict[str, Any]:
    if not _NAMED.isdisjoint(header):
        name = next(name for name in NAMED_HEADERS if name in header)
        raise InvalidMessage(f"header: {name!r} has a field of its own; give it as Message({name}=…)")
    return header


@attrs.frozen(slots=False, init=False)  # a dictionary is made and copied faster than slots are
class Message:
    """A job request. Its ``repr`` tells neither body nor header.

    Attributes:
        request_type: selects the handler; `None` reaches the default handler only.
        body: key-value pairs of JSON values; ``body["payload"]`` is the one value of simple jobs.
        priority: 0 first … 4294967295 last; values outside are moved to the nearer end.
        delay: not to be handled before; a past moment means now.
        expiration: not to be handled after; the moment itself is still in time.
        attempts: failed attempts so far, as the queue knows it; crashes count.
        header: further headers, kept through every round trip; see `RESERVED_HEADERS`.
        id: given by the queue at publish; `None` before.

    Raises:
        InvalidMessage: a field has a value of a wrong kind; the text begins with its name.
    """

    request_type: str | None = None
    body: Mapping[str, Any] = attrs.field(factory=dict, repr=False)  # what is printed ends up in logs
    priority: int = DEFAULT_PRIORITY
    delay: Moment | None = None
    expiration: Moment | None = None
    attempts: int = 0
    header: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    id: str | None = None

    def __init__(
        self,
        *,
        request_type: str | None = None,
        body: Mapping[str, Any] | None = None,
        priority: int | None = None,
        delay: Moment | float | str | None = None,
        expiration: Moment | float | str | None = None,
        attempts: int = 0,
        header: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002 - the domain's word
    ) -> None:
        header = _free_headers(_pairs(header, "header"))
        self.__attrs_init__(  # attrs makes it where init=False; its arguments are in the order of the fields
            request_type if type(request_type) is str else _text(request_type, "request_type"),
            dict(body) if type(body) is dict else _pairs(body, "body"),
            DEFAULT_PRIORITY if priority == DEFAULT_PRIORITY else _clamp_priority(priority),
            None if delay is None else parse_moment(delay, field="delay"),
            None if expiration is None else parse_moment(expiration, field="expiration"),
            _attempts(attempts),
            header,
            None if id is None else _text(id, "id"),
        )

    @property
    def payload(self) -> Any:
        """The single value of a simple job; `None` when there is none."""
        return self.body.get("payload")

    @property
    def uid(self) -> str | None:
        """The publisher's identity of this message, the same through retries, copies, burial and kick."""
        uid = self.header.get("uid")
        return uid if isinstance(uid, str) else None

    def resolved(self, now: datetime) -> Message:
        """The same message with its times as moments in UTC, counted from *now*; a past delay is gone."""
        if self.delay is None and self.expiration is None:
            return self
        ready_at = to_moment(self.delay, now, field="delay")
        return self._copy(
            delay=None if ready_at is None or ready_at <= now else ready_at,
            expiration=to_moment(self.expiration, now, field="expiration"),
        )

    def received(self, *, id: str, uid: str, attempts: int) -> Message:  # noqa: A002 - the domain's word
        """The same message as one delivery knows it: named by its queue, and with its attempts counted."""
        message = self._copy(id=id, attempts=attempts)
        if "uid" not in self.header:
            message.__dict__["header"] = {**self.header, "uid": uid}
        return message

    def with_header(self, **headers: Any) -> Message:
        """The same message with *headers* added to its header, each replacing one of that name."""
        return self._copy(header=_free_headers({**self.header, **headers}))

    def published(self, *, id: str) -> Message:  # noqa: A002 - the domain's word
        """The same message as its queue has named it."""
        return self._copy(id=id)

    def _copy(self, **changes: Any) -> Message:
        """A changed copy whose fields need no second look: they were checked when *self* was made."""
        message = object.__new__(Message)
        message.__dict__.update(self.__dict__, **changes)
        return message


def to_moment(value: Moment | None, now: datetime, *, field: str) -> datetime | None:
    """Count a time span from *now*; a moment stays as it is.

    Raises:
        InvalidMessage: the sum lies beyond what a calendar can hold; the text names *field*.
    """
    if not isinstance(value, timedelta):
        return value
    try:
        return now + value
    except OverflowError as error:
        raise InvalidMessage(f"{field}: {value} from now is beyond the calendar") from error
