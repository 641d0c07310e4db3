"""What a ``beanstalkd://`` URL says, as a value.

``beanstalkd://host:11300/tube?ttr=60s``, ``beanstalkd://[::1]/tube``, or, through a unix socket,
``beanstalkd:///run/beanstalkd.sock?tube=tube``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from pulpo_core import InvalidURL, QueueURL, duration, one_of, parse_url, read_parameters, whole_number

from .codec import MAX_SECONDS, check_tube

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
    if not parts.host or "@" in parts.netloc or parts.port == 0:
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
