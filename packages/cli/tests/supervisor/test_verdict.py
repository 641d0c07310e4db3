"""What is done when a worker has ended."""

from datetime import timedelta

import pytest

from pulpo_cli.supervisor.verdict import GIVE_UP_AFTER, QUICK, Again, Done, Ending, Past, StopAll, verdict

FRESH, PROVEN = False, True


def ended(status: int, age: timedelta = timedelta(minutes=5)) -> Ending:
    return Ending(status=status, age=age)


ROWS = {
    "what is done is done": (0, PROVEN, 1, Done()),
    "wrong settings would be wrong again": (2, FRESH, 1, StopAll(2)),
    "settings can become wrong while it runs": (2, PROVEN, 1, StopAll(2)),
    "an application that cannot be imported": (4, FRESH, 1, StopAll(4)),
    "what the adapter cannot do": (6, PROVEN, 1, StopAll(6)),
    "a broker that was never there": (3, FRESH, 1, StopAll(3)),
    "a broker that is away for now": (3, PROVEN, 1, Again(timedelta(milliseconds=250))),
    "a defect": (1, FRESH, 1, Again(timedelta(milliseconds=250))),
    "a kill": (-9, PROVEN, 1, Again(timedelta(milliseconds=250))),
    "a segmentation fault": (-11, FRESH, 1, Again(timedelta(milliseconds=250))),
    "a handler that ends its process": (7, PROVEN, 1, Again(timedelta(milliseconds=250))),
    "what was left unsettled": (130, PROVEN, 1, Again(timedelta(milliseconds=250))),
    "the fourth time in a row": (-9, PROVEN, 4, Again(timedelta(seconds=2))),
    "many times in a row": (-9, PROVEN, 9, Again(timedelta(seconds=5))),
    "too many times, by a signal": (-9, PROVEN, GIVE_UP_AFTER, StopAll(1, gave_up=True)),
    "too many times, by itself": (7, PROVEN, GIVE_UP_AFTER, StopAll(7, gave_up=True)),
}


@pytest.mark.parametrize(("status", "proven", "quick", "expected"), ROWS.values(), ids=ROWS)
def test_a_worker_is_replaced_unless_another_would_fare_no_better(status, proven, quick, expected):
    assert verdict(ended(status), Past(quick=quick), proven=proven, stopping=False) == expected


@pytest.mark.parametrize("status", [0, 1, 2, 130, -9])
def test_nobody_is_replaced_while_all_are_stopped(status):
    assert verdict(ended(status), Past(quick=1), proven=False, stopping=True) == Done()


def test_only_quick_ends_in_a_row_count():
    past = Past()
    for _ in range(3):
        past = past.after(ended(-9, QUICK / 2))
    assert past == Past(quick=3)
    assert past.after(ended(-9, QUICK)) == Past(quick=1)


@pytest.mark.parametrize(
    ("status", "said"),
    [(3, "ended with status 3"), (-9, "was killed by SIGKILL"), (-200, "was killed by signal 200")],
)
def test_an_end_is_told_in_words(status, said):
    assert str(ended(status)) == said
