"""A simulation as tables."""

from __future__ import annotations

from typing import Final

from pulpo_cli.output import say
from pulpo_cli.tables import Column, print_facts, print_table
from pulpo_cli.units import number, plural, span
from pulpo_core import Bury, Retry, Tally
from pulpo_core.foresight import quantile

from .results import Results, Row

_BAR: Final = 40  # characters of the longest bar


def show(results: Results) -> None:
    """Print *results*."""
    _show_timeline(results)
    say("")
    _show_spread(results)
    say("")
    _show_times(results)
    if results.workload.outage or results.workload.over:
        say("")
        _show_load(results)


def _show_timeline(results: Results) -> None:
    columns = (
        Column("attempt", number=True),
        Column("at the earliest", number=True),
        Column("at the latest", number=True),
        Column("then", fold=True),
    )
    rows = [(str(row.step.attempt), span(row.earliest), span(row.latest), _then(row)) for row in results.timeline]
    print_table(columns, rows, title="a message that fails every time")


def _then(row: Row) -> str:
    decision = row.step.decision
    match decision.settlement:
        case Retry():
            return "retried"
        case Bury():
            return f"buried as {decision.reason}"
        case _:
            return f"dropped as {decision.reason}"


def _show_spread(results: Results) -> None:
    columns = (Column("attempts", number=True), Column("handled", number=True), Column("set aside", number=True))
    rows = [(str(each), number(done), number(aside)) for each, (done, aside) in results.spread().items()]
    total = [sum(pair[index] for pair in results.spread().values()) for index in (0, 1)]
    print_table(columns, [*rows, ("all", *map(number, total))], title=_premise(results), last_is_total=True)


def _premise(results: Results) -> str:
    workload = results.workload
    outage = f"; everything fails for the first {span(workload.outage)}" if workload.outage else ""
    over = f" over {span(workload.over)}" if workload.over else ""
    return f"{plural(workload.messages, 'message')}{over}, {workload.failure_rate:.4g} of all attempts fail{outage}"


def _show_times(results: Results) -> None:
    facts = {}
    for tally, what in ((Tally.ACKED, "until handled"), (Tally.BURIED, "until buried")):
        times = results.simulation.times(tally)
        if times:
            median, most, longest = (span(quantile(times, share)) for share in (0.5, 0.95, 1.0))
            facts[what] = f"half within {median}, 95 % within {most}, all within {longest}"
    if results.simulation.unfinished:
        facts["never settled"] = f"{plural(results.simulation.unfinished, 'message')}: there is no limit of attempts"
    facts["seed"] = str(results.seed)
    print_facts(facts)


def _show_load(results: Results) -> None:
    load, width = results.load, results.width
    most = max(load, default=1) or 1
    rows = [(span(width * index), number(count), "█" * round(_BAR * count / most)) for index, count in enumerate(load)]
    columns = (Column("from", number=True), Column("attempts", number=True), Column(""))
    print_table(columns, rows, title=f"attempts in each {span(width)}")
