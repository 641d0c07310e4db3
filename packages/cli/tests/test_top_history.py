"""Rates and bars of `pulpo top`, from samples."""

import pytest

from pulpo_cli.top.cells import rate
from pulpo_cli.top.history import LENGTH, History, Sample, sparkline
from pulpo_core import QueueStats


def history(*points: tuple[float, int] | tuple[float, int, int | None]) -> History:
    """Samples of (time, ready, settled)."""
    made = History()
    for at, ready, *settled in points:
        made.add(Sample(at, QueueStats(ready=ready, delayed=None, buried=99), settled[0] if settled else None))
    return made


def test_a_rate_needs_two_samples() -> None:
    assert history().growth is None
    assert history((0, 5)).growth is None


def test_growth_is_the_change_of_what_is_not_buried() -> None:
    assert history((0, 10), (2, 20)).growth == 5
    assert history((0, 20), (4, 0)).growth == -5


def test_a_rate_forgets_what_is_long_ago() -> None:
    burst = [(0.0, 0)] + [(float(at), 1000) for at in range(1, 10)]

    assert history(*burst).growth == 0


def test_throughput_comes_from_the_workers_on_this_host() -> None:
    assert history((0, 9, 100), (2, 9, 140)).throughput == 20
    assert history((0, 9), (2, 9)).throughput is None


def test_a_worker_that_has_gone_makes_no_negative_throughput() -> None:
    assert history((0, 9, 140), (2, 9, 20)).throughput is None


def test_two_samples_at_one_time_make_no_rate() -> None:
    assert history((1, 5), (1, 9)).growth is None


def test_samples_are_bounded() -> None:
    assert len(history(*((float(at), at) for at in range(200))).bars) == LENGTH


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        pytest.param([], "", id="nothing"),
        pytest.param([0, 0, 0], "▁▁▁", id="an empty queue"),
        pytest.param([0, 50, 100], "▁▅█", id="between 0 and the largest"),
        pytest.param([7, 7], "██", id="as high as ever"),
    ],
)
def test_bars_are_as_high_as_their_values(values: list[int], bars: str) -> None:
    assert sparkline(values) == bars


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (None, False, "–"),
        (12.34, False, "12.3"),
        (12.34, True, "+12.3"),
        (-3.0, True, "-3.0"),
        (0.01, True, "0.0"),
        (-0.01, True, "0.0"),
        (12345.6, False, "12,345.6"),
    ],
)
def test_a_rate_has_its_sign_only_if_it_says_something(value: float | None, signed: bool, text: str) -> None:
    assert rate(value, signed=signed) == text
