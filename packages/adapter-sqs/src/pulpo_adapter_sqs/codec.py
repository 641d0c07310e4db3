"""Between envelopes and what SQS stores: body, message attributes, sizes. Pure.

A body that is text travels as it is, so that everybody can read it; bytes that SQS would refuse
travel as base64. What pulpo has to say about a message is one attribute, `PULPO`, and what burial
adds is another, `BURIAL`: SQS carries ten, and eight are left to the users. More than eight, and
names or texts that SQS would refuse, travel inside `PULPO`.

Only attributes are believed. Whoever controls a body alone cannot set an identity, a counter of
attempts or an origin through it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from pulpo_core import DEFAULT_PRIORITY, Envelope, MessageTooLarge

from .source import Source

#: Attributes as SQS has them: ``{name: {"DataType": "String", "StringValue": "…"}}``.
Attributes = Mapping[str, Mapping[str, Any]]

PULPO: Final = "pulpo"
BURIAL: Final = "pulpo.burial"
OWN: Final = frozenset({PULPO, BURIAL})

MAX_ATTRIBUTES: Final = 10  # SQS refuses more for one message
USER_ATTRIBUTES: Final = MAX_ATTRIBUTES - len(OWN)

#: Names that SQS takes: not starting or ending with a period, none twice in a row, no prefix of Amazon's.
_ATTRIBUTE_NAME: Final = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")

#: What XML 1.0 can carry, which is all that SQS takes in bodies and texts.
_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Kept free of a queue's limit at publishing, so that the message can still be buried with its reason.
#: Half is for `PULPO`, half for `BURIAL`; a queue with a tiny limit keeps half of that free.
_ROOM: Final = 4096

#: Stands for an empty body, which SQS refuses; no base64 text looks like it.
_EMPTY: Final = "="

#: What SQS takes as a message group id or deduplication id.
_FIFO_ID: Final = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")


@attrs.frozen(kw_only=True, slots=True)
class Extras:
    """What pulpo says about a message beside its body: the content of the attribute `PULPO`.

    Attributes:
        uid: the publisher's identity of the message.
        attempts_base: attempts that the receive counter of this copy does not know of.
        not_before: set while a long delay is under way: hop again until then.
        group: the FIFO group to go back to, of a copy in another queue.
        encoding: ``base64`` when the body is not text that SQS takes.
        attributes: user attributes that did not fit as attributes of their own.
        types: the data types of those among them that are not plain text.
    """

    uid: str = ""
    published_at: datetime | None = None
    expiration: datetime | None = None
    priority: int = DEFAULT_PRIORITY
    attempts_base: int = 0
    not_before: datetime | None = None
    group: str | None = None
    encoding: str = ""
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    types: Mapping[str, str] = attrs.field(factory=dict)


_NOTHING_SAID: Final = Extras()
_DEFAULT: Final = attrs.asdict(_NOTHING_SAID)
_MOMENTS: Final = ("published_at", "expiration", "not_before")
_TEXTS: Final = ("uid", "group", "encoding")
_COUNTS: Final = ("priority", "attempts_base")
_PAIRS: Final = ("attributes", "types")

#: JSON as it travels in attributes; moments become ISO 8601.
to_json: Final = json.JSONEncoder(separators=(",", ":"), default=datetime.isoformat).encode


def pack(extras: Extras) -> dict[str, str]:
    """*extras* as an attribute."""
    said = {name: value for name, default in _DEFAULT.items() if (value := getattr(extras, name)) != default}
    return text_attribute(to_json(said))


def text_attribute(text: str) -> dict[str, str]:
    """*text* as an attribute."""
    return {"DataType": "String", "StringValue": text}


def unpack(attributes: Attributes) -> Extras:
    """What the attribute `PULPO` says; what somebody else may have put there under its name says nothing."""
    said = read_json(attributes.get(PULPO))
    if not said:
        return _NOTHING_SAID
    fields: dict[str, Any] = {
        **{name: said[name] for name in _TEXTS if isinstance(said.get(name), str)},
        **{name: said[name] for name in _COUNTS if type(said.get(name)) is int and said[name] >= 0},
        **{name: moment for name in _MOMENTS if (moment := read_moment(said.get(name)))},
        **{name: _texts(said[name]) for name in _PAIRS if name in said},
    }
    return Extras(**fields)


def _texts(value: object) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {name: text for name, text in pairs if isinstance(text, str)}


def read_json(attribute: Mapping[str, Any] | None) -> dict[str, Any]:
    """The JSON object in *attribute*; empty when there is none."""
    try:
        value = json.loads((attribute or {}).get("StringValue") or "{}")
    except (ValueError, TypeError, RecursionError):  # whoever may send may have written anything there
        return {}
    return value if isinstance(value, dict) else {}


def read_moment(value: object) -> datetime | None:
    """An aware moment from ISO 8601 text; `None` for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def encode_body(body: bytes) -> tuple[str, str]:
    """*body* as SQS can store it, and how it is encoded."""
    if not body:
        return _EMPTY, "base64"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
    if not is_text(text):
        return base64.b64encode(body).decode(), "base64"
    return text, ""


