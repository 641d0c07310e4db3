"""How a beanstalkd is set up: what `pulpo doctor` tells about it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, Final

import attrs

from pulpo_core import Clock, Diagnosis, Level

from .connection import Address, Dialer
from .errors import Doing, checked
from .link import Link
from .server import IN_MEMORY, LOGGED
from .settings import Settings

#: What beanstalkd takes unless it is told otherwise; less is a choice that somebody made.
_USUAL_SIZE: Final = 65_535


@attrs.frozen(kw_only=True)
class Seen:
    """What was asked.

    Attributes:
        server: the statistics of beanstalkd.
        tube: those of the tube; `None` while there is none.
        private: whether only this host can reach it.
    """

    settings: Settings
    server: Mapping[str, Any]
    tube: Mapping[str, Any] | None
    private: bool


async def examine(settings: Settings, clock: Clock) -> Sequence[Diagnosis]:  # noqa: ARG001 - beanstalkd tells no time
    """Everything worth knowing about the beanstalkd and the tube.

    Raises:
        Unavailable: it cannot be reached.
    """
    server, tube = await _ask(settings)
    seen = Seen(settings=settings, server=server, tube=tube, private=await _is_private(settings))
    return [diagnosis for check in _CHECKS for diagnosis in check(seen)]


async def _ask(settings: Settings) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    dialer = Dialer(
        address=Address(host=settings.host, port=settings.port, path=settings.socket),
        connect_timeout=settings.connect_timeout,
        timeout=settings.timeout,
    )
    link = Link(dialer, use="default")
    try:
        server, tube = await link.tell([methodcaller("stats"), methodcaller("stats_tube", settings.tube)])
    finally:
        await dialer.close()
    checked([server], Doing.LOOK)
    return server, tube if isinstance(tube, Mapping) else None


async def _is_private(settings: Settings) -> bool:
    if settings.socket:
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(settings.host, None, type=socket.SOCK_STREAM)
    except OSError:  # it was reached a moment ago
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def _server(seen: Seen) -> Iterator[Diagnosis]:
    if str(seen.server.get("draining", "false")) in {"true", "True"}:
        yield Diagnosis(
            check="server",
            level=Level.ERROR,
            found="it drains (SIGUSR1): every publish is refused",
            advice="restart it once it is empty",
        )
    else:
        yield Diagnosis(check="server", level=Level.OK, found=f"beanstalkd {_version(seen.server)}")


def _version(stats: Mapping[str, Any]) -> str:
    return str(stats.get("version", "of a version that it does not tell")).strip('"')


def _durability(seen: Seen) -> Iterator[Diagnosis]:
    if seen.server["binlog-current-index"]:
        yield Diagnosis(check="durability", level=Level.OK, found=f"survives {LOGGED}")
    else:
        found, _, advice = IN_MEMORY.partition("; ")
        yield Diagnosis(check="durability", level=Level.WARNING, found=f"survives {found}", advice=advice)


def _job_size(seen: Seen) -> Iterator[Diagnosis]:
    size = seen.server["max-job-size"]
    small = size < _USUAL_SIZE
    yield Diagnosis(
        check="job size",
        level=Level.WARNING if small else Level.OK,
        found=f"up to {size:,} bytes; larger messages are refused before they are sent",
        advice=f"start it with -z {_USUAL_SIZE} or more" if small else "",
    )


def _access(seen: Seen) -> Iterator[Diagnosis]:
    if seen.private:
        yield Diagnosis(check="access", level=Level.OK, found="from this host only")
    else:
        yield Diagnosis(
            check="access",
            level=Level.WARNING,
            found=f"over the network, at {seen.settings.host}: without passwords, and unencrypted",
            advice="let it listen on the loopback interface, or keep it in a network of its own",
        )


def _tube(seen: Seen) -> Iterator[Diagnosis]:
    if seen.tube is not None and seen.tube["pause-time-left"] > 0:
        yield Diagnosis(
            check="tube",
            level=Level.WARNING,
            found=f"paused for {seen.tube['pause-time-left']} s more: nothing is handed out",
            advice="pulpo resume --queue URL, if that is not meant",
        )


_CHECKS: Final[Sequence[Callable[[Seen], Iterator[Diagnosis]]]] = (_server, _durability, _job_size, _access, _tube)
