"""What a ``file://`` URL says, as a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs

from pulpo_core import InvalidURL, QueueURL, duration, one_of, parse_url, read_parameters, whole_number

SCHEME: Final = "file"
EXAMPLE: Final = "file:///var/spool/shop.db?queue=mail"

MAX_QUEUE_NAME: Final = 200  # characters; names end up in tables of terminals and in datagrams

#: A body is written twice (log, then file) while every other process waits: beyond this it belongs into a file of
#: its own, named by the message.
MAX_BODY_BYTES: Final = 64 * 1024 * 1024

_SHORTEST_LEASE: Final = timedelta(milliseconds=10)  # below this a lease ends before a commit can be answered
_SHORTEST_TIMEOUT: Final = timedelta(milliseconds=100)  # a checkpoint of another process takes as long on a slow disk


class Durability(StrEnum):
    """What is on the disk before it is confirmed."""

    FULL = "full"
    PUBLISH = "publish"
    NORMAL = "normal"

    @property
    def promise(self) -> str:
        """What a confirmed operation survives, in one clause."""
        return _PROMISES[self]


_PROMISES: Final = {
    Durability.FULL: "power failure; every settlement too is on the disk before it is confirmed",
    Durability.PUBLISH: "power failure; the last settlements before it may be undone, so those messages come again",
    Durability.NORMAL: "the death of every process; a power failure may lose the messages of the last moments",
}


@attrs.frozen(kw_only=True, slots=True)
class Archive:
    """Which finished messages are kept.

    Attributes:
        age: for how long after they were acknowledged; `None` for any time.
        count: how many of each queue, the latest; `None` for any number.
    """

    age: timedelta | None = None
    count: int | None = None

    @classmethod
    def read(cls, text: str) -> Archive | None:
        """Read ``off``, a number of messages, or a duration with its unit.

        Raises:
            ValueError: it is none of these.
        """
        if text == "off":
            return None
        if text.isdecimal():
            return cls(count=_positive(int(text)))
        try:
            return cls(age=_positive(duration(text)))
        except ValueError:
            raise ValueError(f"{text!r} is not off, a number of messages (1000) or a time to keep them (7d)") from None


def _positive(value: Any) -> Any:
    if not value:
        raise ValueError("0 keeps nothing; write off")
    return value


@attrs.frozen(kw_only=True, slots=True)
class Settings:
    """What a ``file://`` URL says.

    Attributes:
        path: of the file; absolute.
        queue: which of the queues in the file.
        lease: how long a delivery is ours unless extended.
        durability: what is on the disk before it is confirmed: ``full``, ``publish`` or ``normal``.
        archive: which finished messages are kept: ``7d`` for so long, ``1000`` for the last so many of each queue.
        max_body: longest body that is published, in bytes; never more than `MAX_BODY_BYTES`.
        timeout: how long a call waits for other processes, or for the disk, before it is `Unavailable`.
    """

    url: str
    path: Path
    queue: str = "default"
    lease: timedelta = timedelta(seconds=30)
    durability: Durability = Durability.PUBLISH
    archive: Archive | None = None
    max_body: int = MAX_BODY_BYTES
    timeout: timedelta = timedelta(seconds=10)

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read *url*.

        Raises:
            InvalidURL: it is not ``file:///ABSOLUTE/PATH``, or a parameter is not understood.
        """
        parts = parse_url(url)
        return cls(url=url, path=_path(parts), **read_parameters(parts, _PARAMETERS))


def _path(url: QueueURL) -> Path:
    if url.scheme != SCHEME:
        raise InvalidURL(f"{url.text!r} is not a {SCHEME} URL; expected for example {EXAMPLE}")
    if url.netloc not in {"", "localhost"}:
        raise InvalidURL(
            f"{url.text!r}: {url.netloc!r} stands where a host would; a path begins with a third slash, "
            f"for example {EXAMPLE}"
        )
    if not url.path.strip("/") or url.path.endswith("/") or "\0" in url.path:
        raise InvalidURL(f"{url.text!r} does not name a file; expected for example {EXAMPLE}")
    if url.path.startswith("/~"):
        raise InvalidURL(f"{url.text!r}: '~' is not expanded; write the path of the home directory out")
    return Path(url.path)


def _queue_name(text: str) -> str:
    if not text or len(text) > MAX_QUEUE_NAME or not text.isprintable() or text != text.strip():
        raise ValueError(f"{text!r:.60} is not a queue name: 1 to {MAX_QUEUE_NAME} printable characters")
    return text


def _at_least(shortest: timedelta) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        span = duration(text)
        if span < shortest:
            raise ValueError(f"{text!r} is shorter than {shortest.total_seconds():g}s")
        return span

    return read


def _durability(text: str) -> Durability:
    return Durability(one_of(*Durability)(text))


_PARAMETERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "queue": _queue_name,
    "lease": _at_least(_SHORTEST_LEASE),
    "durability": _durability,
    "archive": Archive.read,
    "max_body": whole_number(1, MAX_BODY_BYTES),
    "timeout": _at_least(_SHORTEST_TIMEOUT),
}
