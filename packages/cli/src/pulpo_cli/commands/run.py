"""`pulpo run`: the worker."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli import logs
from pulpo_cli.application import Given, application_options
from pulpo_cli.frame import Command
from pulpo_cli.ledgers import document
from pulpo_cli.options import SPAN, json_option
from pulpo_cli.output import say_json
from pulpo_cli.session import session
from pulpo_cli.telemetry import beside, telemetry_options
from pulpo_cli.tellers import JsonTeller, PlainTeller, Teller
from pulpo_core import Dispatcher, Manager, Route, SystemClock, Until, open_queue

#: Options that belong to the one route which the command line makes, and to nothing else.
_OF_THE_ROUTE: Final = ("timeout", "max_attempts")

#: Options that become arguments of the dispatcher.
_OF_THE_DISPATCHER: Final = ("concurrency", "threads", "grace")

#: Options that say when to stop.
_OF_UNTIL: Final = tuple(field.name for field in attrs.fields(Until))

_MANY: Final = click.IntRange(min=1)


@click.command(cls=Command)
@application_options
@click.option("--concurrency", type=_MANY, metavar="N", help="Handlers that run at once.  [default: 10 for a route]")
@click.option("--threads", type=_MANY, metavar="N", help="Threads for plain functions.  [default: one for each slot]")
@click.option("--timeout", type=SPAN, help="Without APP: how long one message may take.")
@click.option("--max-attempts", type=click.IntRange(min=0), metavar="N", help="Without APP: 0 is unlimited.")
@click.option("--once", is_flag=True, default=None, help="Stop after one receive.")
@click.option("--burst", is_flag=True, default=None, help="Stop when nothing is ready any more.")
@click.option("--max-messages", type=_MANY, metavar="N", help="Stop after so many messages.")
@click.option("--max-empty-polls", type=_MANY, metavar="N", help="Stop after so many receives without a message.")
@click.option("--poll-interval", type=SPAN, help="The pause between two of those.  [default: 5s]")
@click.option("--grace", type=SPAN, help="How long handlers may go on after a signal.  [default: 25s]")
@telemetry_options
@click.option("--log-level", type=click.Choice(logs.NAMES), help="The least level that is logged; -v and -q otherwise.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
@json_option
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    as_json: bool,
    log_format: str,
    log_level: str | None,
    health_port: int | None,
    health_host: str | None,
    **given: Any,
) -> int:
    """Work: receive messages and hand them to their handlers.

    APP is MODULE:OBJECT: a list of routes, a Route, a Dispatcher, a Manager, or a function that makes one. Without APP,
    --queue and --handler make one route. Modules are found in the working directory too.

    The first Ctrl-C or SIGTERM drains: nothing more is received, what runs may finish. A second one cuts that short.
    At the end the ledger says what became of every message.
    """
    logs.configure(session().verbosity, form=log_format, level=log_level)
    manager = _manager(context, {name: value for name, value in given.items() if value is not None})
    tell: Teller = JsonTeller() if log_format == "json" else PlainTeller()
    _check_queues(manager.dispatcher)
    around = beside(manager.dispatcher, health_port=health_port, health_host=health_host)
    tell.start(manager.dispatcher)
    clock = SystemClock()
    started = clock.monotonic()
    report = manager.execute(around=around)
    elapsed = timedelta(seconds=clock.monotonic() - started)
    if as_json:
        say_json(document(report, elapsed))
    tell.end(report, elapsed)
    return report.status


def _manager(context: click.Context, chosen: Mapping[str, Any]) -> Manager:
    limits = {name: chosen[name] for name in _OF_THE_ROUTE if name in chosen}
    if "app" not in chosen and "concurrency" in chosen:
        limits["concurrency"] = chosen["concurrency"]
    given = Given(
        app=chosen.get("app"),
        queue=chosen.get("queue"),
        handlers=chosen["handlers"],
        translator=chosen.get("translator"),
        error_handler=chosen.get("error_handler"),
        limits=limits,
    )
    found = given.load(context)
    if isinstance(found, list):
        return Manager(_dispatcher(found, chosen))
    for name in (*_OF_THE_DISPATCHER, *_OF_UNTIL):
        if name in chosen:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option}: {chosen['app']} is a {type(found).__name__}, which says it for itself")
    return found if isinstance(found, Manager) else Manager(found)


def _check_queues(dispatcher: Dispatcher) -> None:
    """Find wrong URLs before anything is said or done: an adapter tells them as soon as it is asked to open one.

    Raises:
        ConfigurationError: a URL has no adapter, or its adapter does not accept it.
    """
    for route in dispatcher.routes:
        open_queue(route.queue, adapter=route.adapter)


def _dispatcher(routes: list[Route], chosen: Mapping[str, Any]) -> Dispatcher:
    until = Until(**{name: chosen[name] for name in _OF_UNTIL if name in chosen})
    return Dispatcher(routes, until=until, **{name: chosen[name] for name in _OF_THE_DISPATCHER if name in chosen})
