"""From settings to the routes they describe, and to the arguments of what runs them."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from pulpo_core.application.handlers import Handlers
from pulpo_core.application.route import Route, check_routes
from pulpo_core.application.until import Until
from pulpo_core.domain.backoff import Backoff
from pulpo_core.domain.errors import ApplicationError, ConfigurationError, PulpoError
from pulpo_core.domain.limits import Breaker
from pulpo_core.domain.policy import Policy
from pulpo_core.ports.handler import Translator
from pulpo_core.translators.aws import EventBridgeEvent, S3Notification, SnsNotification
from pulpo_core.translators.json import AnyJson, PulpoJson
from pulpo_core.translators.text import PlainText

from .references import call, load_object
from .settings import HandlerSettings, PolicySettings, RouteSettings, Settings

#: Translators that have a name of their own.
TRANSLATORS: Final[Mapping[str, type[Translator]]] = {
    "pulpo": PulpoJson,
    "json": AnyJson,
    "text": PlainText,
    "sns": SnsNotification,
    "eventbridge": EventBridgeEvent,
    "s3": S3Notification,
}

#: Settings that `Route` takes as they are.
_AS_THEY_ARE: Final = ("concurrency", "prefetch", "timeout", "wait", "rate_limit", "weight", "falsy_retries", "needs")

#: Settings of the process that `Dispatcher` takes as they are.
_OF_THE_DISPATCHER: Final = ("concurrency", "threads", "process_pool", "grace", "thread_grace")

#: Settings of a route that name several.
_LISTS: Final = ("middleware", "publish_middleware")


def routes_of(settings: Settings) -> list[Route]:
    """The routes that *settings* describe; what they name is imported now.

    Raises:
        ConfigurationError: something is wrong with a setting; the text names it.
        ApplicationError, HandlerError: a handler cannot be imported, or cannot be called as pulpo would.
    """
    return check_routes([route_of(name, route, settings) for name, route in settings.routes.items()])


def route_of(name: str | None, settings: RouteSettings, process: Settings, *, handlers: Any = None) -> Route:
    """The route called *name*.

    Args:
        name: after its queue when it is `None`.
        process: has the queue when the route has none, and the concurrency when it is the only route and has none.
        handlers: its handlers, when its settings have none.

    Raises:
        ConfigurationError, ApplicationError, HandlerError: as for `routes_of`.
    """
    where = f"routes.{name}" if name else "route"
    url = settings.queue or process.queue
    if url is None:
        raise ConfigurationError(f"{where}: no queue; give {where}.queue, or queue for all routes")
    if settings.concurrency is None and len(process.routes) <= 1:
        settings = attrs.evolve(settings, concurrency=process.concurrency)
    table = _handlers(settings, where) if settings.handlers or settings.default_handler else handlers
    if table is None:
        raise ApplicationError(f"{where}: no handler; give {where}.handlers.TYPE, or {where}.default_handler")
    given = _arguments(settings, where) | ({} if name is None else {"name": name})
    try:
        return Route(url, table, **given)
    except PulpoError as error:
        raise type(error)(f"{where}.{error}") from error


def _arguments(settings: RouteSettings, where: str) -> dict[str, Any]:
    """What a `Route` takes beside its name, its queue and its handlers; what is not set is left out."""
    set_ = _given(settings)
    given = {field: value for field, value in set_.items() if field in _AS_THEY_ARE and value != ()}
    given |= {field: _objects(set_[field], f"{where}.{field}") for field in _LISTS}
    given |= {field: load(set_[field], where=f"{where}.{field}") for field, load in _LOADED.items() if field in set_}
    given["policy"] = policy_of(settings.policy, where=f"{where}.policy")
    if breaker := _given(settings.breaker):
        given["breaker"] = Breaker(**breaker)
    return given


def _handlers(settings: RouteSettings, where: str) -> Handlers:
    handlers = Handlers()
    for request_type, handler in settings.handlers.items():
        add_handler(handlers, request_type, handler, where=f"{where}.handlers.{request_type}")
    if settings.default_handler is not None:
        add_handler(handlers, None, settings.default_handler, where=f"{where}.default_handler")
    return handlers


def add_handler(handlers: Handlers, request_type: str | None, settings: HandlerSettings, *, where: str) -> None:
    """Let what *settings* name take the messages of *request_type*, or all others when it is `None`.

    Raises:
        ConfigurationError, ApplicationError, HandlerError: it cannot; the text begins with *where*.
    """
    handler = load_object(settings.call, where=where)
    options = {name: value for name, value in _given(settings).items() if name != "call"}
    try:
        if request_type is None:
            handlers.default(handler, **options)
        else:
            handlers.add(request_type, handler, **options)
    except PulpoError as error:
        raise type(error)(f"{where} {settings.call}: {error}") from error


def load_translator(name: str, *, where: str) -> Translator:
    """The translator of that name, or the object or class that it refers to.

    Raises:
        ConfigurationError: it is neither a known name nor ``MODULE:OBJECT``.
        ApplicationError: it cannot be imported or made.
    """
    if ":" not in name and name not in TRANSLATORS:
        raise ConfigurationError(f"{where}: {name!r} is neither MODULE:OBJECT nor one of {', '.join(TRANSLATORS)}")
    found: Any = TRANSLATORS.get(name) or load_object(name, where=where)
    translator: Translator = _instance(found, f"{where} {name}")
    return translator


def _instance(found: Any, where: str) -> Any:
    """*found*, or one of it when it is a class."""
    return call(found, where=where) if inspect.isclass(found) else found


def _load_adapter(name: str, *, where: str) -> Any:
    return _instance(load_object(name, where=where), where)


#: Settings of a route that name one object, and what makes it of the name.
_LOADED: Final[Mapping[str, Callable[..., Any]]] = {
    "error_handler": load_object,
    "translator": load_translator,
    "adapter": _load_adapter,
}


def policy_of(settings: PolicySettings, *, where: str = "policy") -> Policy:
    """The policy that *settings* describe.

    Raises:
        ConfigurationError, ApplicationError: it cannot be; the text begins with *where*.
    """
    given = _given(settings)
    given |= {name: _errors(given[name], f"{where}.{name}") for name in ("fatal", "transient", "reject")}
    if settings.classify is not None:
        given["classify"] = load_object(settings.classify, where=f"{where}.classify")
    try:
        given["backoff"] = Backoff(**_given(settings.backoff))
        return Policy(**given)
    except PulpoError as error:
        raise type(error)(f"{where}.{error}") from error


def _errors(names: tuple[str, ...], where: str) -> tuple[Any, ...]:
    """Exception classes; those of the language need no module."""
    return tuple(getattr(builtins, name, None) or load_object(name, where=where) for name in names)


def _objects(references: tuple[str, ...], where: str) -> tuple[Any, ...]:
    return tuple(load_object(each, where=where) for each in references)


def _given(settings: Any) -> dict[str, Any]:
    """The fields that are set."""
    values = {field.name: getattr(settings, field.name) for field in attrs.fields(type(settings))}
    return {name: value for name, value in values.items() if value is not None}


def dispatcher_options(settings: Settings) -> dict[str, Any]:
    """What `Dispatcher` takes beside its routes."""
    given = _given(settings)
    limits = {name: given[name] for name in _OF_THE_DISPATCHER if name in given}
    until = {field.name: given[field.name] for field in attrs.fields(Until) if field.name in given}
    return limits | {"until": Until(**until)}
