"""What `pulpo run` shows of the standard library's logging: lines for people, or JSON for machines."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import attrs
import structlog
from structlog.typing import EventDict

from .output import at_terminal

#: Loggers and their levels for each verbosity. pulpo's own are named apart from the rest: at DEBUG, other people's
#: libraries write out what they send, bodies included.
LEVELS: Final[Mapping[int, Mapping[str, int]]] = {
    -1: {"": logging.ERROR, "pulpo": logging.ERROR},
    0: {"": logging.WARNING, "pulpo": logging.WARNING, "pulpo.manager": logging.INFO, "pulpo.run": logging.INFO},
    1: {"": logging.INFO, "pulpo": logging.INFO},
    2: {"": logging.INFO, "pulpo": logging.DEBUG},
}

_COLOURS: Final[Mapping[str, str]] = {
    "dim": "\x1b[2m",
    "plain": "\x1b[0m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}

_PREFIX: Final = "pulpo_"


def configure(verbosity: int, *, form: str) -> None:
    """Send log records of *verbosity* to stderr, as ``console`` lines or as ``json``."""
    handler = _StderrHandler()
    handler.setFormatter(_json() if form == "json" else _console())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    for name, level in LEVELS[max(min(verbosity, 2), -1)].items():
        logging.getLogger(name).setLevel(level)


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that time: while a progress line is shown, that is not what it was at the start."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute there, fixed once
        """Where to write."""
        return sys.stderr


def _json() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _facts,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )


def _console() -> logging.Formatter:
    colour = _COLOURS if at_terminal(sys.stderr) else dict.fromkeys(_COLOURS, "")
    render = structlog.dev.ConsoleRenderer(
        columns=[
            _column("timestamp", colour["dim"], colour["plain"]),
            structlog.dev.Column("level", _Level(colour)),
            _column("event", "", ""),
            _column("", colour["dim"], colour["plain"]),
        ],
        exception_formatter=structlog.dev.plain_traceback,
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _column(key: str, style: str, reset: str) -> structlog.dev.Column:
    formatter = structlog.dev.KeyValueColumnFormatter(
        key_style=None if key else style, value_style=style, reset_style=reset, value_repr=str
    )
    return structlog.dev.Column(key, formatter)


@attrs.frozen
class _Level:
    """Says the level of what is worth a look, and nothing of the rest."""

    colour: Mapping[str, str]

    def __call__(self, key: str, value: object) -> str:  # noqa: ARG002 - structlog's signature
        colour = self.colour.get(str(value))
        return "" if colour is None else f"{colour}{value}{self.colour['plain']}:"


def _facts(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the facts that pulpo puts beside the text of a record, under their own names."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        facts = {name: value for name, value in vars(record).items() if name.startswith(_PREFIX)}
        event.update({name.removeprefix(_PREFIX): value for name, value in facts.items()})
    return event
