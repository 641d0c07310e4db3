"""What is done after which outcome, and the life of a message."""

from __future__ import annotations

from pulpo_core import AGAIN_TABLE, TABLE, TRANSITIONS, Backoff, Policy, Reason, State
from pulpo_core.domain.decision import AgainRow, Row
from pulpo_core.domain.lifecycle import Move

from .markdown import code, fields_of, first_paragraph, paragraphs, table


def decisions() -> str:
    """The rows by which deliveries are settled."""
    outcomes = {row.outcome: None for row in TABLE}
    return paragraphs(
        "# What is done after which outcome",
        "The rows by which pulpo settles deliveries: `pulpo_core.decide` reads them, from the top, and the first that"
        " fits counts. Nothing decides beside them. `pulpo explain` reads them for a route of yours.",
        table(("outcome", "if", "settlement", "reason"), [_row(each) for each in TABLE]),
        "## Again, or not",
        "Where the settlement is *again*, these rows say whether there is an again.",
        table(("if", "settlement", "reason"), [_again(each) for each in AGAIN_TABLE]),
        "## Outcomes",
        table(("outcome", "what happened"), [(code(each.__name__), first_paragraph(each)) for each in outcomes]),
        "## Reasons",
        "A closed list of words; they are in queues, logs, metrics and commands: "
        + ", ".join(code(each.value) for each in Reason)
        + ".",
        "## `Policy`",
        first_paragraph(Policy),
        fields_of(Policy),
        "## `Backoff`",
        first_paragraph(Backoff),
        fields_of(Backoff),
    )


def _row(row: Row) -> tuple[str, ...]:
    return code(row.outcome.__name__), row.condition, str(row.verdict), code(row.reason.value)


def _again(row: AgainRow) -> tuple[str, ...]:
    return row.condition, str(row.verdict), code(row.reason.value) if row.reason else "as above"


def lifecycle() -> str:
    """The states of a message, as a diagram and as a table."""
    moves = list(dict.fromkeys(move for _, move in TRANSITIONS))
    rows = [(code(move), *[_after(state, move) for state in State]) for move in moves]
    return paragraphs(
        "# The life of a message",
        "In every queue, whatever its kind, a message is in one of these states, and makes only these moves. The queue"
        " in memory is driven by this table, and the [contract](contract.md) holds every adapter to it.",
        "![The states of a message and the moves between them, as in the table below](lifecycle.svg)",
        table(("what happens", *(str(state) for state in State)), rows),
    )


def _after(state: State, move: Move) -> str:
    after = TRANSITIONS.get((state, move))
    return "" if after is None else str(after)