def decode_body(text: str, encoding: str) -> bytes:
    """The bytes that were published; what claims to be base64 and is not is left as it came."""
    if encoding != "base64":
        return text.encode("utf-8", "surrogatepass")
    if text == _EMPTY:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def encode_attributes(extras: Extras, wanted: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """*wanted* as attributes of their own as far as SQS takes them, the others inside `PULPO`."""
    fit = {name: text for name, text in wanted.items() if text and fits(name, text)}
    own = dict(list(fit.items())[:USER_ATTRIBUTES])
    rest = {name: text for name, text in wanted.items() if name not in own}
    encoded = {name: text_attribute(text) for name, text in own.items()}
    if rest or extras != _NOTHING_SAID:
        encoded[PULPO] = pack(attrs.evolve(extras, attributes=rest) if rest else extras)
    return encoded


def fits(name: str, text: str) -> bool:
    """Whether SQS takes an attribute of this name and text, and pulpo does not use the name itself."""
    return name not in OWN and bool(_ATTRIBUTE_NAME.fullmatch(name)) and is_text(text)


def is_text(text: str) -> bool:
    """Whether SQS and SNS take these characters."""
    return not _REFUSED.search(text)


def size(body: str, attributes: Attributes) -> int:
    """Bytes as SQS counts them: the body, and name, type and value of each attribute."""
    return byte_count(body) + sum(attribute_size(name, value) for name, value in attributes.items())


def byte_count(text: str) -> int:
    """Bytes of *text* in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def attribute_size(name: str, attribute: Mapping[str, Any]) -> int:
    """Bytes of one attribute as SQS counts them."""
    value = attribute.get("StringValue")
    length = byte_count(value) if isinstance(value, str) else len(attribute.get("BinaryValue") or b"")
    return byte_count(name) + byte_count(attribute.get("DataType", "")) + length


def room(source: Source) -> int:
    """Bytes that a published body leaves free for what pulpo adds, when it is published and when it is buried."""
    return min(_ROOM, source.max_message_bytes // 2)


def max_body_bytes(source: Source) -> int:
    """The longest body that can be published to *source*, and buried from it with its reason."""
    return source.max_message_bytes - room(source)


def encode(
    envelope: Envelope, source: Source, *, delay_seconds: int = 0, not_before: datetime | None = None
) -> dict[str, Any]:
    """The entry of SendMessageBatch that carries *envelope*, without its position.

    Args:
        not_before: the moment to hop to when *delay_seconds* does not reach it.

    Raises:
        MessageTooLarge: body and attributes are over the limit of the queue.
    """
    text, encoding = encode_body(envelope.body)
    extras = Extras(
        uid=envelope.uid,
        published_at=envelope.published_at,
        expiration=envelope.expiration,
        priority=envelope.priority,
        not_before=not_before,
        encoding=encoding,
    )
    attributes = encode_attributes(extras, envelope.attributes)
    check_size(text, attributes, source)
    entry: dict[str, Any] = {"MessageBody": text, "MessageAttributes": attributes}
    if delay_seconds:
        entry["DelaySeconds"] = delay_seconds
    return entry


def check_size(text: str, attributes: Attributes, source: Source) -> None:
    """Refuse what *source* could not take, or could take but not bury with its reason.

    Raises:
        MessageTooLarge: the text names both sizes.
    """
    length, limit = byte_count(text), max_body_bytes(source)
    if length > limit:
        raise MessageTooLarge(f"the body takes {length:,} bytes; queue {source.name!r} carries up to {limit:,}")
    total, limit = size(text, attributes), source.max_message_bytes - room(source) // 2
    if total > limit:
        raise MessageTooLarge(
            f"the message takes {total:,} bytes with its attributes; queue {source.name!r} carries up to {limit:,}"
        )


def fifo_id(text: str) -> str:
    """*text* as a group or deduplication id: itself where SQS takes it, else its digest."""
    return text if _FIFO_ID.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def copy_id(uid: str, operation: str, source_id: str) -> str:
    """The deduplication id of a copy: never the one of the original, and the same for the same copy again."""
    return fifo_id(f"{uid}:{operation}:{source_id}")


def decode(message: Mapping[str, Any]) -> tuple[Envelope, Extras]:
    """The envelope in a received *message*, and what pulpo says about it."""
    attributes: Attributes = message.get("MessageAttributes") or {}
    system: Mapping[str, str] = message.get("Attributes") or {}
    extras = unpack(attributes)
    uid = extras.uid or f"sqs:{message['MessageId']}"
    group = system.get("MessageGroupId")
    envelope = Envelope(
        body=decode_body(message["Body"], extras.encoding),
        uid=uid,
        priority=extras.priority,
        expiration=extras.expiration,
        published_at=extras.published_at or from_milliseconds(system.get("SentTimestamp")),
        group=None if group is None or group == fifo_id(uid) else group,
        dedup_id=system.get("MessageDeduplicationId"),
        attributes={**_user_attributes(attributes), **extras.attributes},
        metadata={name: value for name, value in message.items() if name != "Body"},
    )
    return envelope, extras


def _user_attributes(attributes: Attributes) -> dict[str, str]:
    return {name: as_text(value) for name, value in attributes.items() if name not in OWN}


def as_text(attribute: Mapping[str, Any]) -> str:
    """The value of an attribute of any type as text; binary ones in base64."""
    value = attribute.get("StringValue")
    return value if isinstance(value, str) else base64.b64encode(attribute.get("BinaryValue") or b"").decode()


def from_milliseconds(text: str | None) -> datetime | None:
    """The moment that SQS tells in milliseconds since 1970; `None` where it tells none."""
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(text)) if text else None
    except (ValueError, OverflowError):
        return None


def receives(message: Mapping[str, Any]) -> int:
    """How often SQS has handed out a received *message*, this time included."""
    told = str((message.get("Attributes") or {}).get("ApproximateReceiveCount", ""))
    return max(1, int(told)) if told.isdecimal() and told.isascii() else 1
