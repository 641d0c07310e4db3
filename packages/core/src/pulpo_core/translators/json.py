"""Messages as JSON: pulpo's own documents, and anybody's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import InvalidMessage, TranslationError
from pulpo_core.domain.message import Message

from .documents import dumps, loads
from .trace import carried, trace_of


def _moment(value: datetime | timedelta) -> str:
    if isinstance(value, timedelta):
        raise InvalidMessage("a message must be resolved before it is encoded: its times are still relative")
    return value.isoformat()


def document_of(message: Message) -> dict[str, Any]:
    """*message* as the document of pulpo's own format: ``{"id", "header", "body"}``, without what is not said."""
    header: dict[str, Any] = {"priority": message.priority, "attempts": message.attempts}
    if message.request_type is not None:
        header["request_type"] = message.request_type
    if message.delay is not None:
        header["delay"] = _moment(message.delay)
    if message.expiration is not None:
        header["expiration"] = _moment(message.expiration)
    header.update(message.header)
    document = {"header": header, "body": message.body}
    return document if message.id is None else {"id": message.id, **document}


def message_of(document: object) -> Message:
    """The message of a document of pulpo's own format; pulpo-messaging's is the same.

    Raises:
        TranslationError: it has another shape; the text names the field.
    """
    if not isinstance(document, dict) or not ("header" in document or "body" in document):
        raise TranslationError("not a pulpo message: expected an object with 'header' and 'body'")
    header = document.get("header") or {}
    if not isinstance(header, dict):
        raise TranslationError(f"header: expected an object, not {type(header).__name__}")
    try:
        return _build(document, dict(header))
    except InvalidMessage as error:
        raise TranslationError(str(error)) from error


def _build(document: Mapping[str, Any], header: dict[str, Any]) -> Message:
    return Message(
        request_type=_readable(header.pop("request_type", None), "header.request_type"),
        body=document.get("body"),
        priority=header.pop("priority", None),
        delay=header.pop("delay", None),
        expiration=header.pop("expiration", None),
        attempts=header.pop("attempts", None) or 0,
        header=header,
        id=_identity(document.get("id")),
    )


def _identity(value: object) -> str | None:
    return str(value) if type(value) is int else _readable(value, "id")


def _readable(value: object, field: str) -> str | None:
    """Text that can be printed, stored and compared anywhere."""
    if value is None or (type(value) is str and value.isascii()):
        return value
    if not isinstance(value, str):
        raise InvalidMessage(f"{field}: expected text, not {type(value).__name__}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidMessage(f"{field}: the text has a lone surrogate")
    return value


def envelope_for(message: Message, body: bytes) -> Envelope:
    """The envelope that carries *body* as *message* asks."""
    header = message.header
    delay, expiration = message.delay, message.expiration
    return Envelope(
        body=body,
        uid=message.uid or "",
        priority=message.priority,
        not_before=delay if isinstance(delay, datetime) else None,
        expiration=expiration if isinstance(expiration, datetime) else None,
        published_at=_published_at(header.get("published_at")),
        group=_optional_text(header, "group"),
        dedup_id=_optional_text(header, "dedup_id"),
        attributes=carried(header),
    )


def _optional_text(header: Mapping[str, Any], name: str) -> str | None:
    value = header.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidMessage(f"header.{name}: expected text, not {type(value).__name__}")


def _published_at(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InvalidMessage(f"header.published_at: {value[:64]!r} is not an ISO 8601 date and time") from None
    return moment if moment.tzinfo else moment.astimezone(UTC)


class PulpoJson:
    """pulpo's own format, the default: the whole message as one JSON object. Reads pulpo-messaging's too."""

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        return message_of(loads(envelope.body))

    def encode(self, message: Message) -> Envelope:
        """The envelope that carries *message*."""
        return envelope_for(message, dumps(document_of(message)))


@attrs.frozen(kw_only=True)
class AnyJson:
    """Any JSON document: an object becomes the body, anything else the body's payload.

    A trace context beside the document becomes a header.

    Attributes:
        type_from: where the request type is, as names joined by dots; a document without it
            reaches the default handler.
        request_type: the type of every message, for queues that carry one kind only.
    """

    type_from: str | None = None
    request_type: str | None = None

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        document = loads(envelope.body)
        body = document if isinstance(document, dict) else {"payload": document}
        try:
            return Message(request_type=self._type_of(document), body=body, header=trace_of(envelope.attributes))
        except InvalidMessage as error:
            raise TranslationError(str(error)) from error

    def _type_of(self, document: object) -> str | None:
        if self.type_from is None:
            return self.request_type
        value = document
        for name in self.type_from.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return self.request_type if value is None else _readable(value, self.type_from)

    def encode(self, message: Message) -> Envelope:
        """The body alone, or its payload where that is all there is: headers stay behind."""
        if set(message.body) == {"payload"}:
            return envelope_for(message, dumps_value(message.payload))
        return envelope_for(message, dumps(message.body))


def dumps_value(value: object) -> bytes:
    """Any JSON value as JSON in UTF-8; raises as `documents.dumps` does."""
    return dumps({"payload": value})[len(b'{"payload":') : -1]
