"""One transaction: what operations see of the file while they run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from .desk import Desk
from .timekeeping import Now


def bound(statement: str, values: tuple[Any, ...]) -> Any:
    """*values* as *statement* wants them: ``?1`` is a name to Python's module, ``?`` a place."""
    return {str(number): value for number, value in enumerate(values, 1)} if "?1" in statement else values


class Reading:
    """A look at the file at one instant."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._nows: dict[Desk, Now] = {}

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a question."""
        return self.connection.execute(statement, bound(statement, values)).fetchall()

    def row(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a question."""
        found: tuple[Any, ...] | None = self.connection.execute(statement, bound(statement, values)).fetchone()
        return found

    def one(self, statement: str, *values: Any) -> tuple[Any, ...]:
        """The row of a question that has exactly one."""
        [found] = self.rows(statement, *values)
        return found

    def now(self, desk: Desk) -> Now:
        """What time it is for *desk*: one reading for the whole transaction."""
        now = self._nows.get(desk)
        if now is None:
            now = self._nows[desk] = desk.time.read()
        return now

    def find_queue(self, desk: Desk) -> int | None:
        """The id of the desk's queue; `None` if the file does not hold it."""
        if desk.queue_id is None:
            found = self.row("SELECT id FROM queue WHERE name = ?", desk.settings.queue)
            if found is None:
                return None
            desk.queue_id = found[0]
        return desk.queue_id

    def need_queue(self, desk: Desk) -> int:
        """The id of the desk's queue.

        Raises:
            QueueNotFound: the file does not hold it; the text says which it does.
        """
        queue = self.find_queue(desk)
        if queue is None:
            raise desk.unknown_queue([name for (name,) in self.rows("SELECT name FROM queue ORDER BY name LIMIT 20")])
        return queue


class Transaction(Reading):
    """A change of the file: all of it or nothing.

    Attributes:
        stirred: the queues in which something became ready or will by itself: those who wait must look again.
        weight: about how many pages it adds to the log.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.stirred: set[int] = set()
        self.weight = 2
        self._made: dict[Desk, int] = {}
        self._next_id: int | None = None

    def change(self, statement: str, *values: Any) -> int:
        """Change rows; how many were."""
        count = self.connection.execute(statement, bound(statement, values)).rowcount
        self.weight += max(count, 0)
        return count

    def change_each(self, statement: str, values: list[tuple[Any, ...]]) -> int:
        """Change rows, once for each of *values*; how many were."""
        if not values:
            return 0
        self.weight += len(values)
        return self.connection.executemany(statement, values).rowcount

    def make_queue(self, desk: Desk) -> int:
        """The id of the desk's queue, which is made if the file does not hold it."""
        queue = self._made.get(desk) or self.find_queue(desk)
        if queue is None:
            self.change("INSERT INTO queue (name) VALUES (?) ON CONFLICT DO NOTHING", desk.settings.queue)
            [queue] = self.one("SELECT id FROM queue WHERE name = ?", desk.settings.queue)
            self._made[desk] = queue  # the desk learns it when this is committed
        return queue

    def take_ids(self, count: int) -> range:
        """*count* ids that were never given before."""
        if self._next_id is None:
            [self._next_id] = self.one("SELECT id FROM next_id")
        first = self._next_id
        self._next_id += count
        return range(first, self._next_id)

    def committed(self) -> None:
        """What was learned is true from now on."""
        for desk, queue in self._made.items():
            desk.queue_id = queue


def id_list(ids: Iterable[int]) -> str:
    """*ids* for ``json_each``: one statement for any number of rows."""
    return f"[{','.join(map(str, ids))}]"
