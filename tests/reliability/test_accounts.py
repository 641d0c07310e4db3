"""The accounts of a campaign say what was lost, what came from nowhere, and why what came again came again."""

from collections import Counter

import pytest

from tests.reliability.accounts import Accounts, Fault
from tests.reliability.campaign import check
from tests.reliability.journal import Journal, Line, read

WORKER, OTHER = 7, 8


def accounts(*events, faults=(), died=None, buried=None):
    """Of *events*, each a word with the writer it comes from, one second apart, all about message 1."""
    lines = [Line(float(when), writer, what, 1, 1) for when, (what, writer) in enumerate(events)]
    return Accounts(lines, faults, died or {}, buried or {})


def told(what, writer=WORKER):
    return what, writer


PUBLISHED = told("try"), told("ok")
HANDLED = told("start"), told("end")


def test_what_is_handled_or_buried_is_not_lost():
    assert accounts(*PUBLISHED, *HANDLED).lost == set()
    assert accounts(*PUBLISHED, buried={1: "fatal"}).lost == set()


def test_what_is_confirmed_and_neither_handled_nor_buried_is_lost():
    assert accounts(*PUBLISHED, told("start")).lost == {1}


def test_what_nobody_has_confirmed_is_in_doubt_and_may_come_or_not():
    assert accounts(told("try")).doubtful == {1}
    assert accounts(told("try"), *HANDLED).lost == set()


def test_what_was_refused_and_comes_all_the_same_is_a_phantom():
    with pytest.raises(AssertionError, match="phantom"):
        check(accounts(told("try"), told("refused"), *HANDLED), [])


@pytest.mark.parametrize(
    ("first", "cause"),
    [
        ((told("start"), told("fail"), told("retried")), "retried"),
        ((told("start"), told("lease_lost")), "its lease was lost"),
        ((told("start"), told("end"), told("in_doubt")), "its settlement was in doubt"),
        ((told("start"), told("released")), "given back"),
    ],
)
def test_each_repetition_has_the_cause_that_its_worker_has_told(first, cause):
    assert accounts(*PUBLISHED, *first, *[(what, OTHER) for what, _ in HANDLED]).again() == Counter({cause: 1})


def test_a_worker_that_died_explains_what_it_had_not_finished_or_just_finished():
    for first in ((told("start"),), HANDLED):
        again = accounts(*PUBLISHED, *first, told("start", OTHER), told("end", OTHER), died={WORKER: 5.0}).again()
        assert again == Counter({"its worker died": 1})


def test_a_death_long_after_explains_nothing():
    events = (*PUBLISHED, *HANDLED, told("start", OTHER), told("end", OTHER))

    assert accounts(*events, died={WORKER: 100.0}).again() == Counter({"UNEXPLAINED": 1})


def test_a_repetition_without_a_cause_fails_the_campaign():
    with pytest.raises(AssertionError, match="UNEXPLAINED"):
        check(accounts(*PUBLISHED, *HANDLED, *HANDLED), [])


def test_a_fault_of_the_broker_explains_what_came_again_at_that_time():
    faults = [Fault(3.5, "connections cut"), Fault(3.6, "worker killed")]

    assert accounts(*PUBLISHED, *HANDLED, *HANDLED, faults=faults).again() == Counter({"near: connections cut": 1})


def test_a_journal_is_read_as_it_was_written(tmp_path):
    journal = Journal(tmp_path / "1.journal")
    journal.note("start", 5, 2)
    journal.note("end", 5, 2)

    assert [(line.what, line.number, line.attempt) for line in read(tmp_path)] == [("start", 5, 2), ("end", 5, 2)]
