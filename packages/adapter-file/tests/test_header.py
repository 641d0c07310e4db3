"""Reading a queue file past SQLite does not take away the locks that SQLite has on it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pulpo_adapter_file.header import Header

OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN EXCLUSIVE")
except sqlite3.OperationalError as error:
    sys.exit(str(error))
"""


def another_process_gets_in(path: Path) -> bool:
    return subprocess.run([sys.executable, "-c", OTHER, path], capture_output=True, check=False).returncode == 0


@pytest.fixture
def database(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE thing (id)")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def test_closing_one_of_two_keeps_the_locks(path: Path) -> None:
    path.touch()
    first = Header(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE thing (id)")
    connection.execute("BEGIN EXCLUSIVE")

    Header(path).close()

    assert not another_process_gets_in(path)
    connection.close()
    first.close()
    assert another_process_gets_in(path)


def test_a_descriptor_that_is_closed_takes_them_away(path: Path, database: sqlite3.Connection) -> None:
    """The control, and why there is one descriptor for all."""
    path.open("rb").close()

    assert another_process_gets_in(path)
    database.close()


@pytest.mark.parametrize("page_size", [512, 4096, 65_536])
def test_a_file_that_was_cut_does_not_fit_its_header(path: Path, page_size: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute("CREATE TABLE thing (id)")
    connection.close()
    header, size = Header(path), path.stat().st_size

    assert header.fits(size)
    assert not header.fits(size - 1)
    assert not header.fits(0)
    header.close()


def test_nothing_fits_a_file_that_was_emptied(path: Path) -> None:
    path.touch()
    header = Header(path)

    assert not header.fits(0)
    header.close()
