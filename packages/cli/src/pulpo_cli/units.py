"""Numbers, spans and moments as people read them, and text that a terminal can be trusted with."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

NOTHING: Final = "–"

#: Control, format and private characters, lone surrogates, unassigned ones: what could move the cursor or hide.
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})

_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def number(value: int | None) -> str:
    """*value* with thousands set apart; a dash for what is not known."""
    return NOTHING if value is None else f"{value:,}"


def span(value: timedelta | None) -> str:
    """*value* in its two largest units: ``250 ms``, ``4.2 s``, ``42 s``, ``3 min 20 s``, ``2 d 4 h``."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds()
    if seconds < 0:
        return f"-{span(-value)}"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    parts = _parts(round(seconds))
    return " ".join(parts[:2])


def _parts(seconds: int) -> list[str]:
    """From the largest unit that is not 0 on, up to the next one; a 0 there is left out."""
    parts: list[str] = []
    for size, unit in _STEPS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count:,} {unit}")
        elif parts:
            break
    return parts


def moment(value: datetime | None, now: datetime) -> str:
    """*value* in UTC, and how far it is from *now*."""
    if value is None:
        return NOTHING
    distance = value - now
    far = f"in {span(distance)}" if distance > timedelta() else f"{span(-distance)} ago"
    return f"{value:%Y-%m-%d %H:%M:%S} UTC ({far})"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 message``, ``1,234 messages``; *nouns* is the plural of an irregular *noun*."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {nouns or noun + 's'}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def printable(text: str, *, written: Callable[[str], str] = _escape) -> str:
    """*text* with what a terminal might obey written out, by *written*; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if _is_safe(each) else written(each) for each in text)


def _is_safe(character: str) -> bool:
    return character in "\n\t" or unicodedata.category(character) not in _UNPRINTABLE


def shortened(text: str, width: int) -> str:
    """The first line of *text*, at most *width* characters long."""
    line, _, rest = text.partition("\n")
    if len(line) > width:
        return line[: width - 1] + "…"
    return line + " …" if rest else line
