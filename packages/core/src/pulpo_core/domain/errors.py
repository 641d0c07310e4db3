"""Every error pulpo raises, as one tree.

::

    PulpoError
    ├── ConfigurationError        the deployment is wrong; trying again cannot help
    │   ├── UnknownScheme         no adapter is installed for this kind of URL
    │   ├── InvalidURL            the URL names something its adapter does not know
    │   ├── QueueNotFound         the queue does not exist and was not asked to be created
    │   ├── PermissionDenied      the queue is there, but not for us
    │   ├── HandlerError          a handler that cannot be called as registered
    │   └── ApplicationError      the application cannot be imported or is incomplete
    ├── TranslationError          these bytes are not a message of this translator
    ├── InvalidMessage            a message asks for what no queue can carry
    ├── HandlerCrashed            the process of a handler ended before the handler did
    ├── NoRoute                   a dispatcher runs no route of that name
    └── AdapterError              the queue did not do it; `.temporary` and `.in_doubt` say how
        ├── Unavailable           not reachable, throttled, restarting: temporary
        ├── LeaseLost             the delivery is no longer ours
        ├── MessageTooLarge       over the queue's size limit; refused before it was sent
        ├── MessageNotFound       nothing by that id
        └── Unsupported           this queue cannot do that at all

An error names the thing, the value and what would be accepted, and keeps the driver's own
exception as its ``__cause__``. Programs act on the class and its flags, never on the text.
"""

from __future__ import annotations


class PulpoError(Exception):
    """Whatever pulpo itself raises."""


class ConfigurationError(PulpoError):
    """The deployment is wrong: stop, and let a person mend it."""


class UnknownScheme(ConfigurationError):
    """No installed adapter claims the scheme of this URL."""


class InvalidURL(ConfigurationError):
    """The URL names a parameter, value or form that its adapter does not accept."""


class QueueNotFound(ConfigurationError):
    """The queue does not exist, and nobody asked for it to be created."""


class PermissionDenied(ConfigurationError):
    """The credentials in use may not do what the route needs."""


class HandlerError(ConfigurationError):
    """A handler cannot be called as it was registered."""


class ApplicationError(ConfigurationError):
    """The application cannot be imported, or lacks a part it needs to run."""


class TranslationError(PulpoError):
    """These bytes will never be a message of this translator: bury them, do not retry."""


class InvalidMessage(PulpoError):
    """A message carries what cannot be published; the text names the field. Nothing was stored."""


class HandlerCrashed(PulpoError):
    """A handler that runs in a process was killed, or ended its process: an attempt of its message failed."""


class NoRoute(PulpoError):
    """A dispatcher runs no route of that name; the text lists those that it runs."""


class AdapterError(PulpoError):
    """A queue did not do what it was asked.

    Attributes:
        temporary: the same request may work later: back off and go on.
        in_doubt: the request was sent and its answer was lost, so it may have been carried out.
    """

    temporary: bool = False
    in_doubt: bool = False

    def __init__(self, message: str = "", *, temporary: bool | None = None, in_doubt: bool | None = None) -> None:
        super().__init__(message or type(self).__doc__)
        if temporary is not None:
            self.temporary = temporary
        if in_doubt is not None:
            self.in_doubt = in_doubt


class Unavailable(AdapterError):
    """The queue cannot be reached, is overloaded or has no room; it may be back later."""

    temporary = True


class LeaseLost(AdapterError):
    """The delivery is no longer ours: its lease ran out or its connection went; another may have it."""


class MessageTooLarge(AdapterError):
    """The message is over the size limit of the queue and was not sent."""


class MessageNotFound(AdapterError):
    """There is no message by that id, or it is not in the state that the request needs."""


class Unsupported(AdapterError):
    """This kind of queue cannot do that; its capabilities say so."""
