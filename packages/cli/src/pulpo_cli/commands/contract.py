"""`pulpo contract`: whether a broker keeps the promises that pulpo's queues make, tried on the broker itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Final

import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.interrupts import Interrupts
from pulpo_cli.options import json_option
from pulpo_cli.output import complain, note, say, say_json
from pulpo_cli.progress import progress
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import plural
from pulpo_core import Capabilities, adapter_for
from pulpo_core.testing import CLAUSES, Clause, Finding, LiveHarness, Verdict, try_clauses

#: Clauses tried at once where time is real: most of it is waiting.
_BESIDE: Final = 8

#: What the table says about a finding.
_WORDS: Final = {Finding.KEPT: "kept", Finding.BROKEN: "BROKEN", Finding.SKIPPED: "not tried"}

_COLUMNS: Final = (Column("clause"), Column("group"), Column(""), Column("what is promised", fold=True))


@click.command(cls=Command)
@click.argument("url", envvar="PULPO_QUEUE", metavar="URL")
@click.option(
    "--only",
    "prefixes",
    multiple=True,
    metavar="PREFIX",
    help="Only clauses whose id, name or group begins so; repeatable.",
)
@json_option
def contract(url: str, *, prefixes: tuple[str, ...], as_json: bool) -> int:
    """Try the contract of queues at a live broker.

    Every promise that pulpo's queues make, as far as this kind of queue makes it, is tried in scratch queues beside the
    one that the URL names. Those are created for the purpose and removed again; the queue itself is not touched. The
    status is 1 when a promise is broken.
    """
    harness = LiveHarness(url, adapter_for(url))
    chosen = _chosen(prefixes)
    try:
        with Interrupts():
            verdicts = _try(harness, chosen, asyncio.run(harness.capabilities()))
    finally:
        if harness.left:
            complain(f"{plural(len(harness.left), 'scratch queue')} could not be removed: *{harness.name}*")
    if as_json:
        say_json(_document(url, verdicts))
    else:
        _show(verdicts)
    return errors.FAILED if any(each.finding is Finding.BROKEN for each in verdicts) else errors.DONE


def _chosen(prefixes: Sequence[str]) -> list[Clause]:
    """The clauses that *prefixes* ask for; all without any.

    Raises:
        BadParameter: one of them asks for none.
    """
    for prefix in prefixes:
        if not any(_begins(clause, prefix) for clause in CLAUSES):
            groups = ", ".join(sorted({clause.group for clause in CLAUSES}))
            accepted = f"ids {CLAUSES[0].id} to {CLAUSES[-1].id}, names, and groups: {groups}"
            raise click.BadParameter(f"no clause begins with {prefix!r}; there are {accepted}", param_hint="'--only'")
    return [clause for clause in CLAUSES if not prefixes or any(_begins(clause, each) for each in prefixes)]


def _begins(clause: Clause, prefix: str) -> bool:
    return any(word.startswith(prefix) for word in (clause.id, clause.name, clause.group))


def _try(harness: LiveHarness, clauses: Sequence[Clause], capabilities: Capabilities) -> list[Verdict]:
    """A verdict on each of *clauses*, in their order."""
    unmet = {clause: clause.unmet(capabilities) for clause in clauses}
    verdicts = {clause: Verdict(clause, Finding.SKIPPED, reason) for clause, reason in unmet.items() if reason}
    concerned = [clause for clause in clauses if clause not in verdicts]
    if harness.time == "real":
        note(f"the broker keeps its own time, so this takes a while: {plural(len(concerned), 'clause')}")
    beside = _BESIDE if harness.time == "real" else 1
    with (
        progress("trying clauses", total=len(concerned)) as tell,
        closing(try_clauses(harness, concerned, beside=beside)) as trials,
    ):
        for done, verdict in enumerate(trials, 1):
            verdicts[verdict.clause] = verdict
            tell(done, verdict.clause.name.replace("_", " "))
    return [verdicts[clause] for clause in clauses]


def _show(verdicts: Sequence[Verdict]) -> None:
    print_table(_COLUMNS, [_row(verdict) for verdict in verdicts])
    say("")
    say(_summary(verdicts))


def _row(verdict: Verdict) -> list[str]:
    clause = verdict.clause
    because = f"\n→ {verdict.text}" if verdict.text else ""
    return [clause.id, clause.group, _WORDS[verdict.finding], clause.promise + because]


def _summary(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdict.finding for verdict in verdicts)
    return ", ".join(f"{counts[finding]} {word.lower()}" for finding, word in _WORDS.items())


def _document(url: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    counts = Counter(verdict.finding for verdict in verdicts)
    return {
        "queue": url,
        "counts": {finding.value: counts[finding] for finding in Finding},
        "clauses": [
            {
                "id": verdict.clause.id,
                "name": verdict.clause.name,
                "group": verdict.clause.group,
                "promise": verdict.clause.promise,
                "finding": verdict.finding.value,
                "text": verdict.text,
            }
            for verdict in verdicts
        ],
    }
