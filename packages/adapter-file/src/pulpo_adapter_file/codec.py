"""Between envelopes and rows. Pure: no clock, no connection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, Envelope, MessageTooLarge, Unsupported

from .schema import INLINE_BODY
from .settings import MAX_BODY_BYTES
from .timekeeping import moment_of, optional_micros, optional_moment

#: An error is for people: long tracebacks are cut, so that a burial always fits.
MAX_ERROR: Final = 16_384  # characters

_LONGEST_TEXT: Final = 1024 * 1024  # characters of uid, and of all other fields of an envelope together


@attrs.define(slots=True, eq=False)  # nobody changes one; made for every message, and frozen ones take twice as long
class NewRow:
    """What is stored of an envelope, before its queue, id and state are known."""

    priority: int
    not_before: int | None
    published: int | None
    expiration: int | None
    uid: str
    extra: str | None
    body: bytes
    is_large: bool  # the body lies in a table of its own


def encode(envelope: Envelope, *, max_body: int = MAX_BODY_BYTES) -> NewRow | AdapterError:
    """The row of *envelope*, or why it cannot be stored."""
    if len(envelope.body) > max_body:
        return MessageTooLarge(f"a body of {len(envelope.body)} bytes; this queue takes at most {max_body}")
    if envelope.group is not None:
        return Unsupported(f"a file queue has no groups, and the message asks for group {envelope.group!r:.80}")
    if not envelope.uid.isascii() and not _is_text(envelope.uid):
        return AdapterError(f"the uid {envelope.uid!r:.80} holds what is not text")
    extra = _extra(envelope)
    if extra is not None and len(extra) + len(envelope.uid) > _LONGEST_TEXT:
        return MessageTooLarge(f"{len(extra)} characters of attributes; a file queue takes at most {_LONGEST_TEXT}")
    return NewRow(
        envelope.priority,
        optional_micros(envelope.not_before),
        optional_micros(envelope.published_at),
        optional_micros(envelope.expiration),
        envelope.uid,
        extra,
        envelope.body,
        len(envelope.body) > INLINE_BODY,
    )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _extra(envelope: Envelope) -> str | None:
    if not envelope.attributes and envelope.dedup_id is None:
        return None  # nearly every message
    fields: dict[str, Any] = {"attributes": dict(envelope.attributes)}
    if envelope.dedup_id is not None:
        fields["dedup_id"] = envelope.dedup_id
    return json.dumps(fields)  # in ASCII: lone surrogates survive, which SQLite's text would not take


#: The columns that `decode` reads, in its order.
ENVELOPE_COLUMNS: Final = (
    "id, priority, published, expiration, uid, extra, "
    "coalesce(body, (SELECT content FROM body WHERE body.id = message.id))"
)

_NO_FIELDS: Final[Mapping[str, Any]] = {}


def decode(row: tuple[Any, ...], *, not_before: int | None = None) -> Envelope:
    """The envelope of the first columns of *row*, which are `ENVELOPE_COLUMNS`."""
    name, priority, published, expiration, uid, extra, body, *_ = row
    fields = _NO_FIELDS if extra is None else json.loads(extra)
    return Envelope(
        body=body,
        uid=uid or f"file:{name}",
        priority=priority,
        not_before=optional_moment(not_before),
        expiration=optional_moment(expiration),
        published_at=moment_of(published),
        dedup_id=fields.get("dedup_id"),
        attributes=fields.get("attributes", _NO_FIELDS),
    )


def stored_text(text: str) -> str:
    """*text* as it is stored: cut, and without what SQLite's text cannot hold."""
    return text[:MAX_ERROR].encode("utf-8", "backslashreplace").decode()
