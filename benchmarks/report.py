"""Results as tables for people and as a document for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Goal
from benchmarks.results import Results, Spread, spread

#: A table: its head, then its rows.
Rows = list[list[str]]


def machine() -> dict[str, str]:
    """What this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "SQLite": sqlite3.sqlite_version,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def project_versions() -> dict[str, str]:
    """The versions of pulpo and of what it stands on."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name.startswith("pulpo-") or name in ("aiobotocore", "attrs", "botocore", "cattrs", "greenstalk", "uvloop"):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def document(results: Results, about: dict[str, Any]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "title": results.group.title,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "baseline": results.group.baseline,
        "cases": {
            case.name: {
                "baseline": baseline_of(results, case),
                "rounds": results.rounds.get(case.name, []),
                "not_run": results.not_run.get(case.name),
                "failed": results.failures.get(case.name),
            }
            for case in results.group.cases
            if case.name in results.rounds
        },
        "goals": [
            {"goal": goal_text(goal), "ratio": found[0].median, "met": found[1]}
            for goal in results.group.goals
            if (found := results.goal(goal))
        ],
    }


def baseline_of(results: Results, case: Case) -> str:
    """The case that *case* is divided by."""
    return case.baseline or results.group.baseline


def text(results: Results, about: dict[str, Any]) -> str:
    """The tables, for the terminal."""
    parts = [f"# {results.group.title}", " · ".join(f"{k} {v}" for k, v in about["machine"].items())]
    parts += [" · ".join(f"{k} {v}" for k, v in {**about["versions"], **about["peers"]}.items())]
    parts += [_aligned(rows) for rows in tables(results)]
    parts += [f"not run: {name}: {why}" for name, why in results.not_run.items()]
    parts += [f"FAILED: {name}: {why}" for name, why in results.failures.items()]
    parts += [_aligned(rows) for rows in goals(results)]
    return "\n\n".join(parts) + "\n"


def tables(results: Results) -> Iterator[Rows]:
    """One table for each measured block, and one of everything that was recorded; the first row is the head."""
    figures = results.figures()
    yield from (_measured(results, figure) for figure in figures if results.unit(figure) is None)
    recorded = [row for figure in figures if results.unit(figure) is not None for row in _recorded(results, figure)]
    if recorded:
        yield [["other figures", "case", "", "÷", "by"], *recorded]


def goals(results: Results) -> Iterator[Rows]:
    """The table of the goals that were measured, if there are any."""
    found = [(goal, measured) for goal in results.group.goals if (measured := results.goal(goal))]
    if found:
        rows = [[goal_text(goal), "met" if met else "MISSED", number(ratio)] for goal, (ratio, met) in found]
        yield [["goal", "", "measured"], *rows]


def _measured(results: Results, figure: str) -> Rows:
    rows = [[figure, "messages/s", "CPU µs/message", "messages/s ÷", "CPU ÷", "by"]]
    for case in results.cases():
        absolute = [number(results.spread(case.name, figure, of)) for of in ("rate", "cpu_us")]
        if any(absolute):
            base, (rate, cpu) = _divided(results, case, figure, "rate", "cpu_us")
            rows.append([case.name, *absolute, rate, cpu, base])
    return rows


def _recorded(results: Results, figure: str) -> Iterator[list[str]]:
    for case in results.cases():
        value = number(results.spread(case.name, figure, "value"))
        if value:
            base, (ratio,) = _divided(results, case, figure, "value")
            yield [figure, case.name, f"{value} {results.unit(figure)}", ratio, base]


def _divided(results: Results, case: Case, figure: str, *kinds: str) -> tuple[str, list[str]]:
    """By which case, and what comes of it; nothing for the one that the others are divided by."""
    base = baseline_of(results, case)
    ratios = [number(spread(results.ratios(case.name, base, figure, of))) for of in kinds]
    return (base, ratios) if any(ratios) and base != case.name else ("", [""] * len(kinds))


def goal_text(goal: Goal) -> str:
    """What is to be true."""
    what = {"cpu_us": "CPU of ", "rate": "rate of ", "value": ""}[goal.of] + goal.figure
    bound = f"≤ {goal.at_most:g}" if goal.at_most is not None else f"≥ {goal.at_least:g}"
    return f"{what}: {goal.case} ÷ {goal.against} {bound}"


def number(found: Spread | None) -> str:
    """Median, and in brackets the smallest and the largest."""
    if found is None:
        return ""
    return f"{_short(found.median)} ({_short(found.low)}–{_short(found.high)})"


def _short(value: float) -> str:
    """Three digits that say something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 or not value else f"{value:.1e}"


def _aligned(rows: Rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
