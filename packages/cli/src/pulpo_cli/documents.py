"""Values as programs read them: parts of what ``--json`` prints."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from pulpo_core import Policy


def seconds(value: timedelta | None) -> float | None:
    """*value* as a number, for a key that ends in ``_seconds``."""
    return None if value is None else value.total_seconds()


def iso(value: datetime | None) -> str | None:
    """*value* as ISO 8601 text."""
    return None if value is None else value.isoformat()


def retries(policy: Policy) -> dict[str, Any]:
    """How often and how late *policy* has a message tried again."""
    backoff = policy.backoff
    return {
        "max_attempts": policy.max_attempts,
        "backoff_base_seconds": seconds(backoff.base),
        "backoff_factor": backoff.factor,
        "backoff_cap_seconds": seconds(backoff.cap),
        "jitter": str(backoff.jitter),
        "max_age_seconds": seconds(policy.max_age),
    }
