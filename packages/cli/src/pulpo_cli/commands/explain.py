"""`pulpo explain`: in plain words, what a route does about everything that can happen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import rich_click as click

from pulpo_cli.application import Given, application_options
from pulpo_cli.choosing_routes import Fitted, chosen_routes, fitted
from pulpo_cli.documents import seconds
from pulpo_cli.explain.words import VERBS, rows
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.output import note, say, say_json
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import plural, span
from pulpo_core import Capabilities, ConfigurationError, Policy, Route, as_table
from pulpo_core.foresight import MAX_HOLD, Prospect, crash, limits_of, prospects

_COLUMNS: Final = (Column("when", fold=True), Column("then", fold=True))


@click.command(cls=Command)
@click.argument("route", required=False)
@application_options
@json_option
def explain(*, route: str | None, as_json: bool, **given: Any) -> None:
    """Say what a route does about everything that can happen.

    ROUTE is the name of a route of APP; without it, all of them are explained. What is said is found out by asking the
    policy, fitted to what the queue promises. The queue is opened for a moment, and nothing is received.
    """
    explained = [fitted(each) for each in chosen_routes(route, Given.among(given))]
    for each in explained:
        if each.guess:
            note(f"{each.route.name}: its queue could not be asked, so its adapter's best is told ({each.guess})")
    if as_json:
        say_json([_document(each) for each in explained])
        return
    for index, each in enumerate(explained):
        if index:
            say("")
        print_table(_COLUMNS, _rows(each), title=each.route.name)


def _prospects(subject: Fitted) -> Sequence[Prospect]:
    try:
        return prospects(subject.route, subject.policy, subject.capabilities)
    except OverflowError:
        told = f"route {subject.route.name!r}: with delays as long as its policy's it ends beyond the calendar"
        raise ConfigurationError(told) from None


def _rows(subject: Fitted) -> list[tuple[str, str]]:
    return [*rows(_prospects(subject)), *_other_rows(subject)]


def _other_rows(subject: Fitted) -> list[tuple[str, str]]:
    """What no outcome stands for."""
    return [
        ("the process is killed", _crash(subject)),
        ("the handler runs for long", _lease(subject.capabilities)),
        *_without_limit(subject.route),
        ("a delay is asked for", f"that is the least delay then, up to {span(subject.policy.max_hint)}"),
        ("the handler returns messages", _follow_ups(subject.capabilities)),
        *_default(subject.route),
        *_classifier(subject.policy),
    ]


def _without_limit(route: Route) -> Iterator[tuple[str, str]]:
    if not limits_of(route):
        yield "it never ends", f"timed out after {span(MAX_HOLD)}: no handler has a time limit of its own"


def _default(route: Route) -> Iterator[tuple[str, str]]:
    default = as_table(route.handlers).default
    if default is not None:
        yield "its type is unknown, or missing", f"{default.name} handles it"


def _classifier(policy: Policy) -> Iterator[tuple[str, str]]:
    if policy.classify is not None:
        name = getattr(policy.classify, "__qualname__", "the classifier")
        yield (
            "any exception is raised",
            f"{name} is asked first, and what it says holds",
        )


def _crash(subject: Fitted) -> str:
    ends = crash(subject.policy, subject.capabilities)
    back = "when the queue notices" if ends.lease is None else f"when its lease ends, within {span(ends.lease)}"
    if ends.attempts is None:
        return f"handed out again {back}, without limit"
    return f"handed out again {back}; after {plural(ends.attempts, 'such delivery', 'such deliveries')} buried unrun"


def _lease(capabilities: Capabilities) -> str:
    if capabilities.lease is None:
        return "its lease does not end"
    longest = "" if capabilities.max_hold is None else f", for {span(capabilities.max_hold)} in all at most"
    return f"its lease of {span(capabilities.lease)} is extended again and again{longest}"


def _follow_ups(capabilities: Capabilities) -> str:
    if capabilities.atomic_follow_ups:
        return "published in one transaction with the acknowledgement"
    return "published first, then acknowledged; if one cannot be published, that counts as a failure"


def _document(subject: Fitted) -> dict[str, Any]:
    ends = crash(subject.policy, subject.capabilities)
    return {
        "route": subject.route.name,
        "queue_was_asked": not subject.guess,
        "events": [_event_document(each) for each in _prospects(subject)],
        "crash": {"lease_seconds": seconds(ends.lease), "deliveries_before_burial": ends.attempts},
        "lease": {
            "seconds": seconds(subject.capabilities.lease),
            "max_hold_seconds": seconds(subject.capabilities.max_hold),
        },
        "atomic_follow_ups": subject.capabilities.atomic_follow_ups,
    }


def _event_document(prospect: Prospect) -> dict[str, Any]:
    return {
        "event": prospect.event,
        "detail": prospect.detail,
        "then": [
            {
                "first_attempt": stretch.first,
                "last_attempt": stretch.last,
                "settlement": VERBS[type(stretch.settlement)],
                "reason": str(stretch.reason),
                "counted_as": str(stretch.tally),
                "delays_seconds": [[seconds(each) for each in pair] for pair in stretch.delays],
            }
            for stretch in prospect.stretches
        ],
    }
