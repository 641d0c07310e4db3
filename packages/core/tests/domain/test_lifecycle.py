"""The life of a message: the whole table, and what it rules out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.errors import PulpoError
from pulpo_core.domain.lifecycle import TRANSITIONS, Event, IllegalTransition, State, advance, newborn

#: Written a second time on purpose: a row that changes has to be changed by somebody who means it.
REFERENCE = """
    ready     received       reserved
    ready     deleted        gone
    delayed   delay-elapsed  ready
    delayed   deleted        gone
    reserved  acked          gone
    reserved  retried        delayed
    reserved  released       ready
    reserved  buried         buried
    reserved  lease-extended reserved
    reserved  lease-expired  ready
    buried    kicked         ready
    buried    deleted        gone
"""

ROWS = {(state, event): after for state, event, after in (line.split() for line in REFERENCE.strip().splitlines())}
FORBIDDEN = [(state, event) for state in State for event in Event if (state, event) not in ROWS]


def test_the_table_is_the_reference_and_nothing_more():
    assert TRANSITIONS == ROWS


def test_there_are_five_states():
    assert list(State) == ["ready", "delayed", "reserved", "buried", "gone"]


@pytest.mark.parametrize(("state", "event"), ROWS, ids=str)
def test_a_row_of_the_table_is_a_legal_move(state, event):
    assert advance(State(state), Event(event)) is State(ROWS[state, event])


@pytest.mark.parametrize(("state", "event"), FORBIDDEN, ids=str)
def test_every_other_move_is_forbidden_by_name(state, event):
    with pytest.raises(IllegalTransition, match=f"a message that is {state} cannot be {event}; accepted: ") as caught:
        advance(state, event)

    assert isinstance(caught.value, PulpoError)


def test_a_forbidden_move_says_which_ones_there_are():
    with pytest.raises(IllegalTransition, match=r"accepted: deleted, kicked$"):
        advance(State.BURIED, Event.RECEIVED)
    with pytest.raises(IllegalTransition, match=r"accepted: nothing$"):
        advance(State.GONE, Event.KICKED)


def test_a_published_message_is_ready_or_delayed():
    assert newborn(delayed=False) is State.READY
    assert newborn(delayed=True) is State.DELAYED


def test_nothing_comes_back_from_the_dead():
    assert not [event for state, event in TRANSITIONS if state is State.GONE]


def test_a_buried_message_moves_by_a_persons_hand_only():
    assert {event for state, event in TRANSITIONS if state is State.BURIED} == {Event.KICKED, Event.DELETED}


def test_a_message_in_somebodys_hands_is_not_deleted():
    assert (State.RESERVED, Event.DELETED) not in TRANSITIONS


def test_only_what_is_ready_is_handed_out():
    assert [(state, event) for (state, event), after in TRANSITIONS.items() if after is State.RESERVED] == [
        (State.READY, Event.RECEIVED),
        (State.RESERVED, Event.LEASE_EXTENDED),
    ]


def test_every_event_moves_something():
    assert {event for _, event in TRANSITIONS} == set(Event)


@given(st.booleans(), st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_happens_a_message_is_in_one_state_and_a_refused_move_changes_nothing(delayed, events):
    state = newborn(delayed=delayed)
    for event in events:
        try:
            after = advance(state, event)
        except IllegalTransition:
            after = state
            assert (state, event) in FORBIDDEN
        state = after

    assert state in State


@pytest.mark.parametrize("state", [state for state in State if state is not State.GONE])
def test_every_message_can_be_worked_off(state):
    reachable = {state}
    while True:
        further = {after for (before, _), after in TRANSITIONS.items() if before in reachable}
        if further <= reachable:
            break
        reachable |= further

    assert reachable == set(State)
