"""A settlement as the policy wants it → as the queue can do it: the last step of a decision."""

from __future__ import annotations

from datetime import timedelta

import attrs

from .capabilities import Capabilities
from .settlement import Retry, Settlement


def plan(settlement: Settlement, capabilities: Capabilities, *, held: timedelta = timedelta()) -> Settlement:
    """Fit *settlement* to what the queue can do: delays are rounded up, and clamped to what it can hold.

    Args:
        held: how long the delivery has been ours; counts against `Capabilities.max_retry_delay`.
    """
    if not isinstance(settlement, Retry):
        return settlement
    delay = max(settlement.delay or timedelta(), capabilities.min_retry_delay)
    delay = round_up(delay, capabilities.granularity)
    if capabilities.max_retry_delay is not None:
        room = max(capabilities.max_retry_delay - held, timedelta())
        delay = min(delay, round_down(room, capabilities.granularity))
    return settlement if delay == settlement.delay else attrs.evolve(settlement, delay=delay)


def round_down(span: timedelta, granularity: timedelta) -> timedelta:
    """The greatest multiple of *granularity* that is not more than *span*."""
    return span - span % granularity if granularity else span


def round_up(span: timedelta, granularity: timedelta) -> timedelta:
    """The least multiple of *granularity* that is not less than *span*."""
    if not granularity:
        return span
    try:
        return -(-span // granularity) * granularity
    except OverflowError:
        return span
