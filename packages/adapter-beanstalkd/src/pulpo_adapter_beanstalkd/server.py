"""What a live beanstalkd says about itself, and what that lets a queue promise: pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core import Capabilities

from .codec import MAX_SECONDS

_LONGEST: Final = timedelta(seconds=MAX_SECONDS)

IN_MEMORY: Final = "nothing: this beanstalkd keeps jobs in memory only; start it with -b DIR"
LOGGED: Final = "a crash of beanstalkd; a power cut but for what came in since the last fsync (-f, 50 ms by default)"
STOPPED: Final = "nothing any more: the log of this beanstalkd has stopped; jobs confirmed now are in memory only"

#: beanstalkd takes a job of its largest size, but up to 1.12 its log cannot be read past one: it counts the
#: line end there, stops at the job after a restart, and loses it with all that follows in that file of the log.
LINE_END: Final = 2

#: What a tube promises before its beanstalkd has been asked.
CAPABILITIES: Final = Capabilities(
    max_delay=_LONGEST,
    max_retry_delay=_LONGEST,
    min_retry_delay=timedelta(seconds=1),
    granularity=timedelta(seconds=1),
    lease=timedelta(seconds=60),
    max_hold=None,
    exact_attempts=True,
    attempt_slack=10,
    max_body_bytes=65_535,
    max_batch=1_000,
    max_wait=timedelta(seconds=20),
    pause=True,
    durability="what its beanstalkd is set up for: see an open queue",
)


def promised(stats: Mapping[str, Any], *, lease: timedelta) -> Capabilities:
    """What a tube promises on the beanstalkd whose statistics are *stats*."""
    logged = bool(stats["binlog-current-index"])
    return attrs.evolve(
        CAPABILITIES,
        lease=lease,
        max_body_bytes=stats["max-job-size"] - (LINE_END if logged else 0),
        durability=LOGGED if logged else IN_MEMORY,
    )


@attrs.define(slots=True)
class LogWatch:
    """Notices that beanstalkd has stopped to write its log.

    After an error of writing, beanstalkd goes on without a log and says nothing: jobs are confirmed
    and will be forgotten. But it counts the records it writes, and each job put is at least one.
    """

    _written: int
    _stored: int = 0

    def stored(self, jobs: int) -> None:
        """So many jobs were confirmed."""
        self._stored += jobs

    def has_stopped(self, stats: Mapping[str, Any]) -> bool | None:
        """Whether the log has stopped since the last look; `None` when that cannot be told, as nothing was stored."""
        written, stored = self._written, self._stored
        self._written, self._stored = stats["binlog-records-written"], 0
        if not stats["binlog-current-index"] or not stored:
            return None
        return bool(self._written == written)
