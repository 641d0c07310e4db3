"""What a queue can do, as data: read by routes at start, by `planning.plan`, by the contract kit and by people.

A capability is a promise tested both ways: what is declared works, and what is not declared is
refused with `Unsupported` or at start, never quietly replaced by something weaker.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

import attrs


class Order(StrEnum):
    """In which order ready messages are handed out."""

    PRIORITY = "priority"  # lowest priority number first, then order of arrival
    GROUP = "group"  # strict within a group, none between groups
    NONE = "none"  # best effort


class Peek(StrEnum):
    """What can be looked at without receiving it."""

    ID = "id"
    READY = "ready"
    DELAYED = "delayed"
    BURIED = "buried"


@attrs.frozen(kw_only=True, slots=True)
class Capabilities:
    """What one open queue promises. Limits that a live broker tells are read from it.

    Attributes:
        order: see `Order`.
        priority: whether `Message.priority` is honoured.
        max_delay: longest delay at publish; `None` for any.
        max_retry_delay: longest delay of a retry, counted from the receive; `None` for any.
        min_retry_delay: shortest delay of a retry that the queue keeps faithfully.
        granularity: delays are rounded up to a multiple of this.
        lease: how long a delivery is ours unless extended; `None` when it never ends by itself.
        max_hold: longest that one delivery can be kept by extending; `None` for no limit.
        exact_attempts: whether the attempt counter counts every delivery, and only deliveries.
        attempt_slack: how many attempts over the policy's maximum a delivery may show without being
            taken for a crash loop: 0 where giving back is not counted, else 10.
        max_receives: after so many deliveries the queue itself sets a message aside, without a reason.
        max_body_bytes: longest body; `None` for no limit of its own.
        max_batch: most items that one call carries to the broker.
        max_wait: longest that one receive can wait at the broker.
        prompt_interrupt: whether `Provider.interrupt` ends a waiting receive at once.
        peek: what can be looked at.
        count_states: the states that `Inspector.stats` can count, by their names.
        purge_states: the states that `Inspector.purge` can empty, by their names.
        atomic_follow_ups: whether an acknowledgement and its follow-ups are one transaction.
        late_ack: whether acknowledging after the lease ended is safe: it removes this message or nothing.
        groups: whether `Envelope.group` is honoured.
        pause: whether the queue can be paused for everybody.
        durability: in one clause, what a confirmed publish survives.
    """

    order: Order = Order.PRIORITY
    priority: bool = True
    max_delay: timedelta | None = None
    max_retry_delay: timedelta | None = None
    min_retry_delay: timedelta = timedelta()
    granularity: timedelta = timedelta(milliseconds=1)
    lease: timedelta | None = timedelta(seconds=30)
    max_hold: timedelta | None = None
    exact_attempts: bool = True
    attempt_slack: int = 0
    max_receives: int | None = None
    max_body_bytes: int | None = None
    max_batch: int = 100
    max_wait: timedelta = timedelta(seconds=20)
    prompt_interrupt: bool = True
    peek: frozenset[Peek] = frozenset(Peek)
    count_states: frozenset[str] = frozenset({"ready", "delayed", "reserved", "buried"})
    purge_states: frozenset[str] = frozenset({"ready", "delayed", "buried"})
    atomic_follow_ups: bool = False
    late_ack: bool = False
    groups: bool = False
    pause: bool = False
    durability: str = "nothing"

    @property
    def delay(self) -> bool:
        """Whether a message can be published to come later at all: FIFO queues of SQS know no such thing."""
        return self.max_delay is None or self.max_delay > timedelta()
