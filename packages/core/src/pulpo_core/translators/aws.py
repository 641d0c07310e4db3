"""What AWS puts into queues for others: SNS notifications, EventBridge events, S3 notifications.

What the service itself says ends up in the header of the message, what the sender says in its body.
Identity, group and counters of a message never come from a body: whoever can write a body can write
anything into it. Trace context does, since it decides nothing.

Translators nest: ``SnsNotification(inner=S3Notification())`` reads what S3 has sent through a topic.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_plus

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import InvalidMessage, TranslationError
from pulpo_core.domain.message import Message
from pulpo_core.ports.handler import Translator

from .documents import dumps, loads
from .json import AnyJson, dumps_value, envelope_for
from .trace import trace_of

#: Keys of an SNS notification that become headers under their own names, as loafer has them.
_SNS_KEYS: Final = (
    "Type",
    "TopicArn",
    "Subject",
    "Timestamp",
    "SequenceNumber",
    "SignatureVersion",
    "Signature",
    "SigningCertURL",
    "UnsubscribeURL",
)


@attrs.frozen(slots=True)
class JsonOrText:
    """JSON as `AnyJson` reads it; whatever is not JSON is text, and becomes the payload."""

    request_type: str | None = None

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        try:
            return AnyJson(request_type=self.request_type).translate(envelope)
        except TranslationError:
            payload = _text(envelope.body)
            return Message(
                request_type=self.request_type, body={"payload": payload}, header=trace_of(envelope.attributes)
            )

    def encode(self, message: Message) -> Envelope:
        """The body alone, or its payload where that is all there is."""
        payload = message.payload
        if set(message.body) == {"payload"} and isinstance(payload, str):
            return envelope_for(message, payload.encode())
        return AnyJson().encode(message)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise TranslationError(f"neither JSON nor text: byte {error.start} of {len(body)} is not UTF-8") from None


@attrs.frozen(kw_only=True, slots=True)
class SnsNotification:
    """What a topic of SNS delivers.

    The header has SNS's own keys, ``SnsMessageId`` for its id, and ``SnsMessageAttributes``.

    Attributes:
        raw: the subscription has raw message delivery: nothing is wrapped around the message.
        inner: reads the message that was published to the topic; what it answers may be awaitable.
        type_attribute: the SNS message attribute that selects the handler; without it, *inner* says.
    """

    raw: bool = False
    inner: Translator = attrs.field(factory=JsonOrText)
    type_attribute: str | None = None

    def translate(self, envelope: Envelope) -> Message | Awaitable[Message]:
        """The message in *envelope*; see `ports.handler.Translator`."""
        if self.raw:
            return self._read(envelope, {}, envelope.attributes)
        notification = _object(envelope.body, "an SNS notification")
        content = notification.get("Message")
        if notification.get("Type") != "Notification" or not isinstance(content, str):
            raise TranslationError("not an SNS notification: expected Type 'Notification' and a Message that is text")
        attributes = _sns_attributes(notification.get("MessageAttributes"))
        published = attrs.evolve(envelope, body=_bytes(content), attributes=attributes)
        return self._read(published, _sns_header(notification, attributes), attributes)

    def _read(
        self, published: Envelope, header: Mapping[str, Any], attributes: Mapping[str, str]
    ) -> Message | Awaitable[Message]:
        answer = self.inner.translate(published)
        if inspect.isawaitable(answer):
            return self._read_later(answer, header, attributes)
        return self._message(answer, header, attributes)

    async def _read_later(
        self, answer: Awaitable[Message], header: Mapping[str, Any], attributes: Mapping[str, str]
    ) -> Message:
        return self._message(await answer, header, attributes)

    def _message(self, message: object, header: Mapping[str, Any], attributes: Mapping[str, str]) -> Message:
        if not isinstance(message, Message):
            raise TranslationError(f"the inner translator {type(self.inner).__name__} does not answer with a Message")
        message = attrs.evolve(message, header={**message.header, **header, **trace_of(attributes)})
        if self.type_attribute is None or self.type_attribute not in attributes:
            return message
        return attrs.evolve(message, request_type=attributes[self.type_attribute])

    def encode(self, message: Message) -> Envelope:
        """The envelope that carries *message* as the topic would deliver it."""
        published = self.inner.encode(message)
        attributes = {**published.attributes, **self._type_of(message)}
        if self.raw:
            return attrs.evolve(published, attributes=attributes)
        notification = {
            "Type": "Notification",
            "MessageId": message.uid or "",
            **{name: message.header[name] for name in _SNS_KEYS if name in message.header},
            "Message": _text(published.body),
            "MessageAttributes": {name: {"Type": "String", "Value": text} for name, text in attributes.items()},
        }
        return attrs.evolve(published, body=dumps(notification))

    def _type_of(self, message: Message) -> Mapping[str, str]:
        if self.type_attribute is None or message.request_type is None:
            return {}
        return {self.type_attribute: message.request_type}


def _sns_header(notification: Mapping[str, Any], attributes: Mapping[str, str]) -> dict[str, Any]:
    header = {name: notification[name] for name in _SNS_KEYS if name in notification}
    if "MessageId" in notification:
        header["SnsMessageId"] = notification["MessageId"]
    return {**header, "SnsMessageAttributes": dict(attributes)} if attributes else header


def _sns_attributes(value: object) -> dict[str, str]:
    """SNS's attributes by name; all types are told as text."""
    pairs = value.items() if isinstance(value, dict) else ()
    return {
        name: attribute["Value"]
        for name, attribute in pairs
        if isinstance(attribute, dict) and isinstance(attribute.get("Value"), str)
    }


