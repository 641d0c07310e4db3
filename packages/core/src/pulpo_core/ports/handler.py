"""The ports that users fill: translators, handlers, error handlers and middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.message import Message


class Translator(Protocol):
    """Makes messages of envelopes and envelopes of messages.

    May be called concurrently. Must not do I/O when synchronous: it runs in the event loop.
    """

    def translate(self, envelope: Envelope) -> Message | Awaitable[Message]:
        """The message in *envelope*.

        Also accepted as an answer: loafer's ``{"content": …, "metadata": …}``. `None`, or content
        that is missing, is untranslatable; content that is falsy is a value.

        Raises:
            TranslationError: it is not a message of this kind. Any other exception counts as one.
        """
        ...

    def encode(self, message: Message) -> Envelope:
        """The envelope that carries *message*, whose times are moments by now.

        Raises:
            InvalidMessage: it carries what this format cannot; the text names the field.
        """
        ...


#: A callable as users write it; `application.binding` says which forms are understood.
Handler = Callable[..., Any]


@runtime_checkable
class HandlerObject(Protocol):
    """A handler as an object; an optional ``stop()``, sync or async, is called at shutdown."""

    def handle(self, *args: Any, **kwargs: Any) -> Any:
        """Handle one message."""
        ...


#: ``(exc_info, message)``, sync or async. *message* is the `Message`, or the `Envelope` when there
#: was no message to be had. Truthy acknowledges, falsy leaves it to the policy, a settlement is
#: honoured, and its own exception leaves it to the policy.
ErrorHandler = Callable[[tuple[type[BaseException], BaseException, Any], Message | Envelope], Any]

#: What a middleware calls to go on.
Next = Callable[[Message, Delivery], Awaitable[Any]]

#: Wraps handling: ``await call_next(message, delivery)`` runs the rest and gives back what the handler
#: returned. It may change what it passes on and what it gives back, and may raise as a handler may.
Middleware = Callable[[Message, Delivery, Next], Awaitable[Any]]

#: Wraps publishing: sees each message before it is encoded, and returns the one to publish.
PublishMiddleware = Callable[[Message], Message]
