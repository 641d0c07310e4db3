"""One table: what SQLite and the file system say, and what it means to the holder of a queue."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pulpo_core import (
    AdapterError,
    ConfigurationError,
    LeaseLost,
    MessageNotFound,
    PermissionDenied,
    PulpoError,
    QueueNotFound,
    Unavailable,
)

_NO_ROOM: Final = "there is no room for it on the disk; it goes on when there is"
_DISK: Final = "the disk does not do it"
_BUSY: Final = "another program holds it; stop whatever else has this file open"
_DAMAGED: Final = (
    "it is damaged; stop its workers and restore it, or save what can be saved with `sqlite3 FILE .recover`"
)
_FOREIGN: Final = "it is not a queue of pulpo, or its beginning was overwritten"
_READ_ONLY: Final = "it, or its file system, can only be read"

#: By SQLite's extended code where that matters, else by its primary code (the lower eight bits).
SQLITE_ERRORS: Final[Mapping[int, tuple[type[PulpoError], str]]] = {
    sqlite3.SQLITE_FULL: (Unavailable, _NO_ROOM),
    # Quotas and size limits of a process arrive as failed writes, full disks as SQLITE_FULL.
    sqlite3.SQLITE_IOERR_WRITE: (Unavailable, _NO_ROOM),
    sqlite3.SQLITE_IOERR: (Unavailable, _DISK),
    sqlite3.SQLITE_NOMEM: (Unavailable, "there is no memory for it"),
    sqlite3.SQLITE_BUSY: (Unavailable, _BUSY),
    sqlite3.SQLITE_LOCKED: (Unavailable, _BUSY),
    sqlite3.SQLITE_PROTOCOL: (Unavailable, _BUSY),
    sqlite3.SQLITE_CORRUPT: (ConfigurationError, _DAMAGED),
    sqlite3.SQLITE_NOTADB: (ConfigurationError, _FOREIGN),
    sqlite3.SQLITE_READONLY: (PermissionDenied, _READ_ONLY),
    sqlite3.SQLITE_CANTOPEN: (PermissionDenied, "it, or a file beside it, cannot be opened"),
    sqlite3.SQLITE_PERM: (PermissionDenied, "access to it is denied"),
    sqlite3.SQLITE_AUTH: (PermissionDenied, "access to it is denied"),
}

#: A commit whose flush failed may be on the disk all the same.
IN_DOUBT: Final = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})

OS_ERRORS: Final[Mapping[int, tuple[type[PulpoError], str]]] = {
    errno.ENOSPC: (Unavailable, _NO_ROOM),
    errno.EDQUOT: (Unavailable, _NO_ROOM),
    errno.EFBIG: (Unavailable, _NO_ROOM),
    errno.EIO: (Unavailable, _DISK),
    errno.EMFILE: (Unavailable, "this process has too many files open"),
    errno.ENFILE: (Unavailable, "this system has too many files open"),
    errno.ENOLCK: (Unavailable, "its file system has no locks left"),
    errno.ENOENT: (QueueNotFound, "it is gone"),
    errno.ENOTDIR: (QueueNotFound, "a part of its path is not a directory"),
    errno.EACCES: (PermissionDenied, "access to it is denied"),
    errno.EPERM: (PermissionDenied, "access to it is denied"),
    errno.EROFS: (PermissionDenied, _READ_ONLY),
}

#: The file is not what it was: nothing may be written to it any more.
DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

#: What SQLite says that the tables do not know, tables that are not there for example.
_REFUSED: Final = (ConfigurationError, "SQLite refuses")


def translate(error: Exception, path: Path) -> PulpoError:
    """What *error* means for the queue file at *path*; a `PulpoError` is returned as a new one like it."""
    if isinstance(error, PulpoError):
        return _again(error)
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, path)
    if isinstance(error, OSError):
        kind, meaning = OS_ERRORS.get(error.errno or 0, (Unavailable, "the system refuses"))
        return _made(kind, f"queue file {path}: {meaning} ({error.strerror or error})", error)
    return _made(AdapterError, f"queue file {path}: {type(error).__name__}", error)


def _of_sqlite(error: sqlite3.Error, path: Path) -> PulpoError:
    code = _code(error)
    if not code:  # from Python's module, not from SQLite: a value that no column takes
        return _made(AdapterError, f"queue file {path}: {error}", error)
    kind, meaning = SQLITE_ERRORS.get(code) or SQLITE_ERRORS.get(code & 0xFF) or _REFUSED
    if code & 0xFF == sqlite3.SQLITE_CANTOPEN and os.access(path, os.R_OK | os.W_OK):
        kind, meaning = OS_ERRORS[errno.EMFILE]  # nothing else is known to keep a file from being opened
    made = _made(kind, f"queue file {path}: {meaning} ({error})", error)
    if isinstance(made, AdapterError):
        made.in_doubt = code in IN_DOUBT
    return made


def _code(error: sqlite3.Error) -> int:
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code or 0


def is_damage(error: Exception) -> bool:
    """Whether *error* means that the file is damaged."""
    return isinstance(error, sqlite3.Error) and _code(error) & 0xFF in DAMAGE


def _made(kind: type[PulpoError], text: str, cause: Exception) -> PulpoError:
    made = kind(text)
    made.__cause__ = cause
    return made


def _again(error: PulpoError) -> PulpoError:
    """Another of the same: one exception raised in many tasks would collect the tracebacks of all."""
    made = type(error)(str(error))
    made.__cause__ = error.__cause__
    if isinstance(made, AdapterError) and isinstance(error, AdapterError):
        made.temporary, made.in_doubt = error.temporary, error.in_doubt
    return made


def lease_lost(name: object) -> LeaseLost:
    """The refusal of a receipt that holds nothing any more."""
    return LeaseLost(f"message {name} is no longer held by this delivery: its lease ended or it was settled otherwise")


def not_found(name: object) -> MessageNotFound:
    """Nothing by that id in this queue."""
    return MessageNotFound(f"there is no message {name} here")
