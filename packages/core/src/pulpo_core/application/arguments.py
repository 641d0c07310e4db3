"""What each parameter of a handler gets, found once by its name and annotation."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message

from .signatures import UNSAID, Unresolved
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

_BY_ANNOTATION: Mapping[type, Getter] = {
    Message: _BY_NAME["message"],
    Delivery: _BY_NAME["delivery"],
    Envelope: lambda _, delivery: delivery.envelope,
}

_MAPPINGS = (dict, Mapping, typing.Mapping)


class Arguments:
    """The arguments for one handler, found parameter by parameter.

    A parameter that pulpo has nothing for keeps its default; what stands behind it goes by its name.

    Attributes:
        positional, keywords: how to get each from a message and its delivery.
        meanings: for each parameter by its name, what it gets, for people.

    Raises:
        HandlerError: nothing can be given to a parameter that has no default.
    """

    def __init__(self, handler: str, signature: inspect.Signature) -> None:
        self.positional: list[Getter] = []
        self.keywords: list[tuple[str, Getter]] = []
        self.meanings: dict[str, str] = {}
        self._handler = handler
        self._loafer_style = _is_loafer_style(signature)
        self._by_name = False
        for parameter in signature.parameters.values():
            self._add(parameter)

    def _add(self, parameter: inspect.Parameter) -> None:
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
    if parameter.default is not UNSAID:
        return None, ""
    raise HandlerError(_nothing_for(parameter, name))


def _without_none(annotation: Any) -> Any:
    """What ``X | None`` says beside that there may be none."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return annotation
    said = [each for each in typing.get_args(annotation) if each is not type(None)]
    return said[0] if len(said) == 1 else annotation


def _may_be_message(annotation: Any) -> bool:
    if isinstance(annotation, Unresolved) or any(annotation is each for each in (UNSAID, Any, object)):
        return True
    return Message in typing.get_args(annotation)


def _nothing_for(parameter: inspect.Parameter, name: str) -> str:
    if isinstance(parameter.annotation, Unresolved):
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
