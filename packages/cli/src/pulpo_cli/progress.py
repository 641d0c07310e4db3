"""A line that shows how far a long command is: at a terminal only, and gone when it is done."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from .output import at_terminal
from .session import session


class Progress(Protocol):
    """Is told how far it is."""

    def __call__(self, done: int, note: str = "") -> None:
        """*done* are done by now."""


def _silent(done: int, note: str = "") -> None:
    """Nobody is looking."""


@contextmanager
def progress(what: str, *, total: int | None = None, wanted: bool = True) -> Generator[Progress]:
    """Show progress while inside; what is printed meanwhile appears above it.

    Args:
        total: how many there are, if known.
        wanted: whether it will take long enough to be worth it.
    """
    if not wanted or session().quiet or not at_terminal(sys.stderr):
        yield _silent
        return
    with _bar(what, total) as shown:
        yield shown


@contextmanager
def _bar(what: str, total: int | None) -> Generator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - only where somebody looks
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    # One console for the bar and for the data, if both go to the terminal: rich keeps them apart.
    together = at_terminal(sys.stdout)
    console = Console(file=sys.stdout if together else sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Bar(*columns, console=console, transient=True, redirect_stdout=together) as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=note)
