"""Reads the directory of files that pulpo-messaging keeps its queue in. Changes nothing there.

================================  =========================================  ==========================
file                              what it was                                what becomes of it
================================  =========================================  ==========================
``ID.message``                    waiting, or delayed                        ready, or delayed
``lock/ID.message.lock``          in the hands of a runner, perhaps a dead   ready, one attempt lost
``archive/failure/ID.message``    given up, for a reason that nobody noted   buried
``archive/success/ID.message``    handled                                    stays where it is, counted
================================  =========================================  ==========================

A file that is not a whole message (its writer was interrupted, or it is none at all) is reported
and stays where it is. Times without a zone are local time, as they were when they were written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, Envelope, Message, PulpoError, PulpoJson

from .codec import NewRow, encode
from .settings import MAX_BODY_BYTES
from .timekeeping import micros


class Place(StrEnum):
    """Where in the directory a file lies."""

    QUEUE = "queue"
    LOCK = "lock"
    FAILURE = "failure"


_FOLDERS: Final = {Place.QUEUE: "", Place.LOCK: "lock", Place.FAILURE: "archive/failure"}
_ENDINGS: Final = {Place.QUEUE: ".message", Place.LOCK: ".message.lock", Place.FAILURE: ".message"}
_SUCCESS: Final = "archive/success"

#: Ids are the second of publishing and a random part: no two messages ever have the same.
_ID: Final = re.compile(r"(\d+(?:\.\d+)?)-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@attrs.frozen
class Found:
    """A file that may hold a message."""

    path: Path
    place: Place

    @property
    def name(self) -> str:
        """Its name without what says where it is: the same wherever it is moved."""
        return self.path.name.removesuffix(".lock").removesuffix(".message")


@attrs.frozen
class Legacy:
    """A message of pulpo-messaging, as it will be stored.

    Attributes:
        source: which message of which queue this is, wherever its file lies: what was imported once is known by it.
        attempts: deliveries so far.
        since: microseconds; when it came to where it is.
    """

    found: Found
    source: str
    row: NewRow
    attempts: int
    since: int


@attrs.frozen
class Unreadable:
    """A file that was left in place, and why."""

    path: Path
    why: str


def is_legacy(directory: Path) -> bool:
    """Whether *directory* is, or may have been, one of pulpo-messaging."""
    return (
        any((directory / folder).is_dir() for folder in ("lock", "archive"))
        or next(directory.glob("*.message"), None) is not None
    )


def find(directory: Path) -> list[Found]:
    """Every file that may hold an unfinished message, the oldest first."""
    found = [Found(path, place) for place in Place for path in _files(directory / _FOLDERS[place], _ENDINGS[place])]
    return sorted(found, key=lambda each: each.name)


def count_finished(directory: Path) -> int:
    """How many messages were handled, and are kept."""
    return sum(1 for _ in _files(directory / _SUCCESS, ".message"))


def _files(folder: Path, ending: str) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if path.name.endswith(ending) and path.is_file())


def read(found: Found, *, now: datetime) -> Legacy | Unreadable | None:
    """The message in a file, or why there is none; `None` if the file is gone by now."""
    try:
        state = found.path.stat()
        if state.st_size > MAX_BODY_BYTES:
            return Unreadable(found.path, f"{state.st_size} bytes; a file queue takes at most {MAX_BODY_BYTES}")
        content = found.path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unreadable(found.path, error.strerror or type(error).__name__)
    moved = datetime.fromtimestamp(state.st_mtime, UTC)
    try:
        return _understood(found, content, now=now, moved=moved)
    except (PulpoError, ValueError, RecursionError) as error:
        return Unreadable(found.path, f"not a whole message: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _understood(found: Found, content: bytes, *, now: datetime, moved: datetime) -> Legacy:
    if not content.strip():
        raise ValueError("the file is empty")
    message = PulpoJson().translate(Envelope(body=content))
    envelope = _envelope(message, found, now=now, moved=moved)
    row = encode(attrs.evolve(envelope, group=None))
    if isinstance(row, AdapterError):
        raise row
    locked = found.place is Place.LOCK
    return Legacy(found, _source(found, content), row, message.attempts + locked, micros(moved))


def _envelope(message: Message, found: Found, *, now: datetime, moved: datetime) -> Envelope:
    known = {
        "uid": message.uid or f"pulpo-messaging:{found.name}",
        "published_at": message.header.get("published_at") or _published(found.name, moved).isoformat(),
        "legacy_id": found.name,
    }
    return PulpoJson().encode(attrs.evolve(message.resolved(now), id=None).with_header(**known))


def _published(name: str, moved: datetime) -> datetime:
    standard = _ID.fullmatch(name)
    try:
        return datetime.fromtimestamp(float(standard[1]), UTC) if standard else moved
    except (OverflowError, OSError, ValueError):
        return moved


def _source(found: Found, content: bytes) -> str:
    """The name alone where it is unique; else with the content, save for the count of attempts, which grows."""
    if _ID.fullmatch(found.name):
        return found.name
    document: dict[str, Any] = json.loads(content)
    header = document.get("header")
    if isinstance(header, dict):
        document["header"] = {key: value for key, value in header.items() if key != "attempts"}
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    return f"{found.name} {digest.hexdigest()}"
