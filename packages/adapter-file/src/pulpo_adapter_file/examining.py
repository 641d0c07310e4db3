"""How a queue file is set up: what `pulpo doctor` tells about it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pulpo_core import Diagnosis, Level

from .filesystem import DOUBTFUL, mount_of
from .settings import Durability, Settings

#: Before it, several processes that write and checkpoint could damage a file in WAL mode.
_MENDED: Final = (3, 51, 3)

#: Less room than that is soon full: the log alone may grow to a part of it.
_LITTLE_ROOM: Final = 200 * 1024 * 1024


def examine(settings: Settings) -> Sequence[Diagnosis]:
    """Everything worth knowing about the file. Reads the file system alone, and blocks for as long as that takes."""
    return [diagnosis for check in _CHECKS for diagnosis in check(settings)]


def _file(settings: Settings) -> Iterator[Diagnosis]:
    path = settings.path
    if not path.exists():
        yield Diagnosis(check="file", level=Level.OK, found=f"{path} is made when it is first published to")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o006:
        yield Diagnosis(
            check="file",
            level=Level.WARNING,
            found=f"{path} can be opened by everybody on this host (mode {mode:04o})",
            advice=f"chmod o= {path}, if its messages are not for everybody",
        )
    else:
        yield Diagnosis(check="file", level=Level.OK, found=f"{path}, mode {mode:04o}")


def _file_system(settings: Settings) -> Iterator[Diagnosis]:
    """Network file systems are refused when the queue is opened, and so never come here."""
    kind = mount_of(settings.path)
    if kind is not None and (kind in DOUBTFUL or kind.startswith("fuse.")):
        yield Diagnosis(
            check="file system",
            level=Level.WARNING,
            found=f"{kind}, which may be shared with other hosts",
            advice="use it from one host only, or put the file on a local disk",
        )
    else:
        yield Diagnosis(check="file system", level=Level.OK, found=kind or "not told by this system")


def _room(settings: Settings) -> Iterator[Diagnosis]:
    room = _free_bytes(settings.path.parent)
    level = Level.OK if room >= _LITTLE_ROOM else Level.WARNING
    advice = "" if level is Level.OK else "make room: a full disk stops publishing, though it loses nothing"
    yield Diagnosis(check="free space", level=level, found=f"{room / 1024**2:,.0f} MiB", advice=advice)


def _free_bytes(folder: Path) -> int:
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


def _sqlite(_: Settings) -> Iterator[Diagnosis]:
    found = f"{sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _MENDED:
        found += "; it could damage a file that others checkpoint meanwhile, so pulpo does that under a lock of its own"
        yield Diagnosis(
            check="SQLite",
            level=Level.OK,
            found=found,
            advice="while workers run, let no tool but pulpo write to the file",
        )
    else:
        yield Diagnosis(check="SQLite", level=Level.OK, found=found)


def _durability(settings: Settings) -> Iterator[Diagnosis]:
    weak = settings.durability is Durability.NORMAL
    yield Diagnosis(
        check="durability",
        level=Level.WARNING if weak else Level.OK,
        found=f"{settings.durability}: survives {settings.durability.promise}",
        advice="leave durability= out of the URL, unless that loss is meant" if weak else "",
    )


_CHECKS: Final[Sequence[Callable[[Settings], Iterator[Diagnosis]]]] = (
    _file,
    _file_system,
    _room,
    _sqlite,
    _durability,
)
