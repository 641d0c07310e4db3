"""A user's callable, bound once: what it is, which arguments it wants, and how it is called.

All looking at signatures happens here, at registration; for a message only the bound getters run.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import attrs

from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message

from .structuring import is_structured, structurer

Getter = Callable[[Message, Delivery], Any]


def content_of(message: Message) -> Any:
    """The payload of a simple job, else the whole body: what loafer calls content."""
    body = message.body
    return body["payload"] if len(body) == 1 and "payload" in body else body


def metadata_of(message: Message, delivery: Delivery) -> dict[str, Any]:
    """All there is to know about a message beside its body: broker's metadata, headers, identity, attempt."""
    return {
        **delivery.envelope.metadata,
        **message.header,
        "id": delivery.id,
        "request_type": message.request_type,
        "priority": message.priority,
        "attempt": delivery.attempt,
        "attempts": message.attempts,
        "delay": message.delay,
        "expiration": message.expiration,
    }


_BY_NAME: Mapping[str, Getter] = {
    "message": lambda message, _: message,
    "body": lambda message, _: message.body,
    "payload": lambda message, _: message.payload,
    "content": lambda message, _: content_of(message),
    "metadata": metadata_of,
    "delivery": lambda _, delivery: delivery,
}

_BY_ANNOTATION: Mapping[Any, Getter] = {
    Message: _BY_NAME["message"],
    Delivery: _BY_NAME["delivery"],
    Envelope: lambda _, delivery: delivery.envelope,
}

_UNSAID = inspect.Parameter.empty
_MAPPINGS = (dict, Mapping, typing.Mapping)


@attrs.frozen(kw_only=True, slots=True, eq=False)
class BoundHandler:
    """A handler ready to be called.

    Attributes:
        name: ``module:qualified name``, for people.
        in_thread: whether it must not run in the event loop.
        parameters: what each parameter gets, for people.
        timeout: its own limit; `None` leaves it to the route.
    """

    name: str
    target: Callable[..., Any] = attrs.field(repr=False)
    in_thread: bool
    positional: tuple[Getter, ...] = attrs.field(repr=False)
    keywords: tuple[tuple[str, Getter], ...] = attrs.field(default=(), repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    timeout: timedelta | None = None
    stop: Callable[[], Any] | None = attrs.field(default=None, repr=False)

    def prepare(self, message: Message, delivery: Delivery) -> Callable[[], Any]:
        """The call for this message, with its arguments made.

        Raises:
            TranslationError: the body does not fit a parameter; the text names the field.
        """
        if len(self.positional) == 1 and not self.keywords:  # by far the most usual form
            return functools.partial(self.target, self.positional[0](message, delivery))
        args = [getter(message, delivery) for getter in self.positional]
        return functools.partial(self.target, *args, **{name: get(message, delivery) for name, get in self.keywords})


def bind(handler: Any, *, timeout: timedelta | None = None) -> BoundHandler:
    """Look at *handler* and bind it.

    A coroutine function runs in the loop, a plain function in a thread, an object with ``handle``
    by that method; whatever awaitable a call returns is awaited.

    Raises:
        HandlerError: it is a class, cannot be called, or has a parameter that nothing can be given to.
    """
    target = _target(handler)
    name = _name_of(handler)
    _refuse_generators(target, name)
    signature = _signature(target, name)
    positional: list[Getter] = []
    keywords: list[tuple[str, Getter]] = []
    parameters: dict[str, str] = {}
    loafer_style = _is_loafer_style(signature)
    for parameter in signature.parameters.values():
        getter, meaning = _getter_for(parameter, name, loafer_style=loafer_style)
        if getter is None:
            continue
        parameters[parameter.name] = meaning
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            keywords.append((parameter.name, getter))
        else:
            positional.append(getter)
    return BoundHandler(
        name=name,
        target=target,
        in_thread=not _is_async(target),
        positional=tuple(positional),
        keywords=tuple(keywords),
        parameters=parameters,
        timeout=timeout,
        stop=getattr(handler, "stop", None) if target is not handler else None,
    )


def _target(handler: Any) -> Callable[..., Any]:
    if inspect.isclass(handler):
        raise HandlerError(f"{_name_of(handler)} is a class; register an instance of it, or a function")
    if callable(handler):
        return typing.cast("Callable[..., Any]", handler)
    method = getattr(handler, "handle", None)
    if callable(method):
        return typing.cast("Callable[..., Any]", method)
    raise HandlerError(f"{_name_of(handler)} cannot be called and has no method 'handle'")


def _refuse_generators(target: Any, name: str) -> None:
    """A generator would be made and never run, and its message acknowledged: refuse it."""
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise HandlerError(f"{name} is a generator: remove its 'yield'; return a list of messages for follow-ups")


def _name_of(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"


def _is_async(target: Any) -> bool:
    while isinstance(target, functools.partial):
        target = target.func
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004


def _signature(target: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError) as error:
        raise HandlerError(f"{name}: its parameters cannot be read: {error}") from error
    try:
        hints = typing.get_type_hints(_annotated(target))
    except Exception as error:
        raise HandlerError(f"{name}: its annotations cannot be resolved: {error}") from error
    parameters = [each.replace(annotation=hints.get(each.name, _UNSAID)) for each in signature.parameters.values()]
    return signature.replace(parameters=parameters)


def _annotated(target: Any) -> Any:
    while isinstance(target, functools.partial):
        target = target.func
    if inspect.isroutine(target):
        return inspect.unwrap(target)
    return type(target).__call__


def _is_loafer_style(signature: inspect.Signature) -> bool:
    """``(message, metadata)`` without annotation of the first: there *message* is the content."""
    parameters = signature.parameters
    return "metadata" in parameters and "message" in parameters and parameters["message"].annotation is _UNSAID


def _getter_for(parameter: inspect.Parameter, name: str, *, loafer_style: bool) -> tuple[Getter | None, str]:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        return None, ""
    annotation = parameter.annotation
    if annotation in _BY_ANNOTATION:
        return _BY_ANNOTATION[annotation], annotation.__name__
    if is_structured(annotation):
        return _typed(annotation, parameter.name), f"{annotation.__name__} from {_source_name(parameter.name)}"
    if loafer_style and parameter.name == "message":
        return _BY_NAME["content"], "content"
    if parameter.name in _BY_NAME:
        return _BY_NAME[parameter.name], parameter.name
    if annotation in _MAPPINGS or typing.get_origin(annotation) in _MAPPINGS:
        return _BY_NAME["body"], "body"
    if parameter.default is not _UNSAID:
        return None, ""
    accepted = ", ".join(_BY_NAME)
    raise HandlerError(
        f"{name}: nothing to give to parameter {parameter.name!r}; name it one of {accepted},"
        " or annotate it with Message, Delivery, dict, or an attrs class or dataclass for the body"
    )


def _source_name(parameter: str) -> str:
    return "payload" if parameter == "payload" else "body"


def _typed(cls: type, parameter: str) -> Getter:
    structure = structurer(cls)
    if _source_name(parameter) == "payload":
        return lambda message, _: structure(message.payload)
    return lambda message, _: structure(message.body)


async def finish(result: Any) -> Any:
    """*result*, awaited if it can be: a plain function may return a coroutine."""
    return await result if inspect.isawaitable(result) else result
