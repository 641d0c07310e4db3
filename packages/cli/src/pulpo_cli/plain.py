"""Text for a stream that knows too few characters: what only looks better is simplified, the rest gets its code."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

#: The name of the error handler, for the ``errors=`` of a stream.
NAME: Final = "pulpo-plain"

_INSTEAD: Final[Mapping[str, str]] = {"─": "-", "–": "-", "…": "...", "×": "x", "≥": ">=", "→": "->"}


def _simplify(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        return codecs.backslashreplace_errors(error)
    text = error.object[error.start : error.end]
    return "".join(_INSTEAD.get(each) or _code(each) for each in text), error.end


def _code(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()


codecs.register_error(NAME, _simplify)
