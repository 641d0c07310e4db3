"""The exit statuses of the command."""

from __future__ import annotations

from pulpo_cli.errors import MEANINGS

from .markdown import code, paragraphs, table


def page() -> str:
    """Every status and what it means."""
    return paragraphs(
        "# Exit statuses",
        "How a command ended, for scripts and supervisors. An error is one line on stderr that names the thing, the"
        " value and what would be accepted; `-vv` adds where it came from.",
        table(("status", "meaning"), [(code(str(status)), meaning) for status, meaning in MEANINGS.items()]),
    )
