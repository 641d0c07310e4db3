"""Bodies into typed values, by cattrs: strict about kinds, silent about what the body holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from pulpo_core.domain.errors import HandlerError, TranslationError

if TYPE_CHECKING:
    from cattrs import Converter


def is_structured(annotation: Any) -> bool:
    """Whether a parameter annotated so gets the body structured into it."""
    return isinstance(annotation, type) and (attrs.has(annotation) or hasattr(annotation, "__dataclass_fields__"))


def _strict(*accepted: type) -> Callable[[Any, Any], Any]:
    """A hook that converts nothing: ``"5"`` is not a number, and 1.5 not a whole one."""

    def structure(value: Any, _: Any) -> Any:
        if type(value) not in accepted:
            raise TypeError(f"expected {accepted[0].__name__}, not {type(value).__name__}")
        return value

    return structure


@cache
def _converter() -> Converter:
    from cattrs.preconf.json import make_converter  # noqa: PLC0415 - only those who use typed bodies pay for it

    converter = make_converter()
    for kind in (str, bool, int):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook(float, _strict(float, int))
    return converter


def structurer(cls: type) -> Callable[[Any], Any]:
    """A function that makes a *cls* of a body.

    What the class does not know is ignored, since producers may be ahead of workers. The function
    raises `TranslationError`, whose text names each field at fault and quotes no value.

    Raises:
        HandlerError: *cls* has a field of a type that cannot be read from JSON.
    """
    try:
        hook = _converter().get_structure_hook(cls)
    except Exception as error:
        raise HandlerError(f"{cls.__qualname__}: a body cannot be structured into it: {error}") from error

    def structure(body: Any) -> Any:
        try:
            return hook(body, cls)
        except Exception as error:
            raise TranslationError(f"the body does not fit {cls.__name__}: {_explain(error)}") from error

    return structure


def _explain(error: Exception) -> str:
    from cattrs import transform_error  # noqa: PLC0415 - as above

    return "; ".join(transform_error(error, path="body", format_exception=_describe))


def _describe(error: BaseException, _: type | None) -> str:
    match error:
        case KeyError():
            return "required field missing"
        case TypeError() if error.args and str(error.args[0]).startswith("expected "):
            return str(error.args[0])
        case _:
            return "not acceptable"  # the text of other errors may quote the value
