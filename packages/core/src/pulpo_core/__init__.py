"""pulpo: receive a message, route it by type to your handler, settle it. Nothing lost, nothing hidden."""

from .domain.backoff import Backoff, JitterMode
from .domain.capabilities import Capabilities, Order, Peek
from .domain.decision import AGAIN_TABLE, TABLE, Decision, Situation, Tally, decide, error_text, plan, round_up
from .domain.envelope import Delivery, Envelope, Lease
from .domain.errors import (
    AdapterError,
    ApplicationError,
    ConfigurationError,
    HandlerError,
    InvalidMessage,
    InvalidURL,
    LeaseLost,
    MessageNotFound,
    MessageTooLarge,
    NoRoute,
    PermissionDenied,
    PulpoError,
    QueueNotFound,
    TranslationError,
    Unavailable,
    UnknownScheme,
    Unsupported,
)
from .domain.lifecycle import TRANSITIONS, IllegalTransition, State, advance, newborn
from .domain.message import DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY, Message
from .domain.outcome import Outcome
from .domain.policy import OnExpired, Policy, Severity
from .domain.settlement import Ack, Bury, Reason, Release, Retry, Settlement
from .domain.url import QueueURL, duration, one_of, parse_url, read_parameters, scheme_of, switch, whole_number
from .ports.adapter import Adapter, Inspector, Page, Provider, Publisher, Queue, QueueStats, Record, Settling
from .ports.clock import Clock, Jitter
from .ports.handler import ErrorHandler, Handler, HandlerObject, Middleware, PublishMiddleware, Translator
from .ports.observer import Observer
