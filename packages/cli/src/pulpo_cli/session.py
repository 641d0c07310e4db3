"""What one run of the command knows about itself: how much to say, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import rich_click as click

if TYPE_CHECKING:
    from .supervisor.leash import Leash

QUIET = -1
TRACEBACKS = 2


@attrs.define
class Session:
    """One invocation of `pulpo`.

    Attributes:
        verbosity: -1 for ``-q``, 0, 1 for ``-v``, 2 for ``-vv``.
        arguments: the command line, without the program.
        leash: ties it to its supervisor, if it is one of several workers.
    """

    verbosity: int = 0
    arguments: tuple[str, ...] = ()
    leash: Leash | None = None

    @property
    def quiet(self) -> bool:
        """Whether only data and errors are wanted."""
        return self.verbosity <= QUIET

    @property
    def tracebacks(self) -> bool:
        """Whether an error shows where it came from."""
        return self.verbosity >= TRACEBACKS


def session() -> Session:
    """The session of the command that runs now; a fresh one outside of any."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Session) if context else None
    return found or Session()
