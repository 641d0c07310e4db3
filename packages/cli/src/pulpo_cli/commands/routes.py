"""`pulpo routes`: what an application would run."""

from __future__ import annotations

from typing import Any

import rich_click as click

from pulpo_cli.application import Given, application_options
from pulpo_cli.documents import retries, seconds
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.output import say, say_json
from pulpo_cli.tables import Column, print_facts, print_table
from pulpo_cli.units import NOTHING, span
from pulpo_core import BoundHandler, Breaker, JitterMode, Policy, Route, as_table


@click.command(cls=Command)
@application_options
@json_option
def routes(*, as_json: bool, **given: Any) -> None:
    """Show the routes of an application.

    Their queues, handlers with the parameters they want, limits and policies. Queues are not opened.
    """
    application = Given(**given).load()
    application.check_queues()
    shown = application.routes
    if as_json:
        say_json([_document(route) for route in shown])
        return
    for index, route in enumerate(shown):
        if index:
            say("")
        _print(route)


def _handlers(route: Route) -> list[tuple[str | None, BoundHandler]]:
    """Request types and their handlers; the default has no type."""
    table = as_table(route.handlers)
    default = [] if table.default is None else [(None, table.default)]
    return [*table.by_type.items(), *default]


def _document(route: Route) -> dict[str, Any]:
    return {
        "name": route.name,
        "queue": route.queue,
        "translator": type(route.translator).__name__,
        "concurrency": route.concurrency,
        "prefetch": route.prefetch,
        "timeout_seconds": seconds(route.timeout),
        "rate_limit": None if route.rate_limit is None else str(route.rate_limit),
        "breaker": _breaker_document(route.breaker),
        "weight": route.weight,
        "policy": _policy_document(route.policy),
        "handlers": [_handler_document(request_type, bound) for request_type, bound in _handlers(route)],
    }


def _handler_document(request_type: str | None, bound: BoundHandler) -> dict[str, Any]:
    return {
        "request_type": request_type,
        "handler": bound.name,
        "parameters": dict(bound.parameters),
        "runs_in": str(bound.runs_in),
        "timeout_seconds": seconds(bound.timeout),
    }


def _breaker_document(breaker: Breaker | None) -> dict[str, Any] | None:
    return None if breaker is None else {"failures": breaker.failures, "pause_seconds": seconds(breaker.pause)}


def _policy_document(policy: Policy) -> dict[str, Any]:
    return {
        **retries(policy),
        "max_lost": policy.max_lost,
        "fatal": [error.__name__ for error in policy.fatal],
        "transient": [error.__name__ for error in policy.transient],
        "reject": [error.__name__ for error in policy.reject],
        "on_expired": str(policy.on_expired),
    }


def _print(route: Route) -> None:
    facts = {
        "queue": route.queue,
        "translator": type(route.translator).__name__,
        "at once": str(route.concurrency) + (f", {route.prefetch} waiting" if route.prefetch else ""),
        "timeout": "none" if route.timeout is None else span(route.timeout),
        "policy": _policy(route.policy),
    }
    if limits := _limits(route):
        facts["limits"] = limits
    print_facts(facts, title=route.name)
    say("")
    columns = (
        Column("type", fold=True),
        Column("handler", fold=True),
        Column("gets", fold=True),
        Column("runs in"),
        Column("timeout", number=True),
    )
    print_table(columns, [_row(request_type, bound) for request_type, bound in _handlers(route)])


def _limits(route: Route) -> str:
    parts = [] if route.rate_limit is None else [f"no more than {route.rate_limit}"]
    if breaker := route.breaker:
        parts.append(f"after {breaker.failures} failures in a row nothing for {span(breaker.pause)}")
    if route.weight is not None:
        parts.append(f"weight {route.weight}")
    return "; ".join(parts)


def _row(request_type: str | None, bound: BoundHandler) -> tuple[str, ...]:
    return (
        request_type or "any other",
        bound.name,
        ", ".join(f"{name}: {meaning}" for name, meaning in bound.parameters.items()) or NOTHING,
        str(bound.runs_in),
        NOTHING if bound.timeout is None else span(bound.timeout),
    )


def _policy(policy: Policy) -> str:
    attempts = {None: "10 attempts, or fewer if the queue says so", 0: "unlimited attempts", 1: "1 attempt"}
    parts = [attempts.get(policy.max_attempts, f"{policy.max_attempts} attempts")]
    backoff = policy.backoff
    jitter = "no" if backoff.jitter is JitterMode.NONE else backoff.jitter
    parts.append(f"backoff {span(backoff.base)} × {backoff.factor:g} up to {span(backoff.cap)}, {jitter} jitter")
    for word in ("fatal", "reject"):
        if classes := getattr(policy, word):
            parts.append(f"{word}: {', '.join(error.__name__ for error in classes)}")
    if policy.max_age is not None:
        parts.append(f"no retry {span(policy.max_age)} after publishing")
    return "; ".join(parts)
