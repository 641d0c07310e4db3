"""`pulpo doctor`: what is wrong with a deployment, before it goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.application import Given, application_options
from pulpo_cli.doctor.examination import Examination, Finding
from pulpo_cli.frame import Command
from pulpo_cli.options import json_option
from pulpo_cli.output import note, say, say_json
from pulpo_cli.tables import Column, print_table
from pulpo_cli.units import plural
from pulpo_core import Level

_COLUMNS: Final = (
    Column(""),
    Column("check"),
    Column("found", fold=True),
    Column("what to do", fold=True),
)


@click.command(cls=Command)
@application_options
@click.option("--strict", is_flag=True, help="The status is 1 for warnings too.")
@json_option
def doctor(*, strict: bool, as_json: bool, **given: Any) -> int:
    """Examine settings, application, queues and brokers.

    With a queue alone, only that queue. Nothing is changed, received or published. The status is 1 if there is an
    error.
    """
    examination = Examination()
    asyncio.run(examination.application(Given.among(given)))
    if as_json:
        say_json([_document(finding) for finding in examination.findings])
    else:
        _print(examination.findings)
    _note_counts(examination.findings)
    bad = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    return errors.FAILED if examination.worst() in bad else errors.DONE


def _document(finding: Finding) -> dict[str, str]:
    facts = attrs.asdict(finding.diagnosis, value_serializer=lambda _, __, value: str(value))
    return {"subject": finding.subject, **facts}


def _print(findings: Sequence[Finding]) -> None:
    subjects = list(dict.fromkeys(finding.subject for finding in findings))
    for index, subject in enumerate(subjects):
        if index:
            say("")
        rows = [_row(finding) for finding in findings if finding.subject == subject]
        print_table(_COLUMNS, rows, title=subject)


def _row(finding: Finding) -> tuple[str, str, str, str]:
    diagnosis = finding.diagnosis
    return str(diagnosis.level), diagnosis.check, diagnosis.found, diagnosis.advice


def _note_counts(findings: Sequence[Finding]) -> None:
    counts = Counter(finding.diagnosis.level for finding in findings)
    note(f"{plural(counts[Level.ERROR], 'error')}, {plural(counts[Level.WARNING], 'warning')}")
