"""Whether a route may receive at all, beside the room it has: pause, rate limit and breaker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import attrs

from pulpo_core.domain.decision import Decision
from pulpo_core.domain.limits import Bucket, Circuit, CircuitState
from pulpo_core.ports.clock import Clock
from pulpo_core.ports.observer import Event, RouteHeld, RouteResumed

from .route import Route


@attrs.define(slots=True, eq=False, kw_only=True)
class Flow:
    """The valve in front of one route.

    Attributes:
        paused: a person wants nothing to be received.
        changed: set whenever it may have opened.
    """

    route: str
    clock: Clock
    emit: Callable[[Event], None]
    bucket: Bucket | None = None
    circuit: Circuit | None = None
    paused: bool = False
    changed: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    @classmethod
    def of(cls, route: Route, clock: Clock, emit: Callable[[Event], None]) -> Flow:
        """The valve of *route*."""
        return cls(
            route=route.name,
            clock=clock,
            emit=emit,
            bucket=Bucket(route.rate_limit) if route.rate_limit else None,
            circuit=Circuit(route.breaker) if route.breaker else None,
        )

    def allows(self) -> float:
        """How many messages may be received now."""
        if self.paused:
            return 0
        allowed = math.inf
        if self.bucket is not None:
            allowed = self.bucket.allows(self.clock.monotonic())
        if self.circuit is not None:
            allowed = min(allowed, self.circuit.allows(self.clock.monotonic()))
        return allowed

    async def until_changed(self) -> None:
        """Wait until it may allow something; never longer than it takes to be asked again."""
        self.changed.clear()
        seconds = self._wait()
        if math.isinf(seconds):
            await self.changed.wait()
        else:
            await self.clock.wait(self.changed, seconds)

    def _wait(self) -> float:
        """Seconds until it opens by itself."""
        if self.paused:
            return math.inf
        waits = [0.0]
        if self.bucket is not None:
            waits.append(self.bucket.wait())
        if self.circuit is not None and self.circuit.state is not CircuitState.CLOSED:
            waits.append(self.circuit.wait(self.clock.monotonic()))
        return max(waits)

    def took(self, count: int) -> None:
        """So many were received."""
        if self.bucket is not None:
            self.bucket.took(count)
        if self.circuit is not None:
            self.circuit.took(count)

    def note(self, decision: Decision) -> None:
        """Take note of how a delivery was handled."""
        circuit = self.circuit
        if circuit is None or not circuit.note(decision, self.clock.monotonic()):
            return
        self.changed.set()
        if circuit.state is CircuitState.OPEN:
            self.emit(RouteHeld(route=self.route, cause="breaker", duration=circuit.breaker.pause))
        elif circuit.state is CircuitState.CLOSED:
            self._tell_if_open()

    def pause(self) -> None:
        """Allow nothing until `resume`; idempotent."""
        if not self.paused:
            self.paused = True
            self.emit(RouteHeld(route=self.route, cause="paused", duration=None))

    def resume(self) -> None:
        """Undo `pause`; idempotent."""
        if self.paused:
            self.paused = False
            self.changed.set()
            self._tell_if_open()

    def _tell_if_open(self) -> None:
        """Neither a pause nor the breaker holds it any more: of two, the last one to let go is told."""
        if not self.paused and (self.circuit is None or self.circuit.state is CircuitState.CLOSED):
            self.emit(RouteResumed(route=self.route))
