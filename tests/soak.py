"""How long the long forms of tests run: `./dev soak` says so in minutes, and each kind of test has its part."""

from __future__ import annotations

import os
from typing import Final

#: Parts of the whole time. What is left over is for starting, draining, and for tests whose work is `scaled`.
_PARTS: Final = {"simulation": 0.1, "file": 0.12, "beanstalkd": 0.12, "sqs": 0.12}

#: Minutes for which the numbers of scaled tests are meant.
_USUAL: Final = 30.0


def minutes() -> float:
    """The whole time."""
    return float(os.environ.get("PULPO_SOAK_MINUTES", "30"))


def share(kind: str) -> float:
    """The minutes for one kind of test."""
    return minutes() * _PARTS[kind]


def scaled(number: int) -> int:
    """*number* rounds or examples of the usual half an hour, for the time there is."""
    return max(1, round(number * minutes() / _USUAL))
