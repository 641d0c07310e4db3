"""Orders and stock in SQLite: the database is opened once, a session for each message."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

from .messages import Order

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, price INTEGER NOT NULL, left INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY, customer TEXT NOT NULL, total INTEGER NOT NULL);
INSERT OR IGNORE INTO stock VALUES ('lamp', 40, 100), ('desk', 250, 5), ('vase', 15, 0);
"""


class OutOfStockError(Exception):
    """There is not enough of something."""


class Session:
    """What one message does to the database; it is committed when the message is done, and else rolled back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def total_of(self, number: int) -> int | None:
        """What that order comes to, if it has been placed."""
        row = self._connection.execute("SELECT total FROM orders WHERE number = ?", [number]).fetchone()
        return row[0] if row else None

    def place(self, order: Order) -> int:
        """Take what is ordered from the stock; what it comes to.

        Raises:
            OutOfStockError: something is not there.
        """
        total = sum(self._take(item.sku, item.quantity) for item in order.items)
        self._connection.execute("INSERT INTO orders VALUES (?, ?, ?)", [order.number, order.customer, total])
        return total

    def _take(self, sku: str, quantity: int) -> int:
        row = self._connection.execute("SELECT price, left FROM stock WHERE sku = ?", [sku]).fetchone()
        if row is None or row[1] < quantity:
            raise OutOfStockError(sku)
        self._connection.execute("UPDATE stock SET left = left - ? WHERE sku = ?", [quantity, sku])
        return row[0] * quantity


class Database:
    """Opens sessions."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction. It may be entered, used and left in different threads, one after the other."""
        with closing(sqlite3.connect(self._path, check_same_thread=False, timeout=30)) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            yield Session(connection)

    def prepare(self) -> None:
        """Make the tables, with something in them to sell."""
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.executescript(_SCHEMA)


@asynccontextmanager
async def open_database(path: str) -> AsyncIterator[Database]:
    """The database of the shop, open as long as the worker runs."""
    database = Database(path)
    await asyncio.to_thread(database.prepare)
    yield database
