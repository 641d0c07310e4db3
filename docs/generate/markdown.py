"""Small pieces of Markdown, and what docstrings say about attributes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

import attrs

from pulpo_cli.units import span

_ENTRY = re.compile(r"^    (?=\S)", re.MULTILINE)
_SECTION = re.compile(r"^Attributes:\n((?:    .*\n?|\n)+)", re.MULTILINE)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; nothing in its cells can break it."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def code(text: str) -> str:
    """*text* as code; nothing as nothing."""
    return f"`{text}`" if text else ""


def paragraphs(*parts: str) -> str:
    """*parts* with an empty line between them; empty ones are left out."""
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def prose(text: str) -> str:
    """reStructuredText as docstrings use it, as Markdown: literals with one backtick."""
    return text.replace("``", "`")


def first_paragraph(documented: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return prose(" ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split()))


def attributes(cls: type) -> dict[str, str]:
    """What the docstring of *cls* says about each of its attributes."""
    section = _SECTION.search((inspect.getdoc(cls) or "") + "\n")
    said: dict[str, str] = {}
    for entry in _ENTRY.split(section[1])[1:] if section else ():
        names, _, text = entry.partition(":")
        said |= dict.fromkeys(names.replace(" ", "").split(","), prose(" ".join(text.split())))
    return said


def fields_of(cls: type, *, omit: Sequence[str] = ()) -> str:
    """A table of the fields of an attrs class: name, default, meaning."""
    said = attributes(cls)
    fields = [each for each in attrs.fields(cls) if each.name not in omit]
    return table(
        ("name", "unless given", "meaning"),
        [(code(each.name), default_of(each), said.get(each.name, "")) for each in fields],
    )


def default_of(field: attrs.Attribute[Any]) -> str:
    """The default of a field, as a person would write it."""
    if field.default is attrs.NOTHING:
        return ""
    factory = getattr(field.default, "factory", None)
    return value(factory() if factory else field.default)


def value(given: Any) -> str:
    """A value, as a person would write it."""
    match given:
        case None:
            return "none"
        case bool():
            return "yes" if given else "no"
        case timedelta():
            return span(given) if given else "0"
        case Enum():
            return str(given.value)
        case frozenset() | tuple() | list() | dict() if not given:
            return "none"
        case frozenset():
            return ", ".join(sorted(map(str, given)))
        case int():
            return f"{given:,}"
        case _ if attrs.has(type(given)):
            return code(_call(given))
        case _:
            return str(given)


def _call(given: Any) -> str:
    said = [f"{each.name}={value(getattr(given, each.name))}" for each in attrs.fields(type(given))]
    return f"{type(given).__name__}({', '.join(said)})"
