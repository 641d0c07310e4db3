"""Attempts from a job's own statistics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_adapter_beanstalkd.attempts import CAREFUL_JOBS, Baseline, Count, Freshness, count, lost_in_all, tried


def stats(reserves: int, **others: int) -> dict[str, int]:
    """The counters of a job that is reserved."""
    return {"reserves": reserves, "timeouts": 0, "releases": 0, "buries": 0, "kicks": 0} | others


@pytest.mark.parametrize(
    ("counters", "baseline", "expected"),
    [
        pytest.param(stats(1), None, Count(1, 0), id="the first delivery"),
        pytest.param(stats(3, releases=2), None, Count(3, 0), id="two failures"),
        pytest.param(stats(3, timeouts=2), None, Count(3, 2), id="two leases that ran out"),
        pytest.param(stats(4, timeouts=1, releases=1), None, Count(4, 2), id="a crash is in no counter but reserves"),
        pytest.param(stats(5, releases=1, kicks=1), None, Count(5, 3), id="a kick that ended a delay begins nothing"),
        pytest.param(
            stats(11, releases=9, buries=1, kicks=1), Baseline(10, 0, 0), Count(1, 0), id="kicked: a fresh start"
        ),
        pytest.param(
            stats(13, releases=9, buries=1, kicks=1), Baseline(10, 0, 0), Count(3, 2), id="kicked, then two crashes"
        ),
        pytest.param(
            stats(13, releases=7, buries=1, kicks=1), Baseline(10, 2, 0), Count(3, 2), id="old crashes do not count"
        ),
        pytest.param(
            stats(10, releases=8, buries=1, kicks=1),
            None,
            Count(9, 0),
            id="kicked, its record lost",
        ),
        pytest.param(
            stats(2, releases=0, buries=1, kicks=1), Baseline(9, 0, 0), Count(1, 0), id="counters that went back"
        ),
        pytest.param(
            stats(4, releases=2, buries=1, kicks=1), Baseline(3, 0, 1), Count(3, 0), id="a record of a later burial"
        ),
    ],
)
def test_attempts_are_counted_since_publish_or_kick(
    counters: dict[str, int], baseline: Baseline | None, expected: Count
) -> None:
    assert count(counters, baseline) == expected


counters = st.integers(0, 50)


@given(reserves=st.integers(1, 200), timeouts=counters, releases=counters, buries=counters, kicks=counters)
def test_no_counters_make_nonsense(reserves: int, timeouts: int, releases: int, buries: int, kicks: int) -> None:
    about = stats(reserves, timeouts=timeouts, releases=releases, buries=buries, kicks=kicks)
    for baseline in (None, Baseline(buries, 0, kicks - 1), Baseline(250, 250, 0)):
        counted = count(about, baseline)
        assert 1 <= counted.attempt <= reserves
        assert 0 <= counted.lost < counted.attempt
        assert 0 <= tried(about, baseline) <= reserves
    assert lost_in_all(about) < reserves


@given(kicks=st.integers(1, 5), crashes=st.integers(1, 60))
def test_a_crash_loop_ends_even_when_every_record_is_lost(kicks: int, crashes: int) -> None:
    attempts = [count(stats(kicks + n, buries=kicks, kicks=kicks)).attempt for n in range(1, crashes + 1)]

    assert attempts == list(range(1, crashes + 1))


class TestFreshness:
    """Which jobs need not be looked at."""

    def careless(self, **arguments: bool) -> Freshness:
        freshness = Freshness(**arguments)
        for job in range(1, CAREFUL_JOBS + 1):
            assert freshness.suspect(job, shared=False), "the first jobs are looked at one by one"
        return freshness

    def test_ids_above_all_seen_are_new(self) -> None:
        freshness = self.careless()

        assert not freshness.suspect(1_000, shared=False)
        assert freshness.suspect(1_000, shared=False), "seen before"
        assert freshness.suspect(999, shared=False), "older than one that was seen"

    def test_beside_other_consumers_an_id_says_nothing(self) -> None:
        assert self.careless().suspect(1_000, shared=True)

    def test_after_a_lost_connection_it_begins_again(self) -> None:
        freshness = self.careless()
        freshness.start_again()

        assert freshness.suspect(1_000, shared=False)

    def test_always_is_always(self) -> None:
        assert self.careless(always=True).suspect(1_000, shared=False)
