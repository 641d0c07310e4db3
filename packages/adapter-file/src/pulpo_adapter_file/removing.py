"""Removing a queue file with all that lies beside it: for files made to be thrown away."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from .settings import Settings
from .wakeup import directory_of

#: What SQLite and the lock lay beside a file, by what is added to its name; the file itself goes last.
_BESIDE: Final = ("-wal", "-shm", "-journal", ".lock", "")


async def remove(settings: Settings) -> None:
    """Remove the file that *settings* name, whatever is in it, and what lies beside it; nobody may have it open."""
    await asyncio.to_thread(_remove, settings.path)


def _remove(path: Path) -> None:
    shutil.rmtree(directory_of(path), ignore_errors=True)
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
