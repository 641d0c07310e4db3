"""How the value of one setting is read, whether TOML, a line of the environment or Python code says it.

A reader takes what was said and gives the value, or raises `ValueError` with what it would have
accepted. It accepts its own values, so that reading twice changes nothing.
"""

# ruff: noqa: TRY004 - whatever a reader does not accept is a ValueError, its kind included

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.fields import is_whole
from pulpo_core.domain.url import duration, switch

Reader = Callable[[Any], Any]

#: Where a field keeps its reader and what people should know of it.
READER: Final = "pulpo_reader"
HELP: Final = "pulpo_help"
EXAMPLE: Final = "pulpo_example"
SECRET: Final = "pulpo_secret"


def setting(
    reader: Reader,
    help: str,  # noqa: A002 - what it is called everywhere
    *,
    default: Any = None,
    example: Any = None,
    secret: bool = False,
) -> Any:
    """A field of a class of settings.

    Args:
        reader: makes its value.
        help: one sentence for people.
        default: its value when nobody says anything.
        example: as a file would say it, when the default shows nothing: what it amounts to unless it is
            said, where there is such a value.
        secret: whether its value is never to be shown.
    """
    return attrs.field(
        default=default,
        converter=attrs.Converter(_converted, takes_field=True),
        repr=not secret,
        metadata={READER: reader, HELP: help, EXAMPLE: default if example is None else example, SECRET: secret},
    )


def read(field: attrs.Attribute[Any], value: Any) -> Any:
    """*value* as *field* reads it.

    Raises:
        ValueError: it does not accept it; the text does not show what is secret.
    """
    try:
        return field.metadata[READER](value)
    except ValueError as error:
        if not field.metadata[SECRET]:
            raise
        raise ValueError(str(error).partition(", not ")[0]) from None


def _converted(value: Any, field: attrs.Attribute[Any]) -> Any:
    try:
        return read(field, value)
    except ValueError as error:
        raise ConfigurationError(f"{field.name}: {error}") from error


def optional(reader: Reader) -> Reader:
    """Also nothing: `None`, or an empty text, which is how a stronger source takes back what a weaker one says."""
    return lambda value: None if value is None or value == "" else reader(value)


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, not {_shown(value)}")
    return value


def plain(value: Any) -> str:
    """A text, which may be empty; a number is taken as it is written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"expected a text, not {_shown(value)}")
    return str(value)


def word(*words: str) -> Reader:
    """One of *words*, in lower case however it is written."""

    def read(value: Any) -> str:
        found = value.lower() if isinstance(value, str) else value
        if found not in words:
            raise ValueError(f"expected one of {', '.join(words)}, not {_shown(value)}")
        return str(found)

    return read


def whole(lowest: int, highest: int | None = None) -> Reader:
    """A whole number from *lowest* to *highest*."""
    limits = f"from {lowest}" + ("" if highest is None else f" to {highest}")

    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,18}\s*", value, re.ASCII):
            value = int(value)
        if not is_whole(value) or not lowest <= value <= (math.inf if highest is None else highest):
            raise ValueError(f"expected a whole number {limits}, not {_shown(value)}")
        return value

    return read


def real(value: Any) -> float:
    """A number."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number, not {_shown(value)}")
    return number


def span(value: Any) -> timedelta:
    """A time span from 0: a `timedelta`, seconds, or text such as ``500ms``, ``30s``, ``5m``, ``12h``, ``7d``."""
    if isinstance(value, timedelta) and value >= timedelta():
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"expected a time span such as 30s, not {_shown(value)}")
    try:
        return duration(str(value))
    except ValueError:
        raise ValueError(f"expected a time span such as 500ms, 30s, 5m or 12h, not {_shown(value)}") from None


def yes_or_no(value: Any) -> bool:
    """True or false; as text also on and off, yes and no, 1 and 0."""
    if isinstance(value, bool):
        return value
    try:
        return switch(str(value))
    except ValueError:
        raise ValueError(f"expected true or false, not {_shown(value)}") from None


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts; as one text, with commas between them."""
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and part for part in parts):
        raise ValueError(f"expected a list of texts, not {_shown(value)}")
    return tuple(parts)


def table(reader: Reader) -> Reader:
    """A table whose values *reader* reads; as one text, ``name=value`` with commas between them."""

    def read_table(value: Any) -> dict[str, Any]:
        pairs = _pairs(value) if isinstance(value, str) else value
        if not isinstance(pairs, Mapping):
            raise ValueError(f"expected a table, not {_shown(value)}")
        return {name: _entry(reader, name, each) for name, each in pairs.items()}

    return read_table


def variables(value: Any) -> dict[str, str]:
    """A table of variables that an operating system takes."""
    pairs: dict[str, str] = table(plain)(value)
    for name, each in pairs.items():
        if not name or "=" in name or "\0" in name + each:
            raise ValueError(f"{name}: expected a name without '=', and no NUL, not {_shown({name: each})}")
    return pairs


def _pairs(value: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(f"expected name=value with commas between, not {_shown(value)}")
    return {name.strip(): each.strip() for name, _, each in pairs}


def _entry(reader: Reader, name: Any, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _shown(value: object) -> str:
    return f"{value!r:.60}"
