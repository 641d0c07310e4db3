"""The list of decisions, from their titles."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from .markdown import paragraphs

_ADR: Final = Path(__file__).parent.parent / "adr"

_INTRODUCTION: Final = """
Whatever a newcomer would question has a page of its own: the situation, what was decided, and what follows from it. A
decision that no longer holds stays, and names the one that replaced it.
"""


def page() -> str:
    """All decisions, in the order of their numbers."""
    return paragraphs("# Decisions", _INTRODUCTION, "\n".join(_entry(path) for path in sorted(_ADR.glob("[0-9]*.md"))))


def _entry(path: Path) -> str:
    number, _, title = path.read_text().partition("\n")[0].removeprefix("# ").partition(". ")
    return f"- {number}: [{title}](../adr/{path.name})"
