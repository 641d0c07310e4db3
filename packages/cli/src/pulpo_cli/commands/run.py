"""`pulpo run`: the worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli import logs
from pulpo_cli.application import Given, application_options
from pulpo_cli.control import control
from pulpo_cli.frame import Command
from pulpo_cli.ledgers import document
from pulpo_cli.options import SPAN, json_option
from pulpo_cli.output import say_json
from pulpo_cli.session import session
from pulpo_cli.telemetry import beside, telemetry_options
from pulpo_cli.tellers import JsonTeller, PlainTeller, Teller
from pulpo_core import Dispatcher, SystemClock, open_queue
from pulpo_core.config import LOG_FORMATS

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
@click.option(
    "--log-format", type=click.Choice(LOG_FORMATS), help="Lines for people or for machines.  [default: console]"
)
@click.option("--uvloop/--no-uvloop", default=None, help="Run on uvloop, which is an extra.")
@json_option
def run(*, as_json: bool, **given: Any) -> int:
    """Work: receive messages and hand them to their handlers.

    APP is MODULE:OBJECT: a list of routes, a Route, a Dispatcher, a Manager, a container, or a function that makes one.
    Without APP, --queue and --handler make one route; without those, the routes of the settings are run. Modules are
    found in the working directory too.

    Settings come from pyproject.toml, pulpo.toml, .env and PULPO_… variables; options are stronger than all of them.

    The first Ctrl-C or SIGTERM drains: nothing more is received, what runs may finish. A second one cuts that short.
    At the end the ledger says what became of every message.
    """
    wanted = _given(given)
    settings = wanted.read().settings
    logs.configure(session().verbosity, form=settings.log_format, level=settings.log_level)
    application = wanted.load(settings)
    tell: Teller = JsonTeller() if settings.log_format == "json" else PlainTeller()
    _check_queues(application.dispatcher)
    around = [control] if settings.control else []
    around += beside(application.dispatcher, health_port=settings.health_port, health_host=settings.health_host)
    tell.start(application.dispatcher)
    clock = SystemClock()
    started = clock.monotonic()
    report = application.manager.execute(around=around)
    elapsed = timedelta(seconds=clock.monotonic() - started)
    if as_json:
        say_json(document(report, elapsed))
    tell.end(report, elapsed)
    return report.status


def _given(options: dict[str, Any]) -> Given:
    own = {field.name: options.pop(field.name) for field in attrs.fields(Given) if field.name in options}
    return Given(**own, options={name: value for name, value in options.items() if value is not None})


def _check_queues(dispatcher: Dispatcher) -> None:
    """Find wrong URLs before anything is said or done: an adapter tells them as soon as it is asked to open one.

    Raises:
        ConfigurationError: a URL has no adapter, or its adapter does not accept it.
    """
    for route in dispatcher.routes:
        open_queue(route.queue, adapter=route.adapter)
