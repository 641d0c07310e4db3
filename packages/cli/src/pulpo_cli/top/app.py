"""The screen of `pulpo top`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Header, Static

from pulpo_cli.units import printable
from pulpo_core import Clock, PulpoError, SystemClock

from . import cells
from .dialogs import Choose, Confirm
from .repairs import Repair, kick, pause, purge, purgeable
from .watching import Watched
from .workers import Workers

_NO_BURIALS: Final = "nothing is buried"

Table = DataTable[Text]


class Top(App[None]):
    """Queues, their burials, and the workers of this host.

    Args:
        urls: the queues, in the order in which they are shown.
        interval: seconds between two looks.
        clock: the system's unless given.
    """

    TITLE = "pulpo top"
    CSS_PATH = "top.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "kick", "Kick buried"),
        Binding("p", "pause", "Pause / resume"),
        Binding("x", "purge", "Purge"),
        Binding("r", "look", "Look now"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, urls: Sequence[str], *, interval: float = 1.0, clock: Clock | None = None) -> None:
        super().__init__()
        self._interval = interval
        self._clock: Clock = clock or SystemClock()
        self.host = Workers()
        self.failure: BaseException | None = None
        self.queues = {url: Watched(url, partial(self.host.settled, url)) for url in urls}

    def compose(self) -> ComposeResult:
        """Queues above, then the burials of the chosen one, then workers."""
        yield Header(show_clock=True)
        yield DataTable(id="queues", cursor_type="row", zebra_stripes=True)
        yield Static(id="problem", markup=False)
        with Horizontal(id="burials"):
            with Vertical(id="by-reason"):
                yield Static("Buried by reason", classes="title", markup=False)
                yield DataTable(id="reasons", cursor_type="none")
            with Vertical(id="latest"):
                yield Static("Latest burials", id="latest-title", classes="title", markup=False)
                yield DataTable(id="recent", cursor_type="none")
        with Vertical(id="workers-box"):
            yield Static("Workers on this host", classes="title", markup=False)
            yield DataTable(id="workers", cursor_type="none")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        for name, titles in cells.TITLES.items():
            self._table(name).add_columns(*titles)
        queues = self._table("queues")
        for url, watched in self.queues.items():
            queues.add_row(*cells.queue_row(watched), key=url)
            self.run_worker(watched.watch(self._interval, self._clock, self.show), group="queues")
        self.run_worker(self.host.watch(max(self._interval, 1.0), self._clock), group="workers")
        queues.focus()
        self.show()

    def show(self) -> None:
        """Show what is known by now."""
        if not self.query("#queues"):  # the screen is gone: it ends
            return
        queues = self._table("queues")
        for row, watched in enumerate(self.queues.values()):
            for column, cell in enumerate(cells.queue_row(watched)):
                queues.update_cell_at(Coordinate(row, column), cell, update_width=True)
        self._show_burials(self.chosen)
        self._fill("workers", cells.worker_rows(self.host))

    def _show_burials(self, watched: Watched) -> None:
        self.query_one("#problem", Static).update(printable(watched.error))
        self.query_one("#problem").display = bool(watched.error)
        self._fill("reasons", cells.reason_rows(watched))
        self._fill("recent", cells.burial_rows(watched, self._clock.now()))
        note = watched.note or ("" if watched.burials else _NO_BURIALS)
        title = f"Latest burials of {watched.url}" + (f" – {note}" if note else "")
        self.query_one("#latest-title", Static).update(printable(title))

    def _fill(self, name: str, rows: Sequence[Sequence[Text]]) -> None:
        table = self._table(name)
        table.clear()
        for row in rows:
            table.add_row(*row)

    def _table(self, name: str) -> Table:
        table: Table = self.query_one(f"#{name}", DataTable)
        return table

    @property
    def chosen(self) -> Watched:
        """The queue under the cursor."""
        return list(self.queues.values())[max(self._table("queues").cursor_row, 0)]

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show the burials of the queue that the cursor has reached."""
        if event.data_table.id == "queues":
            self._show_burials(self.chosen)

    def _fatal_error(self) -> None:
        """Leave in order: Textual would print the values of all variables, and what a producer wrote among them."""
        self.failure = sys.exc_info()[1]
        self.exit(return_code=1)

    @work
    async def action_look(self) -> None:
        """Look at once."""
        await self.chosen.look(self._clock)
        self.show()

    @work
    async def action_kick(self) -> None:
        """Put what is buried in the chosen queue back to work."""
        await self._repair(kick(self.chosen))

    @work
    async def action_pause(self) -> None:
        """Let nobody receive from the chosen queue, or everybody again."""
        await self._repair(pause(self.chosen, self.host))

    @work
    async def action_purge(self) -> None:
        """Remove what is in one state."""
        watched = self.chosen
        choices = purgeable(watched)
        if not choices:
            self.notify("there is nothing that could be removed")
            return
        state = await self.push_screen_wait(Choose(f"Remove which messages of {watched.url}?", choices))
        if state is not None:
            await self._repair(purge(watched, state))

    async def _repair(self, repair: Repair | str) -> None:
        """Ask, do it, and say what was done; a text says why there is nothing to be done."""
        if isinstance(repair, str):
            self.notify(printable(repair), markup=False)
            return
        if not await self.push_screen_wait(Confirm(repair.question)):
            return
        try:
            done = await repair.act()
        except PulpoError as error:
            self.notify(printable(str(error)), severity="error", markup=False)
        else:
            self.notify(printable(done), markup=False)
        self.action_look()


def run(top: Top, **options: Any) -> None:
    """Show it until the person has seen enough.

    Raises:
        Exception: whatever went wrong inside.
    """
    top.run(**options)
    if top.failure is not None:
        raise top.failure
