"""pulpo: receive a message, route it by type to your handler, settle it. Nothing lost, nothing hidden."""

import importlib
from typing import TYPE_CHECKING, Any

from .domain.backoff import Backoff, JitterMode
from .domain.capabilities import Capabilities, Order, Peek
from .domain.decision import AGAIN_TABLE, TABLE, Decision, Situation, Tally, decide
from .domain.envelope import Delivery, Envelope, Lease
from .domain.errors import (
    AdapterError,
    ApplicationError,
    ConfigurationError,
    HandlerCrashed,
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
from .domain.lifecycle import TRANSITIONS, IllegalTransition, Move, State, advance, newborn
from .domain.limits import Breaker, RateLimit
from .domain.message import DEFAULT_PRIORITY, FIRST_PRIORITY, LAST_PRIORITY, Message
from .domain.outcome import Outcome
from .domain.planning import plan, round_up
from .domain.policy import OnExpired, Policy, Severity
from .domain.settlement import Ack, Bury, FollowUp, Reason, Release, Retry, Settlement
from .domain.signals import BuryMessage, DeleteMessage, IgnoreMessage, KeepMessage, RejectMessage, RetryMessage
from .domain.url import QueueURL, duration, one_of, parse_url, read_parameters, scheme_of, switch, whole_number
from .domain.wording import error_text
from .ports.adapter import Adapter, Inspector, Page, Provider, Publisher, Queue, QueueStats, Record, Settling
from .ports.clock import Clock, Jitter
from .ports.handler import ErrorHandler, Handler, HandlerObject, Middleware, PublishMiddleware, Translator
from .ports.observer import Observer
from .ports.offers import Accounting, BlockingPublisher, Diagnosis, Examiner, Level, ScratchQueues, Usage
from .translators.aws import EventBridgeEvent, S3Notification, SnsNotification
from .translators.json import AnyJson, PulpoJson, document_of, message_of
from .translators.text import PlainText

if TYPE_CHECKING:
    from .application.binding import BoundHandler, RunsIn, bind
    from .application.clock import SystemClock, SystemJitter
    from .application.dispatcher import Dispatcher
    from .application.handlers import Handlers, as_table
    from .application.identity import follow_up_uid, new_uid
    from .application.ledger import Ledger, total
    from .application.making import PerMessage
    from .application.manager import Manager, Report, status_of
    from .application.phase import Phase, Progress
    from .application.publishers import Publishers
    from .application.publishing import MessagePublisher, open_publisher
    from .application.registry import Installed, adapter_for, installed_adapters, open_queue
    from .application.route import Route, display_name
    from .application.scopes import Scope
    from .application.signals import StopSignals
    from .application.synchronous import SyncPublisher, open_publisher_sync
    from .application.until import Until

#: What runs things needs asyncio, whose import takes longer than all the rest: it is loaded when it is asked for.
_LATE = {
    "application.binding": ("BoundHandler", "RunsIn", "bind"),
    "application.clock": ("SystemClock", "SystemJitter"),
    "application.dispatcher": ("Dispatcher",),
    "application.handlers": ("Handlers", "as_table"),
    "application.identity": ("follow_up_uid", "new_uid"),
    "application.ledger": ("Ledger", "total"),
    "application.making": ("PerMessage",),
    "application.manager": ("Manager", "Report", "status_of"),
    "application.publishers": ("Publishers",),
    "application.phase": ("Phase", "Progress"),
    "application.publishing": ("MessagePublisher", "open_publisher"),
    "application.registry": ("Installed", "adapter_for", "installed_adapters", "open_queue"),
    "application.route": ("Route", "display_name"),
    "application.scopes": ("Scope",),
    "application.signals": ("StopSignals",),
    "application.synchronous": ("SyncPublisher", "open_publisher_sync"),
    "application.until": ("Until",),
}
_MODULE_OF = {name: module for module, names in _LATE.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "AGAIN_TABLE",
    "DEFAULT_PRIORITY",
    "FIRST_PRIORITY",
    "LAST_PRIORITY",
    "TABLE",
    "TRANSITIONS",
    "Accounting",
    "Ack",
    "Adapter",
    "AdapterError",
    "AnyJson",
    "ApplicationError",
    "Backoff",
    "BlockingPublisher",
    "BoundHandler",
    "Breaker",
    "Bury",
    "BuryMessage",
    "Capabilities",
    "Clock",
    "ConfigurationError",
    "Decision",
    "DeleteMessage",
    "Delivery",
    "Diagnosis",
    "Dispatcher",
    "Envelope",
    "ErrorHandler",
    "EventBridgeEvent",
    "Examiner",
    "FollowUp",
    "Handler",
    "HandlerCrashed",
    "HandlerError",
    "HandlerObject",
    "Handlers",
    "IgnoreMessage",
    "IllegalTransition",
    "Inspector",
    "Installed",
    "InvalidMessage",
    "InvalidURL",
    "Jitter",
    "JitterMode",
    "KeepMessage",
    "Lease",
    "LeaseLost",
    "Ledger",
    "Level",
    "Manager",
    "Message",
    "MessageNotFound",
    "MessagePublisher",
    "MessageTooLarge",
    "Middleware",
    "Move",
    "NoRoute",
    "Observer",
    "OnExpired",
    "Order",
    "Outcome",
    "Page",
    "Peek",
    "PerMessage",
    "PermissionDenied",
    "Phase",
    "PlainText",
    "Policy",
    "Progress",
    "Provider",
    "PublishMiddleware",
    "Publisher",
    "Publishers",
    "PulpoError",
    "PulpoJson",
    "Queue",
    "QueueNotFound",
    "QueueStats",
    "QueueURL",
    "RateLimit",
    "Reason",
    "Record",
    "RejectMessage",
    "Release",
    "Report",
    "Retry",
    "RetryMessage",
    "Route",
    "RunsIn",
    "S3Notification",
    "Scope",
    "ScratchQueues",
    "Settlement",
    "Settling",
    "Severity",
    "Situation",
    "SnsNotification",
    "State",
    "StopSignals",
    "SyncPublisher",
    "SystemClock",
    "SystemJitter",
    "Tally",
    "TranslationError",
    "Translator",
    "Unavailable",
    "UnknownScheme",
    "Unsupported",
    "Until",
    "Usage",
    "adapter_for",
    "advance",
    "as_table",
    "bind",
    "decide",
    "display_name",
    "document_of",
    "duration",
    "error_text",
    "follow_up_uid",
    "installed_adapters",
    "message_of",
    "new_uid",
    "newborn",
    "one_of",
    "open_publisher",
    "open_publisher_sync",
    "open_queue",
    "parse_url",
    "plan",
    "read_parameters",
    "round_up",
    "scheme_of",
    "status_of",
    "switch",
    "total",
    "whole_number",
]
