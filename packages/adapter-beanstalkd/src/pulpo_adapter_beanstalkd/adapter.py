"""From a ``beanstalkd://`` URL to an open tube.

``beanstalkd://host:11300/tube?ttr=60s``, ``beanstalkd://[::1]/tube``, or, through a unix socket,
``beanstalkd:///run/beanstalkd.sock?tube=tube``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from pulpo_core import (
    Clock,
    Diagnosis,
    InvalidURL,
    Jitter,
    Queue,
    QueueURL,
    SystemClock,
    SystemJitter,
    Unsupported,
    Usage,
    duration,
    one_of,
    parse_url,
    read_parameters,
    whole_number,
)

from .codec import MAX_SECONDS, check_tube
from .server import CAPABILITIES

SCHEME: Final = "beanstalkd"
DEFAULT_PORT: Final = 11_300


def _ttr(text: str) -> int:
    seconds = duration(text) / timedelta(seconds=1)
    if seconds != int(seconds) or not 1 <= seconds <= MAX_SECONDS:
        raise ValueError(f"{text!r} is not a time to run; beanstalkd counts whole seconds from 1 to {MAX_SECONDS}")
    return int(seconds)


def _limit(text: str) -> float:
    seconds = duration(text) / timedelta(seconds=1)
    if not seconds:
        raise ValueError("a time limit must be longer than 0")
    return seconds


_PARAMETERS: Final = {
    "tube": check_tube,
    "ttr": _ttr,
    "timeout": _limit,
    "connect_timeout": _limit,
    "connections": whole_number(1, 10_000),
    "attempts": one_of("smart", "always"),
}


@attrs.frozen(kw_only=True)
class Settings:
    """What a ``beanstalkd://`` URL says.

    Attributes:
        host, port: where it listens; empty for a unix socket.
        socket: the path of the unix socket, if it is one.
        ttr: the time to run given to jobs at publish, and the lease told for those received, in seconds.
        timeout: seconds within which beanstalkd must answer.
        connect_timeout: seconds within which a connection must be there.
        connections: how many may have jobs in hand at once.
        attempts: ask for the statistics of every job (always), or of those that may not be new (smart).
    """

    url: str
    tube: str
    host: str = ""
    port: int = 0
    socket: str = ""
    ttr: int = 60
    timeout: float = 10.0
    connect_timeout: float = 5.0
    connections: int = 64
    attempts: str = "smart"

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read *url*.

        Raises:
            InvalidURL: it does not name a tube of a beanstalkd, or a parameter is not understood.
        """
        parts = parse_url(url)
        given = read_parameters(parts, _PARAMETERS)
        if parts.scheme == SCHEME and parts.netloc:
            return cls(url=url, **_over_tcp(parts, given))
        if parts.scheme == SCHEME and parts.path.strip("/"):
            return cls(url=url, **_over_unix_socket(parts, given))
        raise InvalidURL(
            f"{url!r} does not name a beanstalkd; expected {SCHEME}://host:{DEFAULT_PORT}/tube,"
            f" or {SCHEME}:///path/of/socket?tube=tube"
        )


def _over_tcp(parts: QueueURL, given: dict[str, Any]) -> dict[str, Any]:
    tube = parts.path.removeprefix("/")
    if not parts.host or "@" in parts.netloc:
        raise InvalidURL(f"{parts.text!r}: expected a host and perhaps a port, not {parts.netloc!r}")
    if "tube" in given or not tube:
        raise InvalidURL(f"{parts.text!r}: name the tube once, as the path: {SCHEME}://{parts.netloc}/tube")
    try:
        check_tube(tube)
    except ValueError as error:
        raise InvalidURL(f"{parts.text!r}: {error}") from error
    return given | {"host": parts.host, "port": parts.port or DEFAULT_PORT, "tube": tube}


def _over_unix_socket(parts: QueueURL, given: dict[str, Any]) -> dict[str, Any]:
    if "tube" not in given:
        raise InvalidURL(f"{parts.text!r}: name the tube: {SCHEME}://{parts.path}?tube=tube")
    return given | {"socket": parts.path}


def scratch_url(settings: Settings, name: str) -> str:
    """The URL of a tube called after *name* at the beanstalkd of *settings*."""
    tube = f"{settings.tube[:100]}.{name}"
    limits = {"ttr": "2s", "timeout": f"{settings.timeout:g}", "connect_timeout": f"{settings.connect_timeout:g}"}
    if settings.socket:
        return f"{SCHEME}://{quote(settings.socket)}?{urlencode({'tube': tube, **limits})}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{SCHEME}://{host}:{settings.port}/{quote(tube)}?{urlencode(limits)}"


class BeanstalkdAdapter:
    """Tubes of beanstalkd: priority, delay, time to run, bury and kick are its own."""

    scheme = SCHEME
    capabilities = CAPABILITIES
    own_clock = True

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:
        """The tube that *url* names. A tube is there as soon as it is named, and gone when nothing is in it."""
        return _opened(Settings.of(url), clock, jitter)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:  # noqa: ARG002 - the port's
        """Always `Unsupported`: a tube is there as soon as it is named."""
        settings = Settings.of(url)
        raise Unsupported(f"tube {settings.tube} needs no creating: it is there as soon as something is put into it")

    def scratch_url(self, url: str, name: str) -> str:
        """A tube of its own at the same beanstalkd, whose jobs have a time to run of 2 s."""
        return scratch_url(Settings.of(url), name)

    async def remove(self, url: str) -> None:
        """Delete every job of the tube and every record of a burial; a tube without jobs is gone."""
        from .removing import remove  # noqa: PLC0415 - asyncio and all that: only who tries a contract needs it

        clock = SystemClock()
        async with self.open(url, clock=clock, jitter=SystemJitter()) as queue:
            await remove(queue, clock)

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:  # noqa: ARG002 - the port's
        """See `pulpo_core.Examiner`."""
        from .examining import examine  # noqa: PLC0415 - as below

        return await examine(Settings.of(url), clock)


@asynccontextmanager
async def _opened(settings: Settings, clock: Clock, jitter: Jitter) -> AsyncIterator[Queue]:
    from .assembly import assemble  # noqa: PLC0415 - greenstalk is loaded when a queue is opened

    queue, publisher = assemble(settings, clock, jitter)
    try:
        await publisher.open()
        yield queue
    finally:
        await queue.close()
