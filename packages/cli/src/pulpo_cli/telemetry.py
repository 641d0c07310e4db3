"""What a worker tells those who watch it, beside its log: health, metrics, traces."""

from __future__ import annotations

import logging
from typing import Any

import rich_click as click

from pulpo_core import Dispatcher
from pulpo_core.observers.health import HealthServer, Metrics

from .options import together
from .session import session

log = logging.getLogger("pulpo.run")

#: Let a command take the options of this module.
telemetry_options = together(
    click.option(
        "--health-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve /livez, /readyz and /metrics; with --processes, the next ports too.",
    ),
    click.option("--health-host", metavar="HOST", help="Where the health port listens.  [default: 127.0.0.1]"),
    click.option(
        "--traces/--no-traces",
        default=None,
        help="Tell OpenTelemetry what is published and handled.",
    ),
)


def beside(dispatcher: Dispatcher, *, health_port: int | None, health_host: str | None) -> list[Any]:
    """What is open beside *dispatcher* while it runs: the health server and what counts its queues, if wanted.

    Returns:
        For `Manager.execute` and its ``around``.
    """
    if health_port is None:
        return []
    metrics, around = _metrics(dispatcher)
    server = HealthServer(host=health_host or "127.0.0.1", port=port_of_child(health_port), metrics=metrics)
    return [server.around, *around]


def port_of_child(port: int) -> int:
    """The health port of this process: *port*, or in one of several workers *port* and its place; 0 stays 0."""
    leash = session().leash
    return port and port + (leash.orders.place if leash else 0)


def _metrics(dispatcher: Dispatcher) -> tuple[Metrics | None, list[Any]]:
    try:
        from pulpo_core.observers.prometheus import PrometheusObserver  # noqa: PLC0415 - an extra
    except ImportError:
        log.debug("no metrics: prometheus-client is not installed")
        return None, []
    observer = PrometheusObserver(dispatcher.routes)
    dispatcher.observe(observer)
    return observer.metrics(), [observer.around]
