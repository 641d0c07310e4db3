"""A user's callable, bound once: what it is, which arguments it wants, and how it is called.

All looking at signatures happens here, at registration; for a message only the bound getters run.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

import attrs

from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message

from .making import PerMessage
from .structuring import is_structured, structurer

if sys.version_info >= (3, 14):  # there annotations are evaluated when somebody asks for them, unless told otherwise
    from annotationlib import Format, get_annotations

    _AS_WRITTEN: dict[str, Any] = {"annotation_format": Format.FORWARDREF}

    def _annotations_of(function: Any) -> Mapping[str, Any]:
        return get_annotations(function, format=Format.FORWARDREF)
else:
    _AS_WRITTEN: dict[str, Any] = {}
    _annotations_of = inspect.get_annotations

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

_BY_ANNOTATION: Mapping[type, Getter] = {
    Message: _BY_NAME["message"],
    Delivery: _BY_NAME["delivery"],
    Envelope: lambda _, delivery: delivery.envelope,
}

_UNSAID = inspect.Parameter.empty


class RunsIn(StrEnum):
    """Where a handler runs."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"


_MAPPINGS = (dict, Mapping, typing.Mapping)


@attrs.frozen(kw_only=True, slots=True, eq=False)
class BoundHandler:
    """A handler ready to be called.

    Attributes:
        name: ``module:qualified name``, for people.
        runs_in: the event loop, a thread, or a process.
        parameters: what each parameter gets, for people.
        timeout: its own limit; `None` leaves it to the route.
        make: makes what is called, for each message; `None` when it is there already.
    """

    name: str
    target: Callable[..., Any] = attrs.field(repr=False)
    runs_in: RunsIn
    positional: tuple[Getter, ...] = attrs.field(repr=False)
    keywords: tuple[tuple[str, Getter], ...] = attrs.field(default=(), repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict)
    timeout: timedelta | None = None
    stop: Callable[[], Any] | None = attrs.field(default=None, repr=False)
    make: Callable[[], Any] | None = attrs.field(default=None, repr=False)

    async def made(self) -> BoundHandler:
        """The same with what it has made for one message."""
        if self.make is None:
            return self
        return attrs.evolve(self, target=_target(await finish(self.make())), make=None)

    def prepare(self, message: Message, delivery: Delivery) -> Callable[[], Any]:
        """The call for this message, with its arguments made.

        Raises:
            TranslationError: the body does not fit a parameter; the text names the field.
        """
        if len(self.positional) == 1 and not self.keywords:  # by far the most usual form
            return functools.partial(self.target, self.positional[0](message, delivery))
        args = [getter(message, delivery) for getter in self.positional]
        return functools.partial(self.target, *args, **{name: get(message, delivery) for name, get in self.keywords})


def bind(handler: Any, *, timeout: timedelta | None = None, in_process: bool = False) -> BoundHandler:
    """Look at *handler* and bind it.

    A coroutine function runs in the loop, a plain function in a thread, an object with ``handle``
    by that method; whatever awaitable a call returns is awaited.

    Args:
        in_process: a plain function, at the top of its module, that runs in a process instead.

    Raises:
        HandlerError: it is a class, cannot be called, or has a parameter that nothing can be given to.
    """
    make = handler.make if isinstance(handler, PerMessage) else None
    target = handler.pattern() if isinstance(handler, PerMessage) else _target(handler)
    name = _name_of(handler.like if isinstance(handler, PerMessage) else handler)
    _refuse_generators(target, name)
    if in_process:
        _refuse_in_process(handler, name)
    signature = _signature(target, name)
    arguments = _Arguments(name, loafer_style=_is_loafer_style(signature))
    for parameter in signature.parameters.values():
        arguments.add(parameter)
    return BoundHandler(
        name=name,
        target=target,
        runs_in=RunsIn.PROCESS if in_process else RunsIn.LOOP if is_async(target) else RunsIn.THREAD,
        positional=tuple(arguments.positional),
        keywords=tuple(arguments.keywords),
        parameters=arguments.meanings,
        timeout=timeout,
        stop=getattr(handler, "stop", None) if target is not handler and make is None else None,
        make=make,
    )


class _Arguments:
    """The arguments for one handler, found parameter by parameter.

    A parameter that pulpo has nothing for keeps its default; what stands behind it goes by its name.
    """

    def __init__(self, handler: str, *, loafer_style: bool) -> None:
        self.positional: list[Getter] = []
        self.keywords: list[tuple[str, Getter]] = []
        self.meanings: dict[str, str] = {}
        self._handler = handler
        self._loafer_style = loafer_style
        self._by_name = False

    def add(self, parameter: inspect.Parameter) -> None:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            return
        getter, meaning = _getter_for(parameter, self._handler, loafer_style=self._loafer_style)
        if getter is None:
            self._leave_out(parameter)
            return
        self.meanings[parameter.name] = meaning
        if self._by_name or parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            self.keywords.append((parameter.name, getter))
        else:
            self.positional.append(getter)

    def _leave_out(self, parameter: inspect.Parameter) -> None:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            self.positional.append(lambda *_: parameter.default)
        else:
            self._by_name = True


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
    function = _function_of(target)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(f"{name} is a generator: remove its 'yield'; return a list of messages for follow-ups")


