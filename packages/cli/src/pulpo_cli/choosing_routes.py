"""Which route of which application a command is about, and what its queue promises."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import attrs
import rich_click as click

from pulpo_core import (
    Capabilities,
    InvalidURL,
    Policy,
    PulpoError,
    Route,
    UnknownScheme,
    adapter_for,
    open_queue,
)
from pulpo_core.foresight import fit

from . import errors
from .application import Given


def is_application(text: str | None) -> bool:
    """Whether *text* is ``MODULE:OBJECT`` and not the name of a route, which may be a URL."""
    return text is not None and ":" in text and "://" not in text


def chosen_routes(route: str | None, given: Given) -> Sequence[Route]:
    """The route of that name, or all of them.

    Args:
        route: a name, or ``MODULE:OBJECT`` where the application is meant.

    Raises:
        UsageError: no route has that name.
        ConfigurationError: settings are wrong, or the application cannot be imported or run.
    """
    if given.app is None and is_application(route):
        given, route = attrs.evolve(given, app=route), None
    routes = given.load().routes
    if route is None:
        return routes
    found = [each for each in routes if each.name == route]
    if not found:
        raise click.UsageError(f"no route {route!r}; there is {', '.join(repr(each.name) for each in routes)}")
    return found


@attrs.frozen
class Fitted:
    """A route on its queue.

    Attributes:
        policy: of the route, as its queue can honour it.
        capabilities: of the queue.
        guess: why the queue could not be asked, if it could not: what it promises is its adapter's best then.
    """

    route: Route
    policy: Policy
    capabilities: Capabilities
    guess: str = ""


def fitted(route: Route) -> Fitted:
    """*route* on its queue, which is opened for a moment and not received from.

    Raises:
        ConfigurationError: the URL cannot be right, or the queue does not allow what the policy asks for.
    """
    capabilities, guess = asyncio.run(_promised(route))
    return Fitted(route, fit(route.policy, capabilities), capabilities, guess)


async def _promised(route: Route) -> tuple[Capabilities, str]:
    try:
        async with open_queue(route.queue, adapter=route.adapter) as queue:
            return queue.capabilities, ""
    except (InvalidURL, UnknownScheme):
        raise
    except PulpoError as error:
        adapter = route.adapter or adapter_for(route.queue)
        return adapter.capabilities, errors.one_line(str(error))
