"""Where words go: data to stdout, everything else to stderr. Colour, progress and questions only at a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import rich_click as click

from .session import session
from .units import printable


def say(text: str) -> None:
    """Write one line of data."""
    print(printable(text))


def say_json(value: object) -> None:
    """Write *value* as one line of JSON, or indented when a person looks at it."""
    text = json.dumps(value, ensure_ascii=not speaks_utf8(sys.stdout), indent=2 if at_terminal(sys.stdout) else None)
    print(printable(text, written=_as_in_json))


def _as_in_json(character: str) -> str:
    return json.dumps(character)[1:-1]


def speaks_utf8(stream: Any) -> bool:
    """Whether every character can be written to *stream* as it is, and none has to be written out for JSON."""
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def note(text: str) -> None:
    """Tell a person something that is not data; ``-q`` leaves it out."""
    if not session().quiet:
        _flush()
        print(printable(text), file=sys.stderr)


def _flush() -> None:
    """What was said first stands first where both streams end in one file."""
    if sys.stdout is not None:
        with contextlib.suppress(OSError):  # that it cannot be written is told at the end
            sys.stdout.flush()


def complain(text: str) -> None:
    """Tell a person about something that went wrong while the command goes on."""
    print(f"pulpo: {printable(text)}", file=sys.stderr)


def at_terminal(stream: Any) -> bool:
    """Whether a person sees *stream*."""
    return bool(stream.isatty())


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether a change is wanted: ``--yes``, or a person says so.

    Raises:
        UsageError: nobody is there to be asked.
    """
    if yes:
        return True
    if not (at_terminal(sys.stdin) and at_terminal(sys.stderr)):
        raise click.UsageError("this has to be confirmed, and there is no terminal to ask at: add --yes")
    return click.confirm(question, err=True)
