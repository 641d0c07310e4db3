"""How long the long forms of tests run: `./dev soak` says so in minutes, and each kind of test has its part."""

from __future__ import annotations

import os
from typing import Final

#: Parts of the whole time. What is left over is for starting, draining and the backlogs.
_PARTS: Final = {"simulation": 0.15, "file": 0.18, "beanstalkd": 0.18, "sqs": 0.18, "backlog": 0.1}


def minutes() -> float:
    """The whole time."""
    return float(os.environ.get("PULPO_SOAK_MINUTES", "30"))


def share(kind: str) -> float:
    """The minutes for one kind of test."""
    return minutes() * _PARTS[kind]
