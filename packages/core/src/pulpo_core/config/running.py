"""From settings to what runs: a dispatcher of the routes, traced if that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pulpo_core.application.dispatcher import Dispatcher
from pulpo_core.application.route import Route
from pulpo_core.domain.errors import ApplicationError
from pulpo_core.ports.observer import Observer

from .routes import dispatcher_options
from .settings import Settings

if TYPE_CHECKING:
    from pulpo_core.observers.otel import Tracing


def tracing_of(settings: Settings) -> Tracing | None:
    """What traces a process with *settings*; `None` when they do not want that.

    Raises:
        ApplicationError: OpenTelemetry's API is not installed.
    """
    if not settings.traces:
        return None
    try:
        from pulpo_core.observers.otel import Tracing  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ApplicationError("OpenTelemetry is not installed: pip install 'pulpo-core[otel]'") from error
    return Tracing()


def dispatcher_of(
    settings: Settings,
    routes: Sequence[Route],
    *,
    tracing: Tracing | None,
    observers: Sequence[Observer] = (),
    **parts: Any,
) -> Dispatcher:
    """A dispatcher of *routes* as *settings* have it.

    Args:
        tracing: `tracing_of` the same settings.
        parts: further arguments of the `Dispatcher`.
    """
    if tracing is not None:
        routes, observers = tracing.instrument(routes), (*observers, tracing)
    return Dispatcher(routes, observers=observers, **parts, **dispatcher_options(settings))
