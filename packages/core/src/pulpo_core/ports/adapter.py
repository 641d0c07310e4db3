"""The port to a queue: `Adapter` opens a `Queue`, and a queue has three faces.

===========  =======================================  ==================================================
face         who holds it                             what for
===========  =======================================  ==================================================
`Provider`   the dispatcher                           receive, settle, extend
`Publisher`  producers, and follow-up messages        publish
`Inspector`  the command line, dashboards, a doctor   look and repair
===========  =======================================  ==================================================

Rules for all of them:

* Adapters raise, they do not retry: neither the adapter nor its driver repeats a call. The
  dispatcher decides by `AdapterError.temporary` and `AdapterError.in_doubt`.
* A call that carries several items answers for each of them, in the order given: one item's
  failure is a value in the list, and only what concerns the whole call is raised.
* All methods may be called concurrently from tasks of the loop that opened the queue.
* Nothing blocks the event loop, and every call ends in bounded time: a broker that does not
  answer is `Unavailable` after the adapter's deadline.
* After an `Unavailable` the next call tries anew; reconnecting is nobody else's business.
* Cancelling a call leaves the queue usable. What a cancelled call had sent may have been done.

What a queue or an adapter may offer besides is in `offers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

import attrs

from pulpo_core.domain.capabilities import Capabilities, Peek
from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import AdapterError
from pulpo_core.domain.lifecycle import State
from pulpo_core.domain.settlement import Settlement

from .clock import Clock, Jitter


@attrs.frozen(slots=False, eq=False)  # made for every message: a dictionary is filled faster
class Settling:
    """One delivery and what is to be done with it.

    Attributes:
        follow_ups: envelopes to publish with an `Ack`, in the same transaction. Empty unless the
            queue declares `Capabilities.atomic_follow_ups`. A refused `Ack` publishes none of them.
    """

    delivery: Delivery
    settlement: Settlement
    follow_ups: Sequence[Envelope] = ()


class Provider(Protocol):
    """Takes envelopes out of a queue, for a time, and settles them."""

    @property
    def capabilities(self) -> Capabilities:
        """What this open queue promises; known from the moment it is open."""
        ...

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """Take at most *limit* ready envelopes, waiting up to *wait* for the first.

        Returns as soon as there is anything, and an empty sequence after *wait* with nothing. A
        *wait* of 0 asks once. *wait* over `Capabilities.max_wait` is shortened to it.

        Every delivery has a lease that runs from before the request. `Delivery.attempt` counts
        this delivery. Messages that come after the wait or after `interrupt` stay in the queue.

        Cancellation may leave deliveries unseen until their lease ends; use `interrupt` instead.

        Raises:
            AdapterError: temporary, or for good.
            ConfigurationError: the queue is gone or access to it was withdrawn.
        """
        ...

    def interrupt(self) -> None:
        """Let the receives that wait now, and all later ones, return soon with what they have.

        Idempotent; never blocks. Where `Capabilities.prompt_interrupt` is not declared, a receive
        returns no later than its own *wait*. Settling and extending go on working.
        """
        ...

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """Make each settlement durable at the queue; `None` for each that is.

        Any number of items; the adapter cuts them into calls of the broker's size. Settling what
        is already settled in the same way is not an error. An item whose lease is over is
        `LeaseLost` and changes nothing; an item whose answer was lost is `AdapterError.in_doubt`.

        `Retry` comes with a delay that `planning.plan` has fitted to the queue, and keeps the
        message's priority and place. `Bury` keeps the bytes, the reason, the error, the attempts
        and the time. `Release` makes it ready at once.
        """
        ...

    async def extend(self, batch: Sequence[Delivery]) -> Sequence[float | AdapterError]:
        """Give each delivery its full lease again, from now; the new deadlines, told conservatively.

        Never shortens a lease and never touches another message. `LeaseLost` for what is no longer
        ours, settled deliveries included; another `AdapterError` when it may be tried again.
        """
        ...


class Publisher(Protocol):
    """Puts envelopes into a queue."""

    @property
    def capabilities(self) -> Capabilities:
        """What this open queue promises."""
        ...

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """Store each envelope; its id in the queue for each that is stored, as durable as declared.

        An id is returned only for what the queue has confirmed. An envelope that cannot be stored
        is an error in its place, its neighbours are stored all the same.
        """
        ...


@attrs.frozen(kw_only=True, slots=True)
class QueueStats:
    """How many messages are where. `None` for what this queue cannot count.

    Attributes:
        oldest_age: how long the oldest ready message has waited since it was published.
        exact: whether the numbers are exact at one instant, or the broker's approximation.
        paused: whether the queue is paused for everybody.
    """

    ready: int | None = None
    delayed: int | None = None
    reserved: int | None = None
    buried: int | None = None
    oldest_age: timedelta | None = None
    exact: bool = True
    paused: bool = False


@attrs.frozen(kw_only=True, slots=True)
class Record:
    """One message as an inspector sees it, without receiving it.

    Attributes:
        reason, error, buried_at: of a buried message; `None` reason when nobody recorded one.
        ready_at: of a delayed message.
        origin: the queue it was buried from, where burial moves it to another queue.
    """

    id: str
    state: State
    envelope: Envelope
    attempts: int = 0
    reason: str | None = None
    error: str | None = None
    buried_at: datetime | None = None
    ready_at: datetime | None = None
    origin: str | None = None


@attrs.frozen(kw_only=True, slots=True)
class Page:
    """Some buried messages.

    Attributes:
        partial: there may be more, or some could not be looked at.
        note: why, in one sentence; also what looking has cost, where it costs anything.
    """

    records: Sequence[Record] = ()
    partial: bool = False
    note: str = ""


class Inspector(Protocol):
    """Looks at a queue and repairs it. Whatever the capabilities do not declare raises `Unsupported`."""

    @property
    def capabilities(self) -> Capabilities:
        """What this open queue promises."""
        ...

    async def stats(self) -> QueueStats:
        """Count the messages of each state."""
        ...

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the domain's word
        """The message with *id* for `Peek.ID`, else the next one of that state; `None` if there is none.

        Changes nothing: not the state, not the order, not the attempts.
        """
        ...

    async def buried(self, *, limit: int = 1000) -> Page:
        """Up to *limit* buried messages, oldest burial first."""
        ...

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """Make buried messages ready, with a fresh budget of attempts; how many were.

        Args:
            ids: which; `None` for the oldest, up to *limit*.
            limit: at most so many; `None` for all.

        Raises:
            MessageNotFound: one of *ids* is not buried here; nothing was kicked.
        """
        ...

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """Remove messages for good, whatever their state; `MessageNotFound` for each that is not there.

        A message that somebody is handling is not removed: `AdapterError`, temporary.
        """
        ...

    async def purge(self, states: frozenset[State]) -> int:
        """Remove every message of *states* (of READY, DELAYED and BURIED); how many were.

        A queue that removes by receiving leaves what waits for another of its group.
        """
        ...

    async def pause(self, duration: timedelta | None = None) -> None:
        """Hand nothing out to anybody for *duration*, or until `resume`; publishing goes on."""
        ...

    async def resume(self) -> None:
        """Undo `pause`. Not an error when the queue is not paused."""
        ...


class Queue(Provider, Publisher, Inspector, Protocol):
    """An open queue: all three faces over the same connections, each opened when first used."""

    @property
    def url(self) -> str:
        """Names the queue; never carries a secret."""
        ...


class Adapter(Protocol):
    """Connects pulpo to one kind of queue. Making one is free: no I/O, no driver imported."""

    @property
    def scheme(self) -> str:
        """The URL scheme this adapter answers to."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What its queues can promise at best; an open queue may promise less."""
        ...

    def open(self, url: str, *, clock: Clock, jitter: Jitter) -> AbstractAsyncContextManager[Queue]:
        """The queue that *url* names, open inside the context.

        The URL is checked before anything else, and unknown parameters are refused by name.
        Leaving the context closes every connection; deliveries still in hand are left to their
        lease, or go back at once where the queue notices.

        Raises:
            InvalidURL: at once, before the context is entered.
            ConfigurationError: on entering: no such queue, no access.
            Unavailable: on entering: the broker cannot be reached.
        """
        ...

    async def create(self, url: str, options: Mapping[str, Any]) -> str:
        """Create the queue that *url* names and say in one line what was done.

        Raises:
            Unsupported: queues of this kind need no creating.
        """
        ...
