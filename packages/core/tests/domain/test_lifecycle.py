"""The life of a message: the whole table, and what it rules out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core.domain.errors import PulpoError
from pulpo_core.domain.lifecycle import TRANSITIONS, IllegalTransition, Move, State, advance, newborn

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

ROWS = {(state, move): after for state, move, after in (line.split() for line in REFERENCE.strip().splitlines())}
FORBIDDEN = [(state, move) for state in State for move in Move if (state, move) not in ROWS]


def test_the_table_is_the_reference_and_nothing_more():
    assert TRANSITIONS == ROWS


def test_there_are_five_states():
    assert list(State) == ["ready", "delayed", "reserved", "buried", "gone"]


@pytest.mark.parametrize(("state", "move"), ROWS, ids=str)
def test_a_row_of_the_table_is_a_legal_move(state, move):
    assert advance(State(state), Move(move)) is State(ROWS[state, move])


@pytest.mark.parametrize(("state", "move"), FORBIDDEN, ids=str)
def test_every_other_move_is_forbidden_by_name(state, move):
    with pytest.raises(IllegalTransition, match=f"a message that is {state} cannot be {move}; accepted: ") as caught:
        advance(state, move)

    assert isinstance(caught.value, PulpoError)


def test_a_forbidden_move_says_which_ones_there_are():
    with pytest.raises(IllegalTransition, match=r"accepted: deleted, kicked$"):
        advance(State.BURIED, Move.RECEIVED)
    with pytest.raises(IllegalTransition, match=r"accepted: nothing$"):
        advance(State.GONE, Move.KICKED)


def test_a_published_message_is_ready_or_delayed():
    assert newborn(delayed=False) is State.READY
    assert newborn(delayed=True) is State.DELAYED


def test_nothing_comes_back_from_the_dead():
    assert not [move for state, move in TRANSITIONS if state is State.GONE]


def test_a_buried_message_moves_by_a_persons_hand_only():
    assert {move for state, move in TRANSITIONS if state is State.BURIED} == {Move.KICKED, Move.DELETED}


def test_a_message_in_somebodys_hands_is_not_deleted():
    assert (State.RESERVED, Move.DELETED) not in TRANSITIONS


def test_only_what_is_ready_is_handed_out():
    assert [(state, move) for (state, move), after in TRANSITIONS.items() if after is State.RESERVED] == [
        (State.READY, Move.RECEIVED),
        (State.RESERVED, Move.LEASE_EXTENDED),
    ]


def test_every_event_moves_something():
    assert {move for _, move in TRANSITIONS} == set(Move)


@given(st.booleans(), st.lists(st.sampled_from(Move), max_size=30))
def test_whatever_happens_a_message_is_in_one_state_and_a_refused_move_changes_nothing(delayed, moves):
    state = newborn(delayed=delayed)
    for move in moves:
        try:
            after = advance(state, move)
        except IllegalTransition:
            after = state
            assert (state, move) in FORBIDDEN
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
