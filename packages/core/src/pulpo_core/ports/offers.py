"""What queues and adapters may offer beside their ports. None has to: who wants it looks whether it is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, runtime_checkable

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError

from .clock import Clock


@runtime_checkable
class BlockingPublisher(Protocol):
    """What some queues offer beside `Publisher`: to store in the thread that asks, with no hop to a loop."""

    def publish_blocking(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError] | None:
        """As `Publisher.publish`, from any thread of the process; blocks it until the answer is there.

        Returns `None`, with nothing done, where it cannot be done at once, such as when others are at it: ask by
        `publish` then, which has a deadline. What is begun takes as long as the system below it takes.
        """
        ...


@runtime_checkable
class Accounting(Protocol):
    """What some queues offer beside their faces: an account of what they did by themselves, and what it cost."""

    @property
    def deferred(self) -> int:
        """Messages taken and sent on their way without being handed out, since their time had not come."""
        ...

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests sent, by the name of the operation: what a broker bills."""
        ...


@runtime_checkable
class ScratchQueues(Protocol):
    """What an adapter offers beside its port so that the contract can be tried at a live broker: queues to throw away.

    Only those who try contracts ask for it; no dispatcher does, and no adapter has to have it.
    """

    @property
    def own_clock(self) -> bool:
        """Whether its brokers keep time by clocks of their own: a trial then takes as long as its delays and leases."""
        ...

    def scratch_url(self, url: str, name: str) -> str:
        """The URL of another queue where the queue of *url* lives, called after *name*. Nothing is made, or asked.

        The other parameters of *url* are kept, but its lease is the shortest that can be kept faithfully,
        where the broker has a clock of its own.

        Raises:
            InvalidURL: *url* does not name a queue of this adapter.
        """
        ...

    async def remove(self, url: str) -> None:
        """Remove the queue that *url* names, which came from `scratch_url`, and all that belongs to it.

        Messages are removed too, in whatever state. Not an error when there is nothing to remove.
        """
        ...


class Level(StrEnum):
    """How much a diagnosis matters."""

    OK = "ok"
    WARNING = "warning"  # it works, and something is weaker than it need be
    ERROR = "error"  # it does not work, or will lose or hide messages


@attrs.frozen(kw_only=True, slots=True)
class Diagnosis:
    """What an examination found about one thing.

    Attributes:
        check: what was looked at, in a word or two.
        found: what is there, in one clause; never a secret, never a body.
        advice: what to do about it; empty when there is nothing to do.
    """

    check: str
    level: Level
    found: str
    advice: str = ""


@attrs.frozen(kw_only=True, slots=True)
class Usage:
    """What somebody means to do with a queue.

    Attributes:
        consumes: whether it is received from; it is only published to otherwise.
        horizon: how long a message may be under way at the longest; `None` for without end.
        max_attempts: deliveries before a failing message is buried; `None` for what the queue allows.
    """

    consumes: bool = True
    horizon: timedelta | None = timedelta()
    max_attempts: int | None = None


@runtime_checkable
class Examiner(Protocol):
    """What some adapters offer beside `Adapter`: a look at how a queue is set up, for `pulpo doctor`."""

    async def examine(self, url: str, usage: Usage, *, clock: Clock) -> Sequence[Diagnosis]:
        """Everything worth knowing about the queue that *url* names, the good as well as the bad.

        Changes nothing and receives nothing. May be called while others use the queue. What cannot be looked at, a
        permission that is missing included, is a diagnosis, and nothing is raised for it.

        Raises:
            AdapterError, ConfigurationError: the queue cannot be opened at all.
        """
        ...
