"""`pulpo run`: the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import rich_click as click

from pulpo_cli import errors, logs
from pulpo_cli.application import Given, application_options
from pulpo_cli.banner import banner
from pulpo_cli.control import control
from pulpo_cli.frame import Command
from pulpo_cli.ledgers import document
from pulpo_cli.options import SPAN, json_option
from pulpo_cli.output import note, say_json
from pulpo_cli.session import session
from pulpo_cli.telemetry import beside, telemetry_options
from pulpo_cli.tellers import JsonTeller, PlainTeller, Teller
from pulpo_cli.units import plural
from pulpo_core import Report, SystemClock
from pulpo_core.config import LOG_FORMATS, Settings

if TYPE_CHECKING:
    from pulpo_cli.supervisor.account import Account
    from pulpo_cli.supervisor.leash import Leash

_MANY: Final = click.IntRange(min=1)


@click.command(cls=Command)
@application_options
@click.option("--concurrency", type=_MANY, metavar="N", help="Handlers that run at once.  [default: 10 for a route]")
@click.option("--threads", type=_MANY, metavar="N", help="Threads for plain functions.  [default: one for each slot]")
@click.option("--processes", type=_MANY, metavar="N", help="Workers, each a process.  [default: 1]")
@click.option(
    "--process-pool", type=_MANY, metavar="N", help="Processes for handlers that run in one.  [default: CPUs]"
)
@click.option("--timeout", type=SPAN, help="Without APP: how long one message may take.")
@click.option("--max-attempts", type=click.IntRange(min=0), metavar="N", help="Without APP: 0 is unlimited.")
@click.option("--once", is_flag=True, default=None, help="Stop after one receive.")
@click.option("--burst", is_flag=True, default=None, help="Stop when nothing is ready any more.")
@click.option("--max-messages", type=_MANY, metavar="N", help="Stop after so many messages, in all workers.")
@click.option("--max-empty-polls", type=_MANY, metavar="N", help="Stop after so many receives without a message.")
@click.option("--poll-interval", type=SPAN, help="The pause between two of those.  [default: 5s]")
@click.option("--grace", type=SPAN, help="How long handlers may go on after a signal.  [default: 25s]")
@telemetry_options
@click.option("--log-level", type=click.Choice(logs.NAMES), help="The least level that is logged; -v and -q otherwise.")
@click.option(
    "--log-format", type=click.Choice(LOG_FORMATS), help="Lines for people or for machines.  [default: console]"
)
@click.option("--uvloop/--no-uvloop", default=None, help="Run on uvloop, which is an extra.")
@click.option("--reload", is_flag=True, help="For development: start anew when .py and .toml files here change.")
@json_option
def run(*, as_json: bool, reload: bool, **given: Any) -> int:
    """Work: receive messages and hand them to their handlers.

    APP is MODULE:OBJECT: a list of routes, a Route, a Dispatcher, a Manager, a container, or a function that makes one.
    Without APP, --queue and --handler make one route; without those, the routes of the settings are run. Modules are
    found in the working directory too.

    Settings come from pyproject.toml, pulpo.toml, .env and PULPO_… variables; options are stronger than all of them.

    The first Ctrl-C or SIGTERM drains: nothing more is received, what runs may finish. A second one cuts that short.
    At the end the ledger says what became of every message.

    With --processes, workers that crash are replaced, signals reach all of them, and their ledgers are added up.
    """
    leash = session().leash
    wanted = _given(given, leash)
    settings = _shared(wanted.read().settings, leash)
    tell = _teller(settings)
    if leash is not None:
        return _work_on(leash, wanted, settings, tell)
    if settings.banner.enabled and settings.log_format == "console":
        note(banner(settings.banner))
    clock = SystemClock()
    started = clock.monotonic()
    if settings.processes > 1 or reload:
        report, accounts = _supervise(settings, watched=Path.cwd() if reload else None)
    else:
        report, accounts = _work(wanted, settings, tell), []
    elapsed = timedelta(seconds=clock.monotonic() - started)
    if as_json:
        say_json(document(report, elapsed) | ({"workers": [each.as_dict() for each in accounts]} if accounts else {}))
    tell.end(report, elapsed)
    _tell_of_killed(accounts, tell)
    return report.status


def _teller(settings: Settings) -> Teller:
    """Who tells of the run, in the form of its log, which begins here."""
    logs.configure(session().verbosity, form=settings.log_format, level=settings.log_level)
    if settings.output_buffering:
        logs.write_in_blocks()
    return JsonTeller() if settings.log_format == "json" else PlainTeller()


def _work(wanted: Given, settings: Settings, tell: Teller, leash: Leash | None = None) -> Report:
    application = wanted.load(settings)
    dispatcher, own = application.dispatcher, application.settings
    application.check_queues()
    around: list[Any] = [control] if own.control else []
    around += beside(dispatcher, health_port=own.health_port, health_host=own.health_host)
    if leash is None or leash.speaks:
        tell.start(dispatcher)
    if leash is not None:
        around.append(leash.around(application.manager))
    return application.manager.execute(around=around, supervised=leash is not None)


def _work_on(leash: Leash, wanted: Given, settings: Settings, tell: Teller) -> int:
    """As one of several workers: whoever started it tells how it went."""
    report = _work(wanted, settings, tell, leash)
    leash.ended(report, "" if report.error is None else errors.failure_of(report.error).line)
    return report.status


def _supervise(settings: Settings, *, watched: Path | None) -> tuple[Report, Sequence[Account]]:
    from pulpo_cli.supervisor.changes import require_watchfiles  # noqa: PLC0415 - most workers have no supervisor
    from pulpo_cli.supervisor.crew import Crew  # noqa: PLC0415 - as above

    if watched is not None:
        require_watchfiles()
    crew = Crew(session().arguments, settings.processes, max_messages=settings.max_messages, watched=watched)
    return asyncio.run(crew.run()), crew.accounts


def _tell_of_killed(accounts: Sequence[Account], tell: Teller) -> None:
    killed = [each for each in accounts if each.ledgers and not each.final]
    if killed:
        these = plural(len(killed), "worker was", "workers were")
        tell.warn(f"{these} killed: of those only what they had reported shortly before is counted")


def _given(options: dict[str, Any], leash: Leash | None) -> Given:
    if leash is not None and options.get("max_messages") is not None:
        options["max_messages"] = leash.orders.max_messages
    return attrs.evolve(
        Given.among(options), options={name: value for name, value in options.items() if value is not None}
    )


def _shared(settings: Settings, leash: Leash | None) -> Settings:
    """*settings* with this worker's share of what holds for all of them."""
    return settings if leash is None else attrs.evolve(settings, max_messages=leash.orders.max_messages)