@attrs.frozen(slots=True)
class EventBridgeEvent:
    """What a rule of EventBridge delivers: its detail is the body, its detail-type selects the handler.

    The header has everything else of the event under ``event``.
    """

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        event = _object(envelope.body, "an EventBridge event")
        request_type = event.get("detail-type")
        if not isinstance(request_type, str) or "detail" not in event:
            raise TranslationError("not an EventBridge event: expected a detail-type that is text, and a detail")
        detail = event["detail"]
        return Message(
            request_type=request_type,
            body=detail if isinstance(detail, dict) else {"payload": detail},
            header={
                "event": {name: value for name, value in event.items() if name != "detail"},
                **trace_of(envelope.attributes),
            },
        )

    def encode(self, message: Message) -> Envelope:
        """The envelope that carries *message* as a rule would deliver it."""
        known = message.header.get("event")
        event = {
            **(known if isinstance(known, dict) else {"version": "0", "source": "pulpo"}),
            "id": message.uid or "",
            "detail-type": message.request_type or "",
            "detail": message.payload if set(message.body) == {"payload"} else message.body,
        }
        return envelope_for(message, dumps_value(event))


@attrs.frozen(kw_only=True, slots=True)
class S3Notification:
    """What S3 delivers about objects: ``body["records"]`` lists them, the event selects the handler.

    A record has ``event``, ``bucket``, ``key`` (decoded), ``size``, ``etag``, ``version_id``,
    ``sequencer`` and ``time``, as far as S3 tells them. The test event that S3 sends when it is set
    up has no records and the type ``s3:TestEvent``.

    Attributes:
        request_type: selects the handler instead; needed where one delivery can mix events.
    """

    request_type: str | None = None

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        document = _object(envelope.body, "an S3 notification")
        if document.get("Event") == "s3:TestEvent":
            return Message(request_type=self.request_type or "s3:TestEvent", body={"records": []})
        records = [_s3_record(record) for record in _list(document.get("Records"))]
        events = {record["event"] for record in records}
        event = events.pop() if len(events) == 1 else None
        return Message(
            request_type=self.request_type or event, body={"records": records}, header=trace_of(envelope.attributes)
        )

    def encode(self, message: Message) -> Envelope:  # noqa: ARG002 - the port's word
        """S3's notifications are S3's alone.

        Raises:
            InvalidMessage: always.
        """
        raise InvalidMessage("S3 notifications can be read, but not written: publish with another translator")


def _s3_record(record: object) -> dict[str, Any]:
    try:
        return _s3_fields(record)  # type: ignore[arg-type] # whatever it is not is found out by trying
    except (KeyError, TypeError, AttributeError):
        raise TranslationError("not an S3 notification: a record lacks its event, bucket or key") from None


def _s3_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    stored = record["s3"]["object"]
    fields = {
        "event": _text_of(record["eventName"]),
        "bucket": _text_of(record["s3"]["bucket"]["name"]),
        "key": unquote_plus(_text_of(stored["key"])),
        "size": stored.get("size"),
        "etag": stored.get("eTag"),
        "version_id": stored.get("versionId"),
        "sequencer": stored.get("sequencer"),
        "time": record.get("eventTime"),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _text_of(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _object(body: bytes, what: str) -> dict[str, Any]:
    document = loads(body)
    if not isinstance(document, dict):
        raise TranslationError(f"not {what}: expected a JSON object, not {type(document).__name__}")
    return document


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list) or not value:
        raise TranslationError("not an S3 notification: expected Records")
    return value


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TranslationError("not an SNS notification: its Message has a lone surrogate") from None