def _refuse_in_process(handler: Any, name: str) -> None:
    """A process finds its handler by its name, and calls it without an event loop."""
    if not inspect.isfunction(handler):
        raise HandlerError(f"{name} cannot run in a process: only a function can, not {_article(type(handler))}")
    if is_async(handler):
        raise HandlerError(f"{name} cannot run in a process: it is a coroutine function, which needs the event loop")
    if "<" in name:
        what = "a lambda" if "<lambda>" in name else "defined inside another function"
        raise HandlerError(f"{name} cannot run in a process: it is {what}; define it at the top of its module")


def _article(cls: type) -> str:
    return f"an {cls.__name__}" if cls.__name__[0] in "aeiouAEIOU" else f"a {cls.__name__}"


def _name_of(handler: Any) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{named.__module__}:{named.__qualname__}"


def is_async(target: Any) -> bool:
    """Whether calling *target* makes a coroutine: a function, a method, an object with ``__call__``, or a partial."""
    while isinstance(target, functools.partial):
        target = target.func
    call = getattr(target, "__call__", None)  # noqa: B004 - asked of the method, since callables may be objects
    return inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call)


def _signature(target: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        signature = inspect.signature(target, **_AS_WRITTEN)
    except Exception as error:
        raise HandlerError(f"{name}: its parameters cannot be read: {error}") from error
    hints = _hints(inspect.unwrap(_function_of(target)))
    preset = target.keywords if isinstance(target, functools.partial) else {}
    parameters = [
        each.replace(annotation=hints.get(each.name, _UNSAID))
        for each in signature.parameters.values()
        if each.name not in preset
    ]
    return signature.replace(parameters=parameters)


def _function_of(target: Any) -> Any:
    """The function that runs when *target* is called."""
    while isinstance(target, functools.partial):
        target = target.func
    return target if inspect.isroutine(target) else type(target).__call__


class _Unresolved:
    """An annotation that names what cannot be found: most often what only type checkers import."""

    def __init__(self, text: str) -> None:
        self.text = text


def _hints(function: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names that are not there, and whatever evaluating annotations may raise
        annotations = _annotations_of(function)
        names = getattr(function, "__globals__", {})
        return {name: _resolved(annotation, names) for name, annotation in annotations.items()}


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """One annotation by itself, so that another's does not keep it from being understood."""

    def probe() -> None: ...

    probe.__annotations__ = {"it": annotation}
    try:
        return typing.get_type_hints(probe, globalns=names)["it"]
    except Exception:  # noqa: BLE001 - as above
        text = str(getattr(annotation, "__forward_arg__", annotation))
        word = text.rpartition(".")[2]
        return next((cls for cls in _BY_ANNOTATION if cls.__name__ == word), _Unresolved(text))


def _is_loafer_style(signature: inspect.Signature) -> bool:
    """``(message, metadata)``: there *message* is the content, unless its annotation says otherwise."""
    return "metadata" in signature.parameters and "message" in signature.parameters


def _getter_for(parameter: inspect.Parameter, name: str, *, loafer_style: bool) -> tuple[Getter | None, str]:
    annotation = _without_none(parameter.annotation)
    for cls, getter in _BY_ANNOTATION.items():
        if annotation is cls:
            return getter, cls.__name__
    if is_structured(annotation):
        return _typed(annotation, parameter.name), f"{annotation.__name__} from {_source_name(parameter.name)}"
    if parameter.name == "message" and (loafer_style or not _may_be_message(annotation)):
        return _BY_NAME["content"], "content"
    if parameter.name in _BY_NAME:
        return _BY_NAME[parameter.name], parameter.name
    if annotation in _MAPPINGS or typing.get_origin(annotation) in _MAPPINGS:
        return _BY_NAME["body"], "body"
    if parameter.default is not _UNSAID:
        return None, ""
    raise HandlerError(_nothing_for(parameter, name))


def _without_none(annotation: Any) -> Any:
    """What ``X | None`` says beside that there may be none."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    said = [each for each in typing.get_args(annotation) if each is not type(None)]
    return said[0] if len(said) == 1 else annotation


def _may_be_message(annotation: Any) -> bool:
    if isinstance(annotation, _Unresolved) or any(annotation is each for each in (_UNSAID, Any, object)):
        return True
    return Message in typing.get_args(annotation)


def _nothing_for(parameter: inspect.Parameter, name: str) -> str:
    if isinstance(parameter.annotation, _Unresolved):
        return (
            f"{name}: the annotation of {parameter.name!r}, {parameter.annotation.text}, cannot be resolved at run time"
        )
    accepted = ", ".join(_BY_NAME)
    return (
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
