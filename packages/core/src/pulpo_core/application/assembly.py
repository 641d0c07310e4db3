"""What a route is run by, put together from the route, its open queue, and what all routes of a process share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from pulpo_core.domain.errors import ConfigurationError
from pulpo_core.domain.policy import fit
from pulpo_core.domain.url import scheme_of
from pulpo_core.ports.adapter import Publisher, Queue
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event

from .calling import Calls
from .flow import Flow
from .follow_ups import FollowUps
from .gate import Gate
from .handlers import as_table
from .pipeline import Pipeline
from .publishing import Encoder
from .pump import Pump
from .route import Route, check_needs
from .threads import Threads
from .until import Quota, Until

if TYPE_CHECKING:
    from .processes import Processes

#: No delivery is kept longer than this, however its lease is extended.
MAX_HOLD: Final = timedelta(hours=12)

#: Settlements may take so long once every handler has ended.
FLUSH_FOR: Final = timedelta(seconds=10)


@attrs.frozen(kw_only=True)
class Assembly:
    """Puts a `Pump` together for each route.

    Attributes:
        watched: whether anybody wants the events of every single delivery.
        fail: told what keeps a route from going on; stops them all.
        open_other: opens a queue beside those of the routes, for follow-ups.
    """

    threads: Threads
    processes: Processes | None
    gate: Gate
    quota: Quota
    until: Until
    grace: timedelta
    thread_grace: timedelta
    clock: Clock
    jitter: Jitter
    watched: bool
    emit: Callable[[Event], None]
    fail: Callable[[BaseException], None]
    open_other: Callable[[str], Awaitable[Publisher]]

    def pump(self, route: Route, queue: Queue) -> Pump:
        """What runs *route*.

        Raises:
            ConfigurationError: its queue lacks what it needs, or a receive of it would outlast the grace.
        """
        check_needs(route, queue.capabilities)
        self._check_wait(route, queue)
        return Pump(
            name=route.name,
            concurrency=route.concurrency,
            prefetch=route.prefetch,
            wait=route.wait,
            provider=queue,
            capabilities=queue.capabilities,
            pipeline=self._pipeline(route, queue),
            follow_ups=self._follow_ups(route, queue),
            on_failure=self.fail,
            clock=self.clock,
            jitter=self.jitter,
            emit=self.emit,
            watched=self.watched,
            until=self.until,
            quota=self.quota,
            gate=self.gate.entry(route.weight),
            flow=Flow.of(route, self.clock, self.emit),
            max_hold=MAX_HOLD,
            flush_for=FLUSH_FOR,
        )

    def _check_wait(self, route: Route, queue: Queue) -> None:
        wait = min(route.wait, queue.capabilities.max_wait)
        if not queue.capabilities.prompt_interrupt and wait >= self.grace:
            raise ConfigurationError(
                f"route {route.name!r} waits {wait.total_seconds():g} s for messages, and its queue cannot be"
                f" interrupted: wait must be shorter than the grace of {self.grace.total_seconds():g} s"
            )

    def _pipeline(self, route: Route, queue: Queue) -> Pipeline:
        return Pipeline(
            route=route,
            policy=fit(route.policy, queue.capabilities),
            capabilities=queue.capabilities,
            table=as_table(route.handlers),
            scheme=scheme_of(route.queue),
            calls=Calls(
                middleware=route.middleware,
                threads=self.threads,
                processes=self.processes,
                thread_grace=self.thread_grace,
            ),
            clock=self.clock,
            jitter=self.jitter,
            emit=self.emit,
            on_stop=self.fail,
            watched=self.watched,
        )

    def _follow_ups(self, route: Route, queue: Queue) -> FollowUps:
        async def open_other(url: str) -> tuple[Publisher, Encoder]:
            other = await self.open_other(url)
            return other, self._encoder(route, other)

        return FollowUps(
            queue=queue,
            url=route.queue,
            encoder=self._encoder(route, queue),
            open_other=open_other,
            emit=self.emit if self.watched else None,
        )

    def _encoder(self, route: Route, queue: Publisher) -> Encoder:
        return Encoder(
            translator=route.translator,
            capabilities=queue.capabilities,
            clock=self.clock,
            jitter=self.jitter,
            middleware=route.publish_middleware,
        )
