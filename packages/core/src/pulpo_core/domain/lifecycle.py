"""The life of a message in any queue, as one table.

Two rules. Every move a message can make is a row of `TRANSITIONS`; what is not a row is forbidden.
Nothing else in pulpo decides about states: the memory adapter, the contract kit and the diagram in
the documentation all read these rows.

::

    published ──► READY ◄──────────────── delay elapsed ──── DELAYED ◄── published with a delay
                  │  ▲  ◄─ lease expired, released, kicked     ▲
        received  │  │                                         │ retried
                  ▼  │                                         │
                RESERVED ──────────────────────────────────────┘
                  │   └── buried ──► BURIED ── kicked ──► READY
                  └── acked ──► GONE      └── deleted ──► GONE
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from .errors import PulpoError


class State(StrEnum):
    """Where a message is."""

    READY = "ready"
    DELAYED = "delayed"
    RESERVED = "reserved"
    BURIED = "buried"
    GONE = "gone"


class Move(StrEnum):
    """What can happen to a message."""

    RECEIVED = "received"
    ACKED = "acked"
    RETRIED = "retried"
    RELEASED = "released"
    BURIED = "buried"
    LEASE_EXTENDED = "lease-extended"
    LEASE_EXPIRED = "lease-expired"
    DELAY_ELAPSED = "delay-elapsed"
    KICKED = "kicked"
    DELETED = "deleted"


class IllegalTransition(PulpoError):
    """A message in this state cannot make that move."""


TRANSITIONS: Final[Mapping[tuple[State, Move], State]] = {
    (State.READY, Move.RECEIVED): State.RESERVED,
    (State.READY, Move.DELETED): State.GONE,
    (State.DELAYED, Move.DELAY_ELAPSED): State.READY,
    (State.DELAYED, Move.DELETED): State.GONE,
    (State.RESERVED, Move.ACKED): State.GONE,
    (State.RESERVED, Move.RETRIED): State.DELAYED,
    (State.RESERVED, Move.RELEASED): State.READY,
    (State.RESERVED, Move.BURIED): State.BURIED,
    (State.RESERVED, Move.LEASE_EXTENDED): State.RESERVED,
    (State.RESERVED, Move.LEASE_EXPIRED): State.READY,
    (State.BURIED, Move.KICKED): State.READY,
    (State.BURIED, Move.DELETED): State.GONE,
}


def newborn(*, delayed: bool) -> State:
    """The state of a message that has just been published."""
    return State.DELAYED if delayed else State.READY


def advance(state: State, move: Move) -> State:
    """The state after *move*.

    Raises:
        IllegalTransition: the table has no such row.
    """
    try:
        return TRANSITIONS[state, move]
    except KeyError:
        accepted = ", ".join(sorted(e for s, e in TRANSITIONS if s is state)) or "nothing"
        raise IllegalTransition(f"a message that is {state} cannot be {move}; accepted: {accepted}") from None
