"""How often a job was tried, from its own statistics, and when these must be asked for: pure.

beanstalkd counts reserves, and never starts again from 0. Every reserve ends by a delete, release,
bury, timeout, or because its connection went; so those that ended without any outcome are what
reserves, releases and buries leave over. What came before the last burial does not count after a
kick: the burial's record says how much that was.

The counters are beanstalkd's memory: after its restart they are what they were at the job's last
delayed release, burial or kick, so they can go back, and what they say holds for one run of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

#: After a connection was lost or first opened, so many jobs are looked at one by one.
CAREFUL_JOBS: Final = 64


@attrs.frozen(slots=True)
class Count:
    """Attempts since publish or kick, the present one included; how many of them were lost."""

    attempt: int
    lost: int


@attrs.frozen(slots=True)
class Baseline:
    """The counters of a job when it was buried."""

    reserves: int
    lost: int
    kicks: int


_NOTHING: Final = Baseline(0, 0, 0)


def lost_in_all(stats: Mapping[str, Any]) -> int:
    """Reserves that ended without an outcome, of a job that is reserved now."""
    return max(0, int(stats["reserves"]) - 1 - int(stats["releases"]) - int(stats["buries"]))


def was_buried(stats: Mapping[str, Any]) -> bool:
    """Whether the job is buried, or was once."""
    return bool(stats["buries"])


def was_kicked(stats: Mapping[str, Any]) -> bool:
    """Whether the job may have been buried and kicked; a kick can also have ended a delay."""
    return bool(stats["kicks"] and stats["buries"])


def _before(stats: Mapping[str, Any], baseline: Baseline | None) -> Baseline:
    """What of the counters belongs to the time before the last kick.

    Without a *baseline*, a job that was kicked has at least as many earlier reserves as burials:
    that many do not count, so that a lost record can neither stop a kicked job from being tried
    once more, nor let a crash loop go on for ever.
    """
    if not was_kicked(stats):
        return _NOTHING
    if baseline is None or baseline.kicks >= stats["kicks"]:
        return Baseline(min(int(stats["buries"]), int(stats["reserves"])), 0, 0)
    return baseline


def count(stats: Mapping[str, Any], baseline: Baseline | None = None) -> Count:
    """The attempts of a job that is reserved now; *baseline* is that of its last burial, where known."""
    before = _before(stats, baseline)
    attempt = max(1, int(stats["reserves"]) - before.reserves)
    return Count(attempt, min(max(0, lost_in_all(stats) - before.lost), attempt - 1))


def tried(stats: Mapping[str, Any], baseline: Baseline | None = None) -> int:
    """How often a job was tried since publish or kick."""
    return max(0, int(stats["reserves"]) - _before(stats, baseline).reserves)


@attrs.define(slots=True, eq=False)
class Freshness:
    """Which jobs can only be new, so that their statistics need not be asked for.

    Ids grow. A job whose id is above all that were seen was never ours; it can only be another
    consumer's leaving. So jobs are looked at one by one after (re)connecting, when their id is not
    above all seen, and while others take from the tube too. Whoever takes alone, as fast as can be,
    pays for none of this.

    Attributes:
        always: look at every job.
    """

    always: bool = False
    _highest: int = attrs.field(init=False, default=0)
    _careful: int = attrs.field(init=False, default=CAREFUL_JOBS)

    def start_again(self) -> None:
        """A connection was lost: beanstalkd may have been restarted, and ids may have begun again."""
        self._highest, self._careful = 0, CAREFUL_JOBS

    def suspect(self, job_id: int, *, shared: bool) -> bool:
        """Take note of a job just reserved; whether its statistics must be asked for."""
        above = job_id > self._highest
        if above:
            self._highest = job_id
        careful, self._careful = self._careful > 0, max(0, self._careful - 1)
        return self.always or careful or shared or not above
