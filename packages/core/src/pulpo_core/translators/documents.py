"""JSON as pulpo reads and writes it: strict both ways, and every refusal names the field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import chain
from json.scanner import make_scanner
from typing import Any, NoReturn

from pulpo_core.domain.errors import InvalidMessage, TranslationError

#: Levels of nesting that are written and read: far above what people write, far below what breaks anybody's parser.
MAX_DEPTH = 100

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_SCALARS = frozenset({str, int, bool, type(None)})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# `JSONDecoder.decode` looks for white space twice, which takes as long as reading a small message.
_scan = make_scanner(json.JSONDecoder(parse_constant=_refuse_constant))  # type: ignore[arg-type] # typeshed has it differently
_WHITESPACE = " \t\n\r"


def loads(data: bytes) -> Any:
    """The JSON document in *data*.

    Raises:
        TranslationError: it is not strict JSON in UTF-8; the text says where, and never quotes it.
    """
    try:
        text = data.decode()
        document, end = _scan(text, len(text) - len(text.lstrip(_WHITESPACE)))
    except UnicodeDecodeError as error:
        raise TranslationError(f"not UTF-8: byte {error.start} of {len(data)}") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # some of its texts expect the place to follow
        raise TranslationError(f"not JSON: {what} at character {error.pos} of {len(text)}") from None
    except StopIteration as stop:
        raise TranslationError(f"not JSON: expected a value at character {stop.value} of {len(text)}") from None
    except RecursionError:
        raise TranslationError("not acceptable JSON: nested too deeply") from None
    except ValueError as error:  # NaN and its like, and numbers of thousands of digits
        raise TranslationError(f"not acceptable JSON: {str(error)[:80]}") from None
    if end != len(text) and (rest := text[end:].lstrip(_WHITESPACE)):
        at = len(text) - len(rest)
        raise TranslationError(f"not JSON: something follows the document at character {at} of {len(text)}")
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(document):
        raise TranslationError(f"not acceptable JSON: nested more than {MAX_DEPTH} levels deep")
    return document


def _is_too_deep(document: Any) -> bool:
    """Looked at level by level, so that no depth can exhaust the stack; only asked where there are brackets enough."""
    level, levels = _nested([[document]]), 0
    while level and levels <= MAX_DEPTH + 1:  # what `check` lets through stands in a document, under a name
        level, levels = _nested(level), levels + 1
    return bool(level)


def _nested(level: list[Any]) -> list[Any]:
    """The objects and arrays directly inside those of *level*."""
    inside = chain.from_iterable(each.values() if type(each) is dict else each for each in level)
    return [each for each in inside if type(each) is dict or type(each) is list]


def dumps(document: Mapping[str, Any]) -> bytes:
    """*document* as JSON in UTF-8.

    Raises:
        InvalidMessage: JSON cannot carry a part of it; the text names the field.
    """
    for name, value in document.items():
        if not isinstance(name, str):
            raise InvalidMessage(f"keys must be text, not {type(name).__name__}")
        check(value, name)
    try:
        return _encode(document).encode()
    except (UnicodeEncodeError, ValueError) as error:
        raise InvalidMessage(_where_text_fails(document) or f"JSON cannot carry it: {error}") from None


def check(value: object, field: str, depth: int = 0) -> None:
    """Return when JSON can carry *value* unchanged.

    Raises:
        InvalidMessage: it cannot; the text begins with *field*, extended to the part at fault.
    """
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth > MAX_DEPTH:
        raise InvalidMessage(f"{field[:200]}: nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        _check_pairs(value, field, depth)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            check(item, f"{field}[{index}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidMessage(f"{field}: JSON has no {value}")
    elif not isinstance(value, (str, int)):
        raise InvalidMessage(
            f"{field}: JSON cannot carry a value of type {kind.__name__}; convert it before publishing"
        )


def _check_pairs(pairs: Mapping[Any, object], field: str, depth: int) -> None:
    for name, item in pairs.items():
        if not isinstance(name, str):
            raise InvalidMessage(f"{field}: keys must be text, not {type(name).__name__}")
        if type(item) not in _SCALARS:
            check(item, f"{field}.{name}", depth + 1)


def _where_text_fails(value: object, field: str = "") -> str | None:
    """The first field whose text UTF-8 cannot carry; only looked for once encoding has failed."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{field}: the text has a lone surrogate, which UTF-8 cannot carry"
        return None
    if isinstance(value, Mapping):
        items = [(f"{field}.{name}".lstrip("."), item) for name, item in value.items()]
        items += [(f"a key of {field or 'the message'}", name) for name in value]
    elif isinstance(value, (list, tuple)):
        items = [(f"{field}[{index}]", item) for index, item in enumerate(value)]
    else:
        items = []
    return next((found for name, item in items if (found := _where_text_fails(item, name))), None)
