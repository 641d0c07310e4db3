"""What SQLite and the system say, and what it means."""

import errno
import sqlite3
from pathlib import Path

import pytest

from pulpo_adapter_file.errors import IN_DOUBT, SQLITE_ERRORS, is_damage, translate
from pulpo_core import AdapterError, ConfigurationError, MessageNotFound, PermissionDenied, QueueNotFound, Unavailable

PATH = Path("/var/spool/shop.db")


def of_sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param(sqlite3.SQLITE_FULL, Unavailable, id="a full disk may be emptied"),
        pytest.param(sqlite3.SQLITE_IOERR_WRITE, Unavailable, id="a quota may be raised"),
        pytest.param(sqlite3.SQLITE_IOERR_READ, Unavailable, id="a disk may recover"),
        pytest.param(sqlite3.SQLITE_BUSY, Unavailable, id="another program may let go"),
        pytest.param(sqlite3.SQLITE_CORRUPT, ConfigurationError, id="damage stays"),
        pytest.param(sqlite3.SQLITE_CORRUPT_INDEX, ConfigurationError, id="in an index too"),
        pytest.param(sqlite3.SQLITE_NOTADB, ConfigurationError, id="a text file stays one"),
        pytest.param(sqlite3.SQLITE_READONLY_DBMOVED, PermissionDenied, id="what is read-only needs a person"),
        pytest.param(sqlite3.SQLITE_CANTOPEN, PermissionDenied, id="what cannot be opened too"),
        pytest.param(sqlite3.SQLITE_ERROR, ConfigurationError, id="what is not understood is not repeated"),
    ],
)
def test_the_class_says_whether_waiting_helps(code: int, kind: type[Exception]) -> None:
    meaning = translate(of_sqlite(code), PATH)

    assert type(meaning) is kind
    assert str(PATH) in str(meaning)
    assert "\n" not in str(meaning)
    assert isinstance(meaning.__cause__, sqlite3.Error)


def test_a_file_that_can_be_opened_but_is_not_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()

    assert isinstance(translate(of_sqlite(sqlite3.SQLITE_CANTOPEN), path), Unavailable)


def test_a_commit_whose_flush_failed_is_in_doubt() -> None:
    in_doubt = {code: translate(of_sqlite(code), PATH) for code in (*SQLITE_ERRORS, *IN_DOUBT)}

    assert {code for code, error in in_doubt.items() if isinstance(error, AdapterError) and error.in_doubt} == IN_DOUBT


def test_only_damage_condemns_the_file() -> None:
    assert is_damage(of_sqlite(sqlite3.SQLITE_CORRUPT_VTAB))
    assert is_damage(of_sqlite(sqlite3.SQLITE_NOTADB))
    assert not is_damage(of_sqlite(sqlite3.SQLITE_FULL))
    assert not is_damage(OSError(errno.EIO, "Input/output error"))


def test_a_value_that_no_column_takes_is_the_fault_of_one_call() -> None:
    meaning = translate(sqlite3.InterfaceError("bad parameter"), PATH)

    assert type(meaning) is AdapterError
    assert not meaning.temporary


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, Unavailable),
        (errno.ENOENT, QueueNotFound),
        (errno.EROFS, PermissionDenied),
        (errno.ELOOP, Unavailable),
    ],
)
def test_errors_of_the_system_are_told_apart(number: int, kind: type[Exception]) -> None:
    assert type(translate(OSError(number, "what the system says"), PATH)) is kind


def test_every_caller_gets_an_exception_of_its_own() -> None:
    first = MessageNotFound("nothing by that id")

    second = translate(first, PATH)

    assert second is not first
    assert (type(second), str(second)) == (MessageNotFound, "nothing by that id")


def test_flags_survive_the_copy() -> None:
    second = translate(AdapterError("busy", temporary=True, in_doubt=True), PATH)

    assert isinstance(second, AdapterError)
    assert (second.temporary, second.in_doubt) == (True, True)
