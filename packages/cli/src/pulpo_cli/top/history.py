"""How a queue has been lately: samples, how fast it grows, and a line of little bars. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from pulpo_core import QueueStats

#: Samples kept for each queue, and little bars shown.
LENGTH: Final = 40

#: Samples over which a rate is taken: enough to be calm, few enough to be news.
_WINDOW: Final = 6

_BARS: Final = "▁▂▃▄▅▆▇█"


@attrs.frozen
class Sample:
    """What was counted at one time.

    Attributes:
        at: seconds of a clock that never goes back.
        settled: messages that workers on this host have settled since they began; `None` without any.
    """

    at: float
    stats: QueueStats
    settled: int | None = None

    @property
    def waiting(self) -> int:
        """Messages that are not buried, as far as the queue can count them."""
        stats = self.stats
        return sum(number or 0 for number in (stats.ready, stats.delayed, stats.reserved))


@attrs.define
class History:
    """The last samples of one queue, oldest first."""

    samples: deque[Sample] = attrs.field(factory=lambda: deque(maxlen=LENGTH))

    def add(self, sample: Sample) -> None:
        """Take note of *sample*, the newest."""
        self.samples.append(sample)

    @property
    def last(self) -> Sample | None:
        """The newest sample."""
        return self.samples[-1] if self.samples else None

    @property
    def growth(self) -> float | None:
        """Messages a second by which the backlog grows; negative when it shrinks, `None` before the second sample."""
        return _rate([(sample.at, sample.waiting) for sample in self._recent])

    @property
    def throughput(self) -> float | None:
        """Messages a second that workers on this host settle; `None` where there are none, or one has come or gone."""
        known = [(sample.at, sample.settled) for sample in self._recent if sample.settled is not None]
        values = [value for _, value in known]
        return _rate(known) if values == sorted(values) else None

    @property
    def bars(self) -> str:
        """The backlog over time."""
        return sparkline([sample.waiting for sample in self.samples])

    @property
    def _recent(self) -> Sequence[Sample]:
        return list(self.samples)[-_WINDOW:]


def _rate(points: Sequence[tuple[float, int]]) -> float | None:
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])


def sparkline(values: Iterable[int]) -> str:
    """*values* as bars of a height between 0 and their largest."""
    values = list(values)
    most = max(values, default=0)
    if not most:
        return _BARS[0] * len(values)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] for value in values)
