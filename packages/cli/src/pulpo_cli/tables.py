"""Tables: aligned for people; elsewhere the same columns in full, without colour and never cut."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TextIO

import attrs
from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .output import at_terminal
from .units import printable

_LINE: Final = "─"


def _box(line: str) -> Box:
    """*line* below the titles and above a total, and no others. Eight lines, as rich wants them."""
    rule = f" {line}{line} "
    rows = ("    ", "    ", rule, "    ", rule, rule, "    ", "    ")
    return Box("\n".join(rows), ascii=line.isascii())


_BOX: Final = _box(_LINE)
_PLAIN_BOX: Final = _box("-")

#: Wide enough for any table, so that nothing is cut or wrapped where no person looks.
_UNLIMITED: Final = 100_000


@attrs.frozen
class Column:
    """One column.

    Attributes:
        number: aligned to the right.
        cut: shortened to one line where a terminal is too narrow.
        fold: wrapped there. What is neither cut nor folded is the last to give way.
    """

    title: str
    number: bool = False
    cut: bool = False
    fold: bool = False

    def cell(self, text: str) -> Text:
        """*text* as a cell of this column."""
        return Text(printable(text), no_wrap=True, overflow="ellipsis") if self.cut else Text(printable(text))


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    last_is_total: bool = False,
    to: TextIO | None = None,
) -> None:
    """Print *rows* under the titles of *columns*.

    Args:
        last_is_total: set the last row apart.
        to: stdout unless given.
    """
    table = _ruled(columns, _BOX if _can_be_written(_LINE, to or sys.stdout) else _PLAIN_BOX)
    cells = [[column.cell(text) for column, text in zip(columns, row, strict=True)] for row in rows]
    for index, row in enumerate(cells):
        if last_is_total and index == len(cells) - 1:
            table.add_section()
        table.add_row(*row)
    show(table, title=title, to=to)


def _ruled(columns: Sequence[Column], box: Box) -> Table:
    """A table without rows."""
    table = Table(
        box=box,
        show_header=any(column.title for column in columns),
        show_edge=False,
        pad_edge=False,
        header_style="bold",
        border_style="dim",
    )
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            overflow="fold",
            no_wrap=not (column.cut or column.fold),
        )
    return table


def _can_be_written(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def print_facts(facts: Mapping[str, str], *, title: str = "", to: TextIO | None = None) -> None:
    """Print *facts*, one to a line, their names before them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(printable(name)), Text(printable(value)))
    show(table, title=title, to=to)


def show(renderable: RenderableType, *, title: str = "", to: TextIO | None = None) -> None:
    """Print *renderable* as fits the stream."""
    stream = to or sys.stdout
    if at_terminal(stream):
        console = Console(file=stream, highlight=False)
        _print(console, renderable, title)
    else:
        page = Console(file=io.StringIO(), width=_UNLIMITED, highlight=False, color_system=None, force_terminal=False)
        with page.capture() as captured:
            _print(page, renderable, title)
        print("\n".join(line.rstrip() for line in captured.get().splitlines()), file=stream)


def _print(console: Console, renderable: RenderableType, title: str) -> None:
    if title:
        console.print(Text(title, style="bold"))
        renderable = Padding(renderable, (0, 0, 0, 2), expand=False)
    console.print(renderable)
