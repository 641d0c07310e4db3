"""What an ``sqs://`` URL says, as a value.

URLs. ``sqs://orders?region=eu-west-1`` names a queue, ``sqs://high,normal,low`` several in the
order in which they are read, ``sqs://arn:aws:sqs:eu-west-1:123456789012:orders`` a queue by its
ARN and ``sqs://?url=https://sqs.eu-west-1.amazonaws.com/123456789012/orders`` one by its URL.

==============  ===============  ==================================================================
parameter       unless given     meaning
==============  ===============  ==================================================================
region          as AWS says      where the queue is
profile         as AWS says      a profile of the AWS configuration files; credentials never stand here
account         the caller's     whose queue it is
endpoint_url    AWS's            another server that speaks SQS
visibility      30s              how long a delivery is ours unless extended: 3 s to 12 h
wait            10s              longest wait of one receive, up to 20 s
dlq             see `graveyard`  where a queue without a redrive policy buries, by name or ARN
long_delay      off              ``hop``: delays over 900 s are carried on by the consumers
bands           65536,65537      of several queues, the first priority of each but the first
lower_every     20               of several queues, every N-th look is at a lower one; 0 for never
timeout         10s              how long an answer of AWS may take
==============  ===============  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from pulpo_core import (
    DEFAULT_PRIORITY,
    LAST_PRIORITY,
    InvalidURL,
    QueueURL,
    duration,
    one_of,
    parse_url,
    read_parameters,
    whole_number,
)

from .address import Address, parse_address
from .client import Endpoint
from .removing import scratch_name

SCHEME: Final = "sqs"

_HOP: Final = "hop"


def _whole_seconds(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        span = duration(text)
        seconds = int(span.total_seconds())
        if span != timedelta(seconds=seconds) or not lowest <= seconds <= highest:
            raise ValueError(f"{text!r} is not a number of whole seconds from {lowest} to {highest}")
        return seconds

    return read


def _bands(text: str) -> tuple[int, ...]:
    read = whole_number(1, LAST_PRIORITY)
    bounds = tuple(read(part) for part in text.split(","))
    if list(bounds) != sorted(set(bounds)):
        raise ValueError(f"{text!r} does not rise")
    return bounds


def _positive(text: str) -> timedelta:
    span = duration(text)
    if not span:
        raise ValueError("must be more than 0")
    return span


_PARAMETERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "url": parse_address,
    "region": str,
    "profile": str,
    "account": str,
    "endpoint_url": str,
    "visibility": _whole_seconds(3, 43_200),
    "wait": _whole_seconds(0, 20),
    "dlq": parse_address,
    "long_delay": one_of(_HOP, "off"),
    "bands": _bands,
    "lower_every": whole_number(),
    "timeout": _positive,
}

#: Where the bands begin of two and of three queues: the default priority is the last of two, the middle of three.
_BANDS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (),
    2: (DEFAULT_PRIORITY,),
    3: (DEFAULT_PRIORITY, DEFAULT_PRIORITY + 1),
}


@attrs.frozen(kw_only=True, slots=True)
class Settings:
    """What an ``sqs://`` URL says.

    Attributes:
        addresses: the queues, the first to be read first.
        bounds: the first priority of each queue but the first.
    """

    url: str
    addresses: Sequence[Address]
    endpoint: Endpoint
    visibility: int = 30
    wait: int = 10
    dlq: Address | None = None
    hops: bool = False
    bounds: Sequence[int] = ()
    lower_every: int = 20

    @classmethod
    def of(cls, url: str) -> Settings:
        """Read *url*.

        Raises:
            InvalidURL: it is no URL of a queue; the text names what is wrong with it.
        """
        parts = parse_url(_written_out(url))
        read = read_parameters(parts, _PARAMETERS)
        addresses = _addresses(parts, read)
        return cls(
            url=parts.text,
            addresses=addresses,
            endpoint=_endpoint(parts, read, addresses),
            dlq=read.get("dlq"),
            hops=read.get("long_delay") == _HOP,
            bounds=_bounds(parts, read, len(addresses)),
            **{name: read[name] for name in ("visibility", "wait", "lower_every") if name in read},
        )


def _written_out(text: str) -> str:
    """*text* with the colons of an ARN, which would be taken for that of a port, in another form."""
    scheme, _, rest = text.partition("://")
    if not rest.startswith("arn:"):
        return text
    names, mark, query = rest.partition("?")
    return f"{scheme}://{names.replace(':', '%3A')}{mark}{query}"


def _addresses(url: QueueURL, read: Mapping[str, Any]) -> list[Address]:
    if url.path.strip("/"):
        raise InvalidURL(
            f"{url.text!r}: nothing may follow the name of a queue; a queue by its URL is sqs://?url=https://…"
        )
    if bool(url.netloc) == ("url" in read):
        raise InvalidURL(f"{url.text!r}: name the queue as sqs://NAME, as sqs://arn:… or as sqs://?url=https://…")
    try:
        addresses = [read["url"]] if "url" in read else [parse_address(name) for name in url.netloc.split(",")]
    except ValueError as error:
        raise InvalidURL(f"{url.text!r}: {error}") from error
    if len({address.name for address in addresses}) < len(addresses):
        raise InvalidURL(f"{url.text!r}: a queue is named twice")
    account = read.get("account")
    return [attrs.evolve(address, account=address.account or account) for address in addresses]


def _endpoint(url: QueueURL, read: Mapping[str, Any], addresses: Sequence[Address]) -> Endpoint:
    mentioned = [*addresses, read["dlq"]] if "dlq" in read else addresses
    regions = {address.region for address in mentioned if address.region} | (
        {read["region"]} if "region" in read else set()
    )
    if len(regions) > 1:
        raise InvalidURL(f"{url.text!r}: one region for everything, not {', '.join(sorted(regions))}")
    return Endpoint(
        region=next(iter(regions), None),
        url=read.get("endpoint_url") or addresses[0].endpoint,
        profile=read.get("profile"),
        **({"timeout": read["timeout"]} if "timeout" in read else {}),
    )


def _bounds(url: QueueURL, read: Mapping[str, Any], queues: int) -> tuple[int, ...]:
    bounds: tuple[int, ...] | None = read["bands"] if "bands" in read else _BANDS.get(queues)
    if bounds is None or len(bounds) != queues - 1:
        raise InvalidURL(
            f"{url.text!r}: {queues} queues need bands= with {queues - 1} priorities, the first of each but the first"
        )
    return bounds


def scratch_url(settings: Settings, name: str) -> str:
    """The URL of a queue called after the first queue of *settings* and *name*, at the same endpoint."""
    endpoint = settings.endpoint
    parameters = {
        "region": endpoint.region,
        "profile": endpoint.profile,
        "endpoint_url": endpoint.url,
        "timeout": f"{endpoint.timeout.total_seconds():g}",
        "wait": str(settings.wait),
        "visibility": "3s",
        "long_delay": _HOP if settings.hops else None,
    }
    query = urlencode({key: value for key, value in parameters.items() if value is not None})
    return f"{SCHEME}://{scratch_name(settings.addresses[0], name)}?{query}"
