"""From an ``sqs://`` URL to an open queue."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core import Capabilities, Clock, Diagnosis, Jitter, Order, Usage

from .admission import Admission
from .background import Background, background
from .batching import MAX_BATCH
from .channel import LINGER, Channel
from .client import open_client
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
from .removing import remove
from .settings import SCHEME, Settings, scratch_url
from .settling import Settlements
from .source import Source, find

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


def capabilities_of(settings: Settings, sources: Sequence[Source]) -> Capabilities:
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
    settings: Settings,
    capabilities: Capabilities,
    channels: Sequence[Channel],
    graveyard: Graveyard,
    hops: Hops,
    *,
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
    return SqsProvider(capabilities, channels, graveyard, intake, settlements, extensions, tasks)


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
        return SCHEME

    @property
    def capabilities(self) -> Capabilities:
        """See `pulpo_core.Adapter.capabilities`."""
        return _AT_BEST

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[SqsQueue]:
        """See `pulpo_core.Adapter.open`."""
        return _open(Settings.of(url), self.linger, clock, jitter)

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        """Create the queue that *url* names, with a queue to bury in; see `creating` for *options*.

        Raises:
            ConfigurationError: an option is not known, or the queue exists and is different.
        """
        settings = Settings.of(url)
        async with open_client("sqs", settings.endpoint) as client:
            return await create(client, settings.addresses, settings.dlq, options)

    @property
    def own_clock(self) -> bool:
        """See `pulpo_core.ScratchQueues.own_clock`."""
        return True

    def scratch_url(self, url: str, name: str) -> str:
        """A queue of its own in the region of *url*, in the account of the credentials; FIFO if the first queue is."""
        return scratch_url(Settings.of(url), name)

    async def remove(self, url: str) -> None:
        """Delete the queue at *url* and the one in which it buries; AWS takes up to a minute for it."""
        settings = Settings.of(url)
        async with open_client("sqs", settings.endpoint) as client:
            await remove(client, settings.addresses)

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:
        """See `pulpo_core.Examiner`."""
        return await examine(Settings.of(url), usage, clock)


@asynccontextmanager
async def _open(settings: Settings, linger: timedelta, clock: Clock, jitter: Jitter) -> AsyncIterator[SqsQueue]:
    async with open_client("sqs", settings.endpoint) as client, background() as tasks:
        sources = [await find(client, address) for address in settings.addresses]
        channels = [Channel(client, source, tasks, linger=linger) for source in sources]
        graveyard = Graveyard(client, tasks, settings.dlq, settings.hops)
        hops = Hops(clock, tasks)
        capabilities = capabilities_of(settings, sources)
        queue = SqsQueue(
            settings.url,
            capabilities=capabilities,
            client=client,
            hops=hops,
            provider=_provider(settings, capabilities, channels, graveyard, hops, clock=clock, tasks=tasks),
            publisher=SqsPublisher(
                channels=channels,
                clock=clock,
                jitter=jitter,
                tasks=tasks,
                bounds=settings.bounds,
                long_delays=settings.hops,
            ),
            inspector=SqsInspector(channels, graveyard, clock),
        )
        try:
            yield queue
        finally:
            await queue.close()
