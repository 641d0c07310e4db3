"""What clauses can need, by name."""

from __future__ import annotations

from typing import Final

from pulpo_core.domain.capabilities import Capabilities, Order, Peek
from pulpo_core.testing.registry import Need

#: Bodies up to this size are really published to try a limit; larger limits are taken on trust.
LARGEST_TRIAL: Final = 2 * 1024 * 1024


def _delays(capabilities: Capabilities) -> bool:
    return capabilities.max_delay is None or bool(capabilities.max_delay)


LEASES_END: Final = Need("lease that ends by itself", lambda c: c.lease is not None)
DELAYS: Final = Need("delays at publish", _delays)
LIMITED_DELAY: Final = Need("longest delay", lambda c: c.max_delay is not None)
UNLIMITED_DELAY: Final = Need("delays of any length", lambda c: c.max_delay is None)
ARRIVAL_ORDER: Final = Need("order of arrival", lambda c: c.order is Order.PRIORITY)
PRIORITIES: Final = Need("priorities", lambda c: c.priority)
GROUPS: Final = Need("groups", lambda c: c.groups)
EXACT_ATTEMPTS: Final = Need("exact count of attempts", lambda c: c.exact_attempts)
FREE_RELEASE: Final = Need("giving back without counting", lambda c: not c.attempt_slack)
LATE_ACK: Final = Need("late acknowledgements", lambda c: c.late_ack)
ATOMIC_FOLLOW_UPS: Final = Need("follow-ups in one transaction", lambda c: c.atomic_follow_ups)
PAUSE: Final = Need("pausing", lambda c: c.pause)
PEEK_ANYTHING: Final = Need("peek of any kind", lambda c: bool(c.peek))
PEEK_ID: Final = Need("peek by id", lambda c: Peek.ID in c.peek)
TRIABLE_LIMIT: Final = Need("body limit small enough to try", lambda c: 0 < (c.max_body_bytes or 0) <= LARGEST_TRIAL)
COUNTS: Final = Need("count of every state", lambda c: c.count_states >= {"ready", "delayed", "reserved", "buried"})
