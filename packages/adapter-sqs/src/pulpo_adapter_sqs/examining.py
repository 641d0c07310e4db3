"""How queues of SQS are set up: what `pulpo doctor` tells about them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from pulpo_core import AdapterError, Clock, ConfigurationError, Diagnosis, Level, PermissionDenied, Usage

from .background import background
from .channel import Channel
from .client import Client, open_client
from .graveyard import Graveyard
from .settings import Settings
from .source import Source, find, read_attributes

#: AWS refuses requests that are signed five minutes off; long before that, delays and ages are wrong.
_SKEW: Final = timedelta(seconds=30)


@attrs.frozen(kw_only=True)
class Seen:
    """What was asked about one queue.

    Attributes:
        attributes: of the queue, as AWS tells them.
        grave: where its messages are buried, and the attributes of that queue; `None` where nothing is known.
        refusal: why it cannot be consumed from, if so.
    """

    usage: Usage
    source: Source
    attributes: Mapping[str, str]
    grave: Source | None
    grave_attributes: Mapping[str, str]
    refusal: Exception | None

    @property
    def retention(self) -> timedelta:
        """For how long the queue keeps a message."""
        return _retention(self.attributes)


def _retention(attributes: Mapping[str, str]) -> timedelta:
    return timedelta(seconds=int(attributes.get("MessageRetentionPeriod", 345_600)))


async def examine(settings: Settings, usage: Usage, clock: Clock) -> Sequence[Diagnosis]:
    """Everything worth knowing about the queues that *settings* name.

    Raises:
        ConfigurationError: one is not there, or may not be looked at at all.
        Unavailable: SQS does not answer.
    """
    found: list[Diagnosis] = []
    async with open_client("sqs", settings.endpoint) as client, background() as tasks:
        graveyard = Graveyard(client, tasks, settings.dlq)
        for address in settings.addresses:
            channel = Channel(client, await find(client, address), tasks)
            seen = await _see(channel, graveyard, usage)
            found += [diagnosis for check in _CHECKS for diagnosis in check(seen)]
            found += await _clock(client, seen.source, clock)
        found += _transport(client)
    return found


async def _see(channel: Channel, graveyard: Graveyard, usage: Usage) -> Seen:
    client, source = channel.client, channel.source
    refusal = await _refusal(graveyard, channel) if usage.consumes else None
    grave = await _grave(graveyard, channel) if usage.consumes else None
    return Seen(
        usage=usage,
        source=source,
        attributes=await _attributes(client, source),
        grave=grave,
        grave_attributes=await _attributes(client, grave) if grave else {},
        refusal=refusal,
    )


async def _refusal(graveyard: Graveyard, channel: Channel) -> Exception | None:
    try:
        await graveyard.check([channel])
    except (ConfigurationError, AdapterError) as error:
        return error
    return None


async def _grave(graveyard: Graveyard, channel: Channel) -> Source | None:
    try:
        return (await graveyard.of(channel)).source
    except (ConfigurationError, AdapterError):  # `_refusal` has it
        return None


async def _attributes(client: Client, source: Source) -> Mapping[str, str]:
    try:
        return await read_attributes(client, name=source.name, url=source.url)
    except PermissionDenied:
        return {}


# ------------------------------------------------------------------------------------------------------------ checks


def _queue(seen: Seen) -> Iterator[Diagnosis]:
    kind = "FIFO" if seen.source.fifo else "standard"
    yield Diagnosis(check="queue", level=Level.OK, found=f"{seen.source.arn}, {kind}")


def _permissions(seen: Seen) -> Iterator[Diagnosis]:
    if not seen.usage.consumes:
        return
    if seen.refusal is None:
        buried = f"; buried in {seen.grave.name}" if seen.grave else ""
        yield Diagnosis(check="permissions", level=Level.OK, found=f"to receive, settle and bury{buried}")
        return
    denied = isinstance(seen.refusal, PermissionDenied)
    yield Diagnosis(
        check="permissions" if denied else "burial",
        level=Level.ERROR,
        found=str(seen.refusal),
        advice="give these credentials the permission that is named" if denied else "pulpo queue create --queue URL",
    )


def _redrive(seen: Seen) -> Iterator[Diagnosis]:
    receives, attempts = seen.source.max_receives, seen.usage.max_attempts
    if not seen.usage.consumes:
        return
    if receives is None:
        yield Diagnosis(check="redrive", level=Level.OK, found="AWS sets nothing aside by itself")
    elif attempts is not None and receives <= attempts:
        yield Diagnosis(
            check="redrive",
            level=Level.WARNING,
            found=f"AWS sets a message aside after {receives} receives, and {attempts} attempts are allowed: what was"
            " only handed back counts too, and no reason is kept",
            advice=f"raise maxReceiveCount of {seen.source.name} well above {attempts}",
        )
    else:
        yield Diagnosis(check="redrive", level=Level.OK, found=f"AWS sets a message aside after {receives} receives")


def _retentions(seen: Seen) -> Iterator[Diagnosis]:
    if not seen.attributes:
        yield Diagnosis(
            check="retention",
            level=Level.WARNING,
            found="not told: sqs:GetQueueAttributes is not permitted",
            advice="permit it",
        )
        return
    horizon, days = seen.usage.horizon, _days(seen.retention)
    if not seen.usage.consumes or (horizon is not None and horizon < seen.retention):
        yield Diagnosis(check="retention", level=Level.OK, found=days)
        return
    longest = "without end" if horizon is None else f"for {_days(horizon)}"
    yield Diagnosis(
        check="retention",
        level=Level.WARNING if horizon is None else Level.ERROR,
        found=f"{days}, but a message may be retried {longest}: AWS deletes it before it is buried",
        advice="raise MessageRetentionPeriod (14 days at most), or lower max_attempts, cap or max_age",
    )


def _grave_retention(seen: Seen) -> Iterator[Diagnosis]:
    if seen.grave is None or not seen.grave_attributes:
        return
    kept = _retention(seen.grave_attributes)
    short = kept < seen.retention or (seen.source.max_receives is not None and kept == seen.retention)
    yield Diagnosis(
        check="retention of what is buried",
        level=Level.WARNING if short and seen.attributes else Level.OK,
        found=f"{_days(kept)} in {seen.grave.name}",
        advice=f"raise it above that of {seen.source.name}: what AWS sets aside keeps its age" if short else "",
    )


def _days(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:.3g} d" if days >= 1 else f"{span / timedelta(minutes=1):.3g} min"


def _transport(client: Client) -> Iterator[Diagnosis]:
    parts = urlsplit(client.url)
    if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
        yield Diagnosis(check="access", level=Level.OK, found=f"{parts.scheme}://{parts.netloc}")
    else:
        yield Diagnosis(
            check="access",
            level=Level.WARNING,
            found=f"{parts.scheme}://{parts.netloc}, unencrypted",
            advice="use https in endpoint_url",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _clock(client: Client, source: Source, clock: Clock) -> Sequence[Diagnosis]:
    wanted = {"QueueUrl": source.url, "AttributeNames": ["QueueArn"]}
    try:
        answer = await client.call("GetQueueAttributes", f"queue {source.name!r}", wanted)
    except (PermissionDenied, AdapterError):
        return []
    return clock_skew(answer, clock.now())


def clock_skew(answer: Mapping[str, Any], now: datetime) -> Sequence[Diagnosis]:
    """What the date of an *answer* says about this host's clock."""
    text = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        off = abs(now - parsedate_to_datetime(text))
    except (TypeError, ValueError):  # also of a date that does not say in which time zone it is
        return []
    if off <= _SKEW:
        return [Diagnosis(check="clock", level=Level.OK, found="as that of SQS")]
    return [
        Diagnosis(
            check="clock",
            level=Level.ERROR,
            found=f"{off.total_seconds():.0f} s off that of SQS, which refuses requests from 5 min on",
            advice="let this host's clock be set over the network",
        )
    ]


_CHECKS: Final[Sequence[Callable[[Seen], Iterator[Diagnosis]]]] = (
    _queue,
    _permissions,
    _redrive,
    _retentions,
    _grave_retention,
)
