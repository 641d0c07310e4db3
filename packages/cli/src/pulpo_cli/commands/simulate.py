"""`pulpo simulate`: how a policy works out, without a queue."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli.application import Given, application_options
from pulpo_cli.choosing_routes import chosen_routes, fitted
from pulpo_cli.frame import Command
from pulpo_cli.options import SPAN, json_option
from pulpo_cli.output import note, say_json
from pulpo_cli.simulate.plotting import check_file, plot
from pulpo_cli.simulate.results import document, run
from pulpo_cli.simulate.showing import show
from pulpo_core import Capabilities, JitterMode, Policy
from pulpo_core.foresight import Premises, Workload

#: Options that change the policy, and those that change its backoff, by the name of the field.
_POLICY: Final = {"max_attempts": "max_attempts", "max_age": "max_age"}
_BACKOFF: Final = {"backoff": "base", "factor": "factor", "cap": "cap", "jitter": "jitter"}

#: With an outage, messages come for so many times its length, so that what comes after it is seen as well.
_OVER_OUTAGE: Final = 2


@click.command(cls=Command)
@click.argument("route", required=False)
@application_options
@click.option("--max-attempts", type=click.IntRange(min=0), metavar="N", help="0 is unlimited.")
@click.option("--backoff", type=SPAN, help="Highest delay after the first attempt.")
@click.option("--factor", type=click.FloatRange(1, 1000), metavar="X", help="Growth for each further attempt.")
@click.option("--cap", type=SPAN, help="Highest delay of all.")
@click.option("--jitter", type=click.Choice([str(each) for each in JitterMode]), help="How much is left to chance.")
@click.option("--max-age", type=SPAN, help="No retry so long after publishing.")
@click.option(
    "--messages",
    type=click.IntRange(1, 100_000),
    default=1000,
    show_default=True,
    metavar="N",
    help="So many are published.",
)
@click.option(
    "--failure-rate",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    metavar="P",
    help="The share of attempts that fail, each by its own chance.",
)
@click.option("--outage", type=SPAN, help="For so long from the beginning, every attempt fails.")
@click.option("--over", type=SPAN, help="Messages are published over this span.  [default: twice the outage]")
@click.option("--handling", type=SPAN, help="How long each attempt takes.")
@click.option("--seed", type=int, metavar="N", help="The same number gives the same result.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), metavar="FILE", help="Draw a .png or .svg too.")
@json_option
def simulate(*, route: str | None, as_json: bool, **options: Any) -> None:
    """Simulate messages under a policy.

    ROUTE of APP gives the policy and what its queue promises; without it, pulpo's defaults are taken. Options change
    them. Shown are one message that always fails, after how many attempts messages are settled, how long that takes,
    and how the load comes back after an outage. It runs the code that decides about real messages.
    """
    picture: Path | None = options.pop("picture")
    if picture is not None:
        check_file(picture)
    seed = options.pop("seed")
    try:
        results = run(
            _premises(route, options), _workload(options), random.randrange(1_000_000) if seed is None else seed
        )
    except OverflowError:
        raise click.UsageError("with spans as long as these it ends beyond the calendar: give shorter ones") from None
    if as_json:
        say_json(document(results))
    else:
        show(results)
    if picture is not None:
        plot(results, picture)
        note(f"drawn to {picture}")


def _premises(route: str | None, options: dict[str, Any]) -> Premises:
    policy, capabilities = _of_route(route, Given.among(options))
    return Premises(
        policy=_changed(policy, options), capabilities=capabilities, takes=options["handling"] or timedelta()
    )


def _of_route(route: str | None, given: Given) -> tuple[Policy, Capabilities]:
    if route is None and given == Given():
        return Policy(), Capabilities()
    found = chosen_routes(route, given)
    if len(found) > 1:
        names = ", ".join(repr(each.name) for each in found)
        raise click.UsageError(f"name one of the routes: {names}")
    on_queue = fitted(found[0])
    if on_queue.guess:
        note(f"its queue could not be asked, so its adapter's best is taken ({on_queue.guess})")
    return on_queue.policy, on_queue.capabilities


def _changed(policy: Policy, options: dict[str, Any]) -> Policy:
    backoff = {field: options[name] for name, field in _BACKOFF.items() if options[name] is not None}
    changes = {field: options[name] for name, field in _POLICY.items() if options[name] is not None}
    return attrs.evolve(policy, backoff=attrs.evolve(policy.backoff, **backoff), **changes)


def _workload(options: dict[str, Any]) -> Workload:
    outage = options["outage"] or timedelta()
    return Workload(
        messages=options["messages"],
        failure_rate=options["failure_rate"],
        outage=outage,
        over=outage * _OVER_OUTAGE if options["over"] is None else options["over"],
    )
