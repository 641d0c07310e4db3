"""Messages as plain text: the whole body is the payload."""

from __future__ import annotations

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import ConfigurationError, InvalidMessage, TranslationError
from pulpo_core.domain.message import Message

from .json import envelope_for
from .trace import trace_of


def _encoding(_: object, __: object, value: str) -> None:
    try:
        "".encode(value)
    except (LookupError, TypeError):
        raise ConfigurationError(f"encoding: {value!r:.40} does not name an encoding of text") from None


@attrs.frozen(kw_only=True)
class PlainText:
    """The body decoded as text is the payload; a trace context beside it becomes a header.

    Attributes:
        request_type: the type of every message; `None` reaches the default handler.
        encoding: how bytes become text.
    """

    request_type: str | None = None
    encoding: str = attrs.field(default="utf-8", validator=_encoding)

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*; see `ports.handler.Translator`."""
        try:
            text = envelope.body.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise TranslationError(f"not {self.encoding} text: byte {error.start} of {len(envelope.body)}") from None
        return Message(request_type=self.request_type, body={"payload": text}, header=trace_of(envelope.attributes))

    def encode(self, message: Message) -> Envelope:
        """The payload as text."""
        more = next((name for name in message.body if name != "payload"), None)
        if more is not None:
            raise InvalidMessage(f"body: plain text carries the payload alone, not also {more!r:.60}")
        if not isinstance(message.payload, str):
            raise InvalidMessage(f"body.payload: expected text, not {type(message.payload).__name__}")
        try:
            return envelope_for(message, message.payload.encode(self.encoding))
        except UnicodeEncodeError as error:
            raise InvalidMessage(f"body.payload: {self.encoding} cannot carry character {error.start}") from None
