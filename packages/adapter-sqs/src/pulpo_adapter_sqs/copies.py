"""Copies of messages, for what SQS cannot do in place: burial, kick, long delays. Pure.

A copy is sent first and its original deleted afterwards: a crash in between leaves two messages
with one uid, never none. On FIFO queues a copy has a deduplication id of its own, made of the
uid, the operation and the message it was made from: the five minutes in which AWS remembers ids
swallow the same copy made twice, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from pulpo_core import Envelope, round_up

from .codec import (
    BURIAL,
    MAX_ATTRIBUTES,
    OWN,
    PULPO,
    USER_ATTRIBUTES,
    Attributes,
    Extras,
    as_text,
    copy_id,
    fifo_id,
    fits,
    pack,
    read_json,
    read_moment,
    size,
    text_attribute,
    to_json,
)
from .source import Source

#: SQS delays a new message by at most this.
MAX_DELAY: Final = timedelta(seconds=900)

_REASON_LIMIT: Final = 200  # characters of a reason; longer ones are a user's prose, and belong in the error

Entry = dict[str, Any]


@attrs.frozen(kw_only=True, slots=True)
class Burial:
    """Why a message was set aside: the content of the attribute `BURIAL`.

    Attributes:
        origin: the ARN of the queue it was buried from, and to which a kick returns it.
        source_id: its id there.
    """

    reason: str = ""
    error: str = ""
    attempts: int = 0
    buried_at: datetime | None = None
    origin: str = ""
    source_id: str = ""


def read_burial(attributes: Attributes) -> Burial | None:
    """What the attribute `BURIAL` says; `None` when nobody recorded anything."""
    said = read_json(attributes.get(BURIAL))
    if not isinstance(said.get("reason"), str):
        return None
    attempts = said.get("attempts")
    return Burial(
        **{name: said[name] for name in ("reason", "error", "origin", "source_id") if isinstance(said.get(name), str)},
        attempts=attempts if type(attempts) is int else 0,
        buried_at=read_moment(said.get("buried_at")),
    )


def burial_entry(
    message: Mapping[str, Any], envelope: Envelope, extras: Extras, burial: Burial, target: Source
) -> Entry:
    """The copy of *message* for the queue *target*: its body intact, as much of the rest as there is room for."""
    kept = attrs.evolve(_identity(envelope, extras), group=envelope.group)
    entry = _entry(message, {})
    raw: Attributes = message.get("MessageAttributes") or {}
    for attributes in _ever_smaller(raw, kept, burial):
        entry["MessageAttributes"] = attributes
        if size(entry["MessageBody"], attributes) <= target.max_message_bytes:
            break
    return _addressed(entry, target, group=envelope.uid, dedup=copy_id(envelope.uid, "bury", message["MessageId"]))


def _identity(envelope: Envelope, extras: Extras) -> Extras:
    """What lets a copy go on as the same message with a fresh budget."""
    return attrs.evolve(extras, uid=envelope.uid, published_at=envelope.published_at, attempts_base=0, not_before=None)


def _ever_smaller(raw: Attributes, extras: Extras, burial: Burial) -> Iterator[dict[str, Mapping[str, Any]]]:
    """The attributes of a buried copy: everything, then without the text of the error, at last as they were."""
    burial = attrs.evolve(burial, reason=burial.reason[:_REASON_LIMIT])
    length = len(burial.error)
    while length:
        yield _recorded(raw, extras, attrs.evolve(burial, error=burial.error[:length]))
        length //= 2
    yield _recorded(raw, extras, attrs.evolve(burial, error=""))
    yield dict(list(raw.items())[:MAX_ATTRIBUTES])


def _recorded(raw: Attributes, extras: Extras, burial: Burial) -> dict[str, Mapping[str, Any]]:
    said = {name: value for name, value in attrs.asdict(burial).items() if value or name == "reason"}
    return {**carried(raw, extras), BURIAL: text_attribute(to_json(said))}


def carried(raw: Attributes, extras: Extras) -> dict[str, Mapping[str, Any]]:
    """The attributes of a message with *extras*, those beyond what SQS has room for inside of them."""
    users = [(name, value) for name, value in raw.items() if name not in OWN]
    attributes = dict(users[:USER_ATTRIBUTES])
    inside = {name: as_text(value) for name, value in users[USER_ATTRIBUTES:]}
    types = {name: str(value["DataType"]) for name, value in users[USER_ATTRIBUTES:] if value["DataType"] != "String"}
    packed = attrs.evolve(extras, attributes={**extras.attributes, **inside}, types={**extras.types, **types})
    return {**attributes, PULPO: pack(packed)}


def restored(raw: Attributes, extras: Extras) -> dict[str, Mapping[str, Any]]:
    """The attributes of a message that goes back to its queue: those inside *extras* come out as there is room."""
    attributes = {name: value for name, value in raw.items() if name not in OWN}
    inside = dict(extras.attributes)
    for name, text in extras.attributes.items():
        if len(attributes) < USER_ATTRIBUTES and text and fits(name, text):
            attributes[name] = _typed(text, extras.types.get(name, "String"))
            del inside[name]
    types = {name: kind for name, kind in extras.types.items() if name in inside}
    return {**attributes, PULPO: pack(attrs.evolve(extras, attributes=inside, types=types))}


def _typed(text: str, kind: str) -> Mapping[str, Any]:
    if kind.startswith("Binary"):
        try:
            return {"DataType": kind, "BinaryValue": base64.b64decode(text, validate=True)}
        except binascii.Error:
            kind = "String"
    return {"DataType": kind, "StringValue": text}


def kick_entry(message: Mapping[str, Any], envelope: Envelope, extras: Extras, target: Source) -> Entry:
    """The copy of a buried *message* for the queue it came from: as it was published, with a fresh budget.

    A foreign message may fill its queue's limit alone. Then it goes back without a word of pulpo's, as it came, and
    gets another identity.
    """
    raw: Attributes = message.get("MessageAttributes") or {}
    entry = _entry(message, restored(raw, attrs.evolve(_identity(envelope, extras), group=None)))
    is_plain = not (extras.encoding or extras.attributes)
    if is_plain and size(entry["MessageBody"], entry["MessageAttributes"]) > target.max_message_bytes:
        entry["MessageAttributes"] = {name: value for name, value in raw.items() if name not in OWN}
    group = extras.group or envelope.group or envelope.uid
    return _addressed(entry, target, group=group, dedup=copy_id(envelope.uid, "kick", message["MessageId"]))


def hop_entry(
    message: Mapping[str, Any],
    envelope: Envelope,
    extras: Extras,
    *,
    until: datetime,
    now: datetime,
    attempts_base: int,
) -> Entry:
    """The copy of *message* that comes back at *until*, or as near to it as one delay reaches."""
    seconds, not_before = delay_of(until, now)
    kept = attrs.evolve(_identity(envelope, extras), attempts_base=attempts_base, not_before=not_before)
    raw: Attributes = message.get("MessageAttributes") or {}
    entry = _entry(message, carried(raw, kept))
    if seconds:
        entry["DelaySeconds"] = seconds
    return entry


def delay_of(until: datetime, now: datetime) -> tuple[int, datetime | None]:
    """Seconds to delay a message that is to come at *until*, and *until* again if they do not reach it."""
    left = until - now
    if left > MAX_DELAY:
        return int(MAX_DELAY.total_seconds()), until
    return max(0, int(round_up(left, timedelta(seconds=1)).total_seconds())), None


def _entry(message: Mapping[str, Any], attributes: Attributes) -> Entry:
    entry: Entry = {"MessageBody": message["Body"], "MessageAttributes": attributes}
    trace = (message.get("Attributes") or {}).get("AWSTraceHeader")
    if trace:
        entry["MessageSystemAttributes"] = {"AWSTraceHeader": text_attribute(trace)}
    return entry


def _addressed(entry: Entry, target: Source, *, group: str, dedup: str) -> Entry:
    if target.fifo:
        entry["MessageGroupId"] = fifo_id(group)
        entry["MessageDeduplicationId"] = dedup
    return entry
