"""The adapter: from a URL to an open queue.

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

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from pulpo_core import (
    DEFAULT_PRIORITY,
    LAST_PRIORITY,
    Capabilities,
    Clock,
    Diagnosis,
    InvalidURL,
    Jitter,
    Order,
    QueueURL,
    Usage,
    duration,
    one_of,
    parse_url,
    read_parameters,
    whole_number,
)

from .address import Address, parse_address
from .admission import Admission
from .background import Background, background
from .batching import MAX_BATCH
from .channel import LINGER, Channel
from .client import Endpoint, open_client
from .codec import max_body_bytes
from .copies import MAX_DELAY
from .creating import create
from .examining import examine
from .extending import Extensions
from .graveyard import Graveyard
from .hops import Hops
from .inspector import SqsInspector
from .polling import Intake
from .provider import SqsProvider
from .publisher import SqsPublisher
from .queue import SqsQueue
from .removing import remove, scratch_name
from .settling import Settlements
from .source import Source, find

_HOP: Final = "hop"
_MAX_HOLD: Final = timedelta(hours=12)

#: Giving back, redriving and looking all raise the receive counter of SQS; see `Capabilities.attempt_slack`.
_ATTEMPT_SLACK: Final = 10

#: What queues of SQS promise at best; `capabilities_of` says what one promises.
_AT_BEST: Final = Capabilities(
    order=Order.GROUP,
    priority=True,
    groups=True,
    max_delay=None,
    max_retry_delay=None,
    granularity=timedelta(seconds=1),
    lease=timedelta(seconds=30),
    max_hold=_MAX_HOLD,
    exact_attempts=False,
    attempt_slack=_ATTEMPT_SLACK,
    max_body_bytes=1_048_576,
    max_batch=MAX_BATCH,
    max_wait=timedelta(seconds=20),
    prompt_interrupt=False,
    peek=frozenset(),
    purge_states=frozenset({"ready", "buried"}),
    late_ack=True,
    durability="the loss of a data centre, for as long as the retention of the queue",
)


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
class SqsSettings:
    """What a URL says.

    Attributes:
        addresses: the queues, the first to be read first.
        bounds: the first priority of each queue but the first.
    """

    text: str
    addresses: Sequence[Address]
    endpoint: Endpoint
    visibility: int = 30
    wait: int = 10
    dlq: Address | None = None
    hops: bool = False
    bounds: Sequence[int] = ()
    lower_every: int = 20


def read_url(text: str) -> SqsSettings:
    """What *text* says.

    Raises:
        InvalidURL: it is no URL of a queue; the text names what is wrong with it.
    """
    scheme, _, rest = text.partition("://")
    if rest.startswith("arn:"):  # its colons would be taken for that of a port
        names, mark, query = rest.partition("?")
        text = f"{scheme}://{names.replace(':', '%3A')}{mark}{query}"
    url = parse_url(text)
    read = read_parameters(url, _PARAMETERS)
    addresses = _addresses(url, read)
    return SqsSettings(
        text=url.text,
        addresses=addresses,
        endpoint=_endpoint(url, read, addresses),
        dlq=read.get("dlq"),
        hops=read.get("long_delay") == _HOP,
        bounds=_bounds(url, read, len(addresses)),
        **{name: read[name] for name in ("visibility", "wait", "lower_every") if name in read},
    )


def scratch_url(settings: SqsSettings, name: str) -> str:
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
    return f"sqs://{scratch_name(settings.addresses[0], name)}?{query}"


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


def capabilities_of(settings: SqsSettings, sources: Sequence[Source]) -> Capabilities:
    """What the queue that *settings* name promises, in which only the weakest of *sources* counts."""
    fifo = any(source.fifo for source in sources)
    limits = [source.max_receives for source in sources if source.max_receives]
    return attrs.evolve(
        _AT_BEST,
        order=Order.GROUP if all(source.fifo for source in sources) else Order.NONE,
        groups=fifo,
        priority=len(sources) > 1,
        max_delay=timedelta() if fifo else None if settings.hops else MAX_DELAY,
        max_retry_delay=None if settings.hops and not fifo else _MAX_HOLD,
        lease=timedelta(seconds=settings.visibility),
        max_receives=min(limits, default=None),
        max_body_bytes=min(max_body_bytes(source) for source in sources),
        max_wait=timedelta(seconds=settings.wait),
        late_ack=not fifo,
    )


def _provider(
    settings: SqsSettings,
    channels: Sequence[Channel],
    graveyard: Graveyard,
    hops: Hops,
    clock: Clock,
    tasks: Background,
) -> SqsProvider:
    intake = Intake(
        channels,
        clock=clock,
        tasks=tasks,
        visibility=settings.visibility,
        lower_every=settings.lower_every,
        admit=Admission(settings.visibility, hops),
    )
    settlements = Settlements(clock=clock, tasks=tasks, graveyard=graveyard, hops=hops, long_delays=settings.hops)
    extensions = Extensions(clock=clock, tasks=tasks, visibility=settings.visibility)
    return SqsProvider(channels, graveyard, intake, settlements, extensions, tasks)


@attrs.frozen(kw_only=True)
class SqsAdapter:
    """Connects pulpo to SQS, and to any server that speaks its protocol.

    Attributes:
        linger: how long a settlement waits for others to share its request. Longer saves requests,
            shorter leaves a worker that dies fewer messages that were handled and not deleted.
    """

    linger: timedelta = LINGER

    @property
    def scheme(self) -> str:
        """See `pulpo_core.Adapter.scheme`."""
        return "sqs"

    @property
    def capabilities(self) -> Capabilities:
        """See `pulpo_core.Adapter.capabilities`."""
        return _AT_BEST

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[SqsQueue]:
        """See `pulpo_core.Adapter.open`."""
        return _open(read_url(url), self.linger, clock, jitter)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        """Create the queue that *url* names, with a queue to bury in; see `creating` for *options*.

        Raises:
            ConfigurationError: an option is not known, or the queue exists and is different.
        """
        settings = read_url(url)
        async with open_client("sqs", settings.endpoint) as client:
            return await create(client, settings.addresses, settings.dlq, options)

    @property
    def own_clock(self) -> bool:
        """See `pulpo_core.ScratchQueues.own_clock`."""
        return True

    def scratch_url(self, url: str, name: str) -> str:
        """A queue of its own in the region of *url*, in the account of the credentials; FIFO if the first queue is."""
        return scratch_url(read_url(url), name)

    async def remove(self, url: str) -> None:
        """Delete the queue at *url* and the one in which it buries; AWS takes up to a minute for it."""
        settings = read_url(url)
        async with open_client("sqs", settings.endpoint) as client:
            await remove(client, settings.addresses)

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:
        """See `pulpo_core.Examiner`."""
        settings = read_url(url)
        return await examine(settings.endpoint, settings.addresses, settings.dlq, usage, clock)


@asynccontextmanager
async def _open(settings: SqsSettings, linger: timedelta, clock: Clock, jitter: Jitter) -> AsyncIterator[SqsQueue]:
    async with open_client("sqs", settings.endpoint) as client, background() as tasks:
        sources = [await find(client, address) for address in settings.addresses]
        channels = [Channel(client, source, tasks, linger=linger) for source in sources]
        graveyard = Graveyard(client, tasks, settings.dlq, settings.hops)
        hops = Hops(clock, tasks)
        queue = SqsQueue(
            url=settings.text,
            capabilities=capabilities_of(settings, sources),
            client=client,
            provider=_provider(settings, channels, graveyard, hops, clock, tasks),
            publisher=SqsPublisher(
                channels=channels,
                clock=clock,
                jitter=jitter,
                tasks=tasks,
                bounds=settings.bounds,
                long_delays=settings.hops,
            ),
            inspector=SqsInspector(channels, graveyard, clock),
            hops=hops,
        )
        try:
            yield queue
        finally:
            await queue.close()
