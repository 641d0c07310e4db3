"""Puts the parts of an open tube together."""

from __future__ import annotations

from pulpo_core import Clock, Jitter

from .attempts import Freshness
from .codec import records_tube
from .connection import Address, Dialer
from .inspector import BeanstalkdInspector
from .link import Link
from .provider import BeanstalkdProvider
from .publisher import BeanstalkdPublisher
from .queue import BeanstalkdQueue
from .records import Records
from .server import CAPABILITIES
from .settings import Settings


def assemble(settings: Settings, clock: Clock, jitter: Jitter) -> tuple[BeanstalkdQueue, BeanstalkdPublisher]:
    """A queue without any connection yet, and its publisher."""
    dialer = Dialer(
        address=Address(host=settings.host, port=settings.port, path=settings.socket),
        connect_timeout=settings.connect_timeout,
        timeout=settings.timeout,
    )
    tube = settings.tube
    link = Link(dialer, use=tube)
    publisher = BeanstalkdPublisher(tube=tube, ttr=settings.ttr, link=link, clock=clock, capabilities=CAPABILITIES)
    records = Records(
        dialer, tube=records_tube(tube), clock=clock, jitter=jitter, capabilities=lambda: publisher.capabilities
    )
    provider = BeanstalkdProvider(
        tube=tube,
        ttr=settings.ttr,
        most_lanes=settings.connections,
        freshness=Freshness(always=settings.attempts == "always"),
        dialer=dialer,
        clock=clock,
        records=records,
        capabilities=lambda: publisher.capabilities,
    )
    inspector = BeanstalkdInspector(
        tube=tube, link=link, clock=clock, records=records, capabilities=lambda: publisher.capabilities
    )
    queue = BeanstalkdQueue(settings.url, dialer=dialer, provider=provider, publisher=publisher, inspector=inspector)
    return queue, publisher
