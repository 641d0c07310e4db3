"""A message as the command shows it: facts for people, a document for programs."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import attrs

from pulpo_core import (
    DEFAULT_PRIORITY,
    Delivery,
    Envelope,
    Message,
    PulpoJson,
    Record,
    State,
    SystemClock,
    TranslationError,
    document_of,
)

from . import errors
from .documents import iso
from .output import complain, note, say_json
from .tables import print_facts
from .units import moment

#: Headers with a line of their own, or that only repeat what another line says.
_SHOWN_APART = frozenset({"uid", "published_at", "attempts_base"})


def show(record: Record | None, *, as_json: bool) -> None:
    """Print *record*, or that there is none."""
    if as_json:
        say_json(None if record is None else document(record))
    elif record is None:
        note("no message")
    else:
        print_facts(facts(record, SystemClock().now()))


def show_named(record: Record | None, otherwise: str, *, as_json: bool) -> int:
    """Print *record*, which somebody has named; if there is none, complain. The exit status."""
    if record is not None or as_json:
        show(record, as_json=as_json)
    if record is None:
        complain(otherwise)
    return errors.FAILED if record is None else errors.DONE


@attrs.frozen
class Content:
    """What an envelope holds: a message of pulpo's format, or else bytes and why they are none."""

    message: Message | None
    raw: bytes
    problem: str = ""


def content_of(envelope: Envelope) -> Content:
    """Look into *envelope*."""
    try:
        message = PulpoJson().translate(envelope)
    except TranslationError as error:
        return Content(None, envelope.body, str(error))
    return Content(message, envelope.body)


def received(delivery: Delivery) -> Record:
    """A delivery that is taken out for good, as a record."""
    return Record(id=delivery.id, state=State.GONE, envelope=delivery.envelope, attempts=delivery.attempt - 1)


def document(record: Record) -> dict[str, Any]:
    """*record* for programs. A body that is not pulpo's format is under ``raw``, or ``raw_base64`` if it is no text."""
    content = content_of(record.envelope)
    known: dict[str, Any] = {
        "id": record.id,
        "state": str(record.state),
        "attempts": record.attempts,
        "reason": record.reason,
        "error": record.error,
        "buried_at": iso(record.buried_at),
        "ready_at": iso(record.ready_at),
        "origin": record.origin,
        "request_type": None,
        "header": {},
        "body": None,
    }
    if content.message is not None:
        shown = document_of(content.message)
        return known | {
            "request_type": content.message.request_type,
            "header": shown["header"],
            "body": dict(shown["body"]),
        }
    return known | {"problem": content.problem} | _raw(content.raw)


def _raw(body: bytes) -> dict[str, str]:
    try:
        return {"raw": body.decode()}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(body).decode()}


def facts(record: Record, now: datetime) -> dict[str, str]:
    """*record* for people: what is not there has no line."""
    content = content_of(record.envelope)
    lines = {
        "id": record.id,
        "type": request_type(content),
        "state": str(record.state),
        "reason": record.reason or "",
        "error": record.error or "",
        "attempts": str(record.attempts),
        "priority": "" if record.envelope.priority == DEFAULT_PRIORITY else str(record.envelope.priority),
        "published": _moment(record.envelope.published_at, now),
        "buried": _moment(record.buried_at, now),
        "ready": _moment(record.ready_at, now),
        "expires": _moment(record.envelope.expiration, now),
        "origin": record.origin or "",
        "uid": _uid(record.envelope, content),
        **_headers(content),
        "body": body(content),
    }
    return {name: value for name, value in lines.items() if value}


def _uid(envelope: Envelope, content: Content) -> str:
    """The message's own; what the queue makes of its id is for messages that have none."""
    return (content.message.header.get("uid") if content.message is not None else None) or envelope.uid


def request_type(content: Content) -> str:
    """The type as a person reads it."""
    if content.message is None:
        return f"unknown: {content.problem}"
    return content.message.request_type or "none"


def _moment(value: datetime | None, now: datetime) -> str:
    return "" if value is None else moment(value, now)


def _headers(content: Content) -> dict[str, str]:
    if content.message is None:
        return {}
    return {
        f"header {name}": value if isinstance(value, str) else _json(value)
        for name, value in content.message.header.items()
        if name not in _SHOWN_APART
    }


def body(content: Content) -> str:
    """The body as a person reads it: one value as it is, pairs as JSON, foreign bytes as text."""
    if content.message is None:
        return content.raw.decode(errors="backslashreplace")
    pairs = content.message.body
    if len(pairs) == 1 and isinstance(pairs.get("payload"), str):
        return str(pairs["payload"])
    return _json(pairs, indent=2)


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
