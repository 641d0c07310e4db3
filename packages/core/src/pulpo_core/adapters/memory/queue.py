"""An open queue in memory: the three faces over one `Store`, with a clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities, Peek
from pulpo_core.domain.envelope import Delivery, Envelope, Lease
from pulpo_core.domain.errors import AdapterError, MessageTooLarge, Unsupported
from pulpo_core.domain.lifecycle import State
from pulpo_core.ports.adapter import Page, QueueStats, Record, Settling
from pulpo_core.ports.clock import Clock

from .bell import Waiter
from .store import Store, lease_lost
from .stored import Stored

_NO_TIME: Final = timedelta()

_PURGEABLE: Final = frozenset({State.READY, State.DELAYED, State.BURIED})

_STATE_OF: Final = {Peek.READY: State.READY, Peek.DELAYED: State.DELAYED, Peek.BURIED: State.BURIED}


class MemoryQueue:
    """One holder's open queue; those of the same name in one process share their messages."""

    def __init__(self, url: str, store: Store, clock: Clock, capabilities: Capabilities) -> None:
        self.url = url
        self.capabilities = capabilities
        self._store = store
        self._clock = clock
        self._lease = capabilities.lease.total_seconds() if capabilities.lease else float("inf")
        self._max_body = capabilities.max_body_bytes or float("inf")
        self._interrupted = False
        self._closed = False
        self._waiters: set[Waiter] = set()

    # --- provider ---

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Take what is ready, or wait for the first."""
        if self._closed:
            raise self._use_after_close()
        if self._interrupted or limit < 1:
            return ()
        now = self._clock.monotonic()
        with self._store.lock:
            taken = self._store.take(limit, until=now + self._lease, now=now)
        if taken:
            return [self._delivery(stored) for stored in taken]
        return await self._receive_later(limit, now + min(wait, self.capabilities.max_wait).total_seconds())

    async def _receive_later(self, limit: int, deadline: float) -> Sequence[Delivery]:
        waiter = Waiter()
        self._waiters.add(waiter)
        try:
            while not (self._interrupted or self._closed):
                now = self._clock.monotonic()
                with self._store.lock:
                    taken = self._store.take(limit, until=now + self._lease, now=now)
                    if taken:
                        return [self._delivery(stored) for stored in taken]
                    moment = min(deadline, self._store.next_moment(now))
                    self._store.bell.join(waiter)
                # With no time left this only lets others run: who asks again and again must not starve them.
                await self._clock.wait(waiter.event, moment - now)
                if now >= deadline:
                    break
            return ()
        finally:
            self._stop_waiting(waiter)

    def _stop_waiting(self, waiter: Waiter) -> None:
        self._waiters.discard(waiter)
        with self._store.lock:
            self._store.bell.leave(waiter)
            if self._store.bell.waiters and self._store.has_ready():
                self._store.bell.ring()

    def _delivery(self, stored: Stored) -> Delivery:
        return Delivery(
            id=stored.id,
            envelope=stored.envelope,
            attempt=stored.attempts,
            lost=stored.lost,
            lease=Lease(stored.until),
            receipt=(self._store, stored, stored.token),
        )

    def interrupt(self) -> None:
        """Let every receive, waiting or to come, return with nothing."""
        self._interrupted = True
        for waiter in self._waiters:
            waiter.wake()

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """Settle each, or say why it is not settled."""
        if self._closed:
            raise self._use_after_close()
        now = self._clock.monotonic()
        with self._store.lock:
            return [self._settle(item, now) for item in batch]

    def _settle(self, item: Settling, now: float) -> AdapterError | None:
        receipt = item.delivery.receipt
        if item.follow_ups:
            error = self._publish_follow_ups(receipt, item.follow_ups, now)
            if error is not None:
                return error
        return self._store.settle(receipt, item.settlement, now=now, at=self._clock.now)

    def _publish_follow_ups(self, receipt: Any, envelopes: Sequence[Envelope], now: float) -> AdapterError | None:
        """All of them, if the acknowledgement that they come with can be done and all fit; else none."""
        if not self._store.holds(receipt, now):
            return lease_lost(receipt)
        for envelope in envelopes:
            if len(envelope.body) > self._max_body:
                return self._too_large(envelope)
        for envelope in envelopes:
            self._add(envelope, now)
        return None

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """Give each its full lease again."""
        if self._closed:
            raise self._use_after_close()
        now = self._clock.monotonic()
        with self._store.lock:
            return [self._store.extend(each.receipt, until=now + self._lease, now=now) for each in batch]

    # --- publisher ---

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """Store each that is not too large."""
        if self._closed:
            raise self._use_after_close()
        now = self._clock.monotonic()
        with self._store.lock:
            return [
                self._add(envelope, now) if len(envelope.body) <= self._max_body else self._too_large(envelope)
                for envelope in batch
            ]

    def _too_large(self, envelope: Envelope) -> MessageTooLarge:
        return MessageTooLarge(f"a body of {len(envelope.body)} bytes; {self.url} takes at most {self._max_body}")

    def _add(self, envelope: Envelope, now: float) -> str:
        if envelope.not_before is None:
            ready_at = now
        else:
            ready_at = now + (envelope.not_before - self._clock.now()).total_seconds()
        if envelope.published_at is None:
            envelope = attrs.evolve(envelope, published_at=self._clock.now())
        return self._store.add(envelope, ready_at=ready_at, now=now)

    # --- inspector ---

    async def stats(self) -> QueueStats:
        """Count every message, at one instant."""
        now = self._pass_time()
        with self._store.lock:
            counts = Counter(stored.state for stored in self._store.all())
            published = [stored.envelope.published_at for stored in self._store.all() if stored.state is State.READY]
            paused = now < self._store.paused_until
        oldest = min((moment for moment in published if moment is not None), default=None)
        return QueueStats(
            ready=counts[State.READY],
            delayed=counts[State.DELAYED],
            reserved=counts[State.RESERVED],
            buried=counts[State.BURIED],
            oldest_age=None if oldest is None else max(self._clock.now() - oldest, _NO_TIME),
            paused=paused,
        )

    def _pass_time(self) -> float:
        if self._closed:
            raise self._use_after_close()
        now = self._clock.monotonic()
        with self._store.lock:
            self._store.pass_time(now)
        return now

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the port's word
        """Look at one message."""
        now = self._pass_time()
        with self._store.lock:
            stored = self._store.get(id or "") if kind is Peek.ID else self._store.first(_STATE_OF[kind])
        return None if stored is None else self._record(stored, now)

    def _record(self, stored: Stored, now: float) -> Record:
        burial = stored.burial
        delayed = stored.state is State.DELAYED
        return Record(
            id=stored.id,
            state=stored.state,
            envelope=stored.envelope,
            attempts=stored.attempts,
            reason=burial.reason if burial else None,
            error=burial.error if burial else None,
            buried_at=burial.at if burial else None,
            ready_at=self._clock.now() + timedelta(seconds=stored.until - now) if delayed else None,
        )

    async def buried(self, *, limit: int = 1000) -> Page:
        """The oldest burials."""
        now = self._pass_time()
        with self._store.lock:
            every = self._store.buried()
        partial = len(every) > limit
        note = f"{len(every) - limit} more are buried" if partial else ""
        return Page(records=[self._record(stored, now) for stored in every[:limit]], partial=partial, note=note)

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """Make buried messages ready."""
        if self._closed:
            raise self._use_after_close()
        with self._store.lock:
            names = [stored.id for stored in self._store.buried()] if ids is None else list(dict.fromkeys(ids))
            names = names[:limit]
            self._store.kick(names)
        return len(names)

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """Remove messages that nobody is handling."""
        self._pass_time()
        with self._store.lock:
            return [self._store.delete(each) for each in ids]

    async def purge(self, states: frozenset[State]) -> int:
        """Remove all messages of *states*."""
        if not states <= _PURGEABLE:
            wrong = ", ".join(sorted(states - _PURGEABLE))
            raise Unsupported(f"cannot purge {wrong}; accepted: {', '.join(sorted(_PURGEABLE))}")
        self._pass_time()
        with self._store.lock:
            return self._store.purge(states)

    async def pause(self, duration: timedelta | None = None) -> None:
        """Hand nothing out for *duration*, or until `resume`."""
        if self._closed:
            raise self._use_after_close()
        seconds = float("inf") if duration is None else duration.total_seconds()
        with self._store.lock:
            self._store.paused_until = self._clock.monotonic() + seconds

    async def resume(self) -> None:
        """Hand out again."""
        if self._closed:
            raise self._use_after_close()
        with self._store.lock:
            self._store.paused_until = 0.0
            self._store.bell.ring_for_all()

    def close(self) -> None:
        """End every waiting receive; what is in hand stays reserved until its lease ends."""
        self._closed = True
        for waiter in self._waiters:
            waiter.wake()

    def _use_after_close(self) -> AdapterError:
        return AdapterError(f"{self.url} was closed by its holder")
