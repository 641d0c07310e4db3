"""What can be set in files and variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pulpo_core.config import Entry, entries, toml_of

from .markdown import code, paragraphs, table

_TITLES: Final = {"": "A worker: `[pulpo]`", "routes.mail": "A route, called `mail` here: `[pulpo.routes.mail]`"}


def page() -> str:
    """Every setting, its variable, and an example."""
    return paragraphs(
        "# Settings",
        "Weakest first: defaults, `[tool.pulpo]` in `pyproject.toml`, `pulpo.toml`, `.env`, variables, the command"
        " line. `pulpo config show --origin` tells what is in effect and who says so, `pulpo config init` writes a file"
        " to begin with. Unknown settings are errors that name the file and the key; `0`, `false` and an empty text are"
        " values like any other.",
        *[_section(name, group) for name, group in _sections().items()],
    )


def _sections() -> dict[str, list[Entry]]:
    """The settings by the table of a file that they are in."""
    sections: dict[str, list[Entry]] = {}
    for entry in entries():
        sections.setdefault(entry.path.rpartition(".")[0], []).append(entry)
    return sections


def _section(name: str, group: Sequence[Entry]) -> str:
    title = _TITLES.get(name) or code(f"[pulpo.{name}]")
    rows = [(code(each.path.rpartition(".")[2]), each.help, _example(each), code(each.variable)) for each in group]
    return paragraphs(f"## {title}", table(("setting", "meaning", "example", "variable"), rows))


def _example(entry: Entry) -> str:
    """As a file would say it."""
    text = code(toml_of(entry.example))
    return f"{text}, which is the default" if entry.is_default else text
