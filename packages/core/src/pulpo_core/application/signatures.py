"""What the parameters of a callable are called, and what their annotations say, whatever kind of callable it is."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import HandlerError
from pulpo_core.domain.message import Message

if sys.version_info >= (3, 14):  # there annotations are evaluated when somebody asks for them, unless told otherwise
    from annotationlib import Format, get_annotations

    _AS_WRITTEN: dict[str, Any] = {"annotation_format": Format.FORWARDREF}

    def _annotations_of(function: Any) -> Mapping[str, Any]:
        return get_annotations(function, format=Format.FORWARDREF)
else:
    _AS_WRITTEN: dict[str, Any] = {}
    _annotations_of = inspect.get_annotations

#: The annotation of a parameter that has none.
UNSAID: Final = inspect.Parameter.empty

#: Classes that are known by their names, where only type checkers import them.
_KNOWN: Final = (Message, Delivery, Envelope)


class Unresolved:
    """An annotation that names what cannot be found: most often what only type checkers import."""

    def __init__(self, text: str) -> None:
        self.text = text


def signature_of(target: Callable[..., Any], name: str) -> inspect.Signature:
    """The parameters of *target*, their annotations evaluated, or `Unresolved` where that cannot be.

    Raises:
        HandlerError: it does not tell them; the text begins with *name*.
    """
    try:
        signature = inspect.signature(target, **_AS_WRITTEN)
    except Exception as error:
        raise HandlerError(f"{name}: its parameters cannot be read: {error}") from error
    hints = _hints(inspect.unwrap(function_of(target)))
    preset = target.keywords if isinstance(target, functools.partial) else {}
    parameters = [
        each.replace(annotation=hints.get(each.name, UNSAID))
        for each in signature.parameters.values()
        if each.name not in preset
    ]
    return signature.replace(parameters=parameters)


def function_of(target: Any) -> Any:
    """The function that runs when *target* is called."""
    while isinstance(target, functools.partial):
        target = target.func
    return target if inspect.isroutine(target) else type(target).__call__


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
        return next((cls for cls in _KNOWN if cls.__name__ == word), Unresolved(text))
