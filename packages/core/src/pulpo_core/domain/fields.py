"""What fields of policies, routes and limits accept: each kind is checked in one place, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeGuard

import attrs

from .errors import ConfigurationError


def is_number(value: object) -> TypeGuard[float]:
    """Whether *value* is an int or a float; `True` and `False` are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether *value* is an int; `True` and `False` are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole_from(lowest: int, *, note: str = "") -> Callable[[object, attrs.Attribute[Any], object], None]:
    """A validator of whole numbers from *lowest*; *note* says in an error what the lowest one means."""

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not is_whole(value) or value < lowest:
            accepted = f"{lowest} ({note})" if note else str(lowest)
            raise ConfigurationError(f"{attribute.name}: expected a whole number from {accepted}, not {value!r:.40}")

    return check


def seconds(value: object, *, field: str = "duration") -> timedelta:
    """Seconds or timedelta as timedelta.

    Raises:
        ConfigurationError: *value* is neither, negative, or more than a calendar holds; the text names *field*.
    """
    span = as_span(value)
    if isinstance(span, timedelta) and span >= timedelta():
        return span
    raise ConfigurationError(f"{field}: expected a time span from 0 (seconds or timedelta), not {value!r:.40}")


def as_span(value: Any) -> Any:
    """The same as a converter: what is no time span is left for `is_span` to refuse."""
    if is_number(value):
        with suppress(ValueError, OverflowError):  # not a number, or more than a calendar holds
            return timedelta(seconds=value)
    return value


def is_span(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """The same as a validator, which knows the name of the field."""
    seconds(value, field=attribute.name)
