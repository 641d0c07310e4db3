"""What `pulpo run` shows of the standard library's logging: lines for people, or JSON for machines."""

from __future__ import annotations

import io
import logging
import logging.handlers
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import attrs
import structlog
from structlog.typing import EventDict

from .output import at_terminal, speaks_utf8
from .session import session
from .units import printable

#: Loggers whose INFO is about the process and not about messages: it is shown unless less is wanted.
_SPEAK_UP: Final = ("pulpo.manager", "pulpo.run", "pulpo.health")
_OURS: Final = ("pulpo", *_SPEAK_UP)

#: Loggers and their levels for each verbosity. pulpo's own are named apart from the rest: at DEBUG, other people's
#: libraries write out what they send, bodies included.
LEVELS: Final[Mapping[int, Mapping[str, int]]] = {
    -1: {"": logging.ERROR, **dict.fromkeys(_OURS, logging.ERROR)},
    0: {"": logging.WARNING, "pulpo": logging.WARNING, **dict.fromkeys(_SPEAK_UP, logging.INFO)},
    1: {"": logging.INFO, **dict.fromkeys(_OURS, logging.INFO)},
    2: {"": logging.INFO, **dict.fromkeys(_OURS, logging.DEBUG)},
}

#: What `configure` accepts as a level.
NAMES: Final = ("debug", "info", "warning", "error")

_COLOURS: Final[Mapping[str, str]] = {
    "dim": "\x1b[2m",
    "plain": "\x1b[0m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31m",
}

_PREFIX: Final = "pulpo_"


def configure(verbosity: int, *, form: str, level: str | None = None) -> None:
    """Send log records to stderr, as ``console`` lines or as ``json``.

    Args:
        verbosity: which records; see `LEVELS`.
        level: one of `NAMES` instead: the least level that is shown, of all loggers alike.
    """
    handler = _StderrHandler()
    handler.setFormatter(_json() if form == "json" else _console())
    leash = session().leash
    if leash is not None:
        handler.addFilter(_Mark(leash.orders.place + 1))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    for name, least in (_all_from(level) if level else LEVELS[max(min(verbosity, 2), -1)]).items():
        logging.getLogger(name).setLevel(least)


def _all_from(level: str) -> Mapping[str, int]:
    least = logging.getLevelNamesMapping()[level.upper()]
    return {"": max(least, logging.INFO), **dict.fromkeys(_OURS, least)}


def write_in_blocks() -> None:
    """Write records a hundred at a time from now on; an error, or the end of the process, writes them at once."""
    root = logging.getLogger()
    root.handlers[:] = [
        logging.handlers.MemoryHandler(capacity=100, flushLevel=logging.ERROR, target=each) for each in root.handlers
    ]


@attrs.frozen
class _Mark:
    """Says in every record which of several workers it is from."""

    worker: int

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record is shown."""
        record.pulpo_worker = self.worker
        return True


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
            structlog.processors.JSONRenderer(ensure_ascii=not speaks_utf8(sys.stderr)),
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
        exception_formatter=_traceback,
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _harmless(value: object) -> str:
    """*value* as text that gives a terminal no orders, and of which no line looks like a record of its own."""
    return printable(str(value)).replace("\n", "\n  ")


def _traceback(to: TextIO, error: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    to.write(printable(text.getvalue()))


def _column(key: str, style: str, reset: str) -> structlog.dev.Column:
    formatter = structlog.dev.KeyValueColumnFormatter(
        key_style=None if key else style, value_style=style, reset_style=reset, value_repr=_harmless
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
