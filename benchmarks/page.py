"""The results that were measured last, put into the page about performance: ``./dev run python -m benchmarks.page``.

The page says where each group's results go, in a comment ``results: GROUP``. What stands between that
and the next ``end of results`` is replaced; the rest of the page is a person's.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.report import baseline_of, goal_text, number
from benchmarks.results import Results, spread

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/explanation/performance.md"
IMAGES: Final = ROOT / "docs/images"
MEASURED: Final = ROOT / "benchmarks/results"

_PLACE: Final = re.compile(r"(<!-- results: (\w+) -->\n)(?:.*?(<!-- end of results -->\n))?", re.DOTALL)
_END: Final = "<!-- end of results -->\n"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(filled(PAGE.read_text(), MEASURED))


def filled(page: str, measured: Path) -> str:
    """*page* with the results of every group that was *measured*."""

    def fill(place: re.Match[str]) -> str:
        path = measured / f"{place[2]}.json"
        if not path.exists():
            return place[0]
        return f"{place[1]}\n{section(place[2], json.loads(path.read_text()), path)}\n{_END}"

    return _PLACE.sub(fill, page)


def section(name: str, document: Mapping[str, Any], path: Path) -> str:
    """The results of one group in Markdown."""
    rounds = {case: found["rounds"] for case, found in document["cases"].items()}
    results = Results(importlib.import_module(f"benchmarks.{name}").GROUP, rounds)
    parts = [_about(name, document), _picture(name, path), *_tables(results), _left_out(document), _goals(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(name: str, document: Mapping[str, Any]) -> str:
    machine = ", ".join(f"{what} {value}" for what, value in document["machine"].items())
    versions = ", ".join(f"{what} {version}" for what, version in {**document["versions"], **document["peers"]}.items())
    rounds = f"`./dev bench {name}`, {document['rounds']} rounds, {document['taken'][:10]}"
    return f"{document['title']}.\n\n*{rounds}. {machine}. {versions}.*"


def _picture(name: str, path: Path) -> str:
    drawn = path.with_suffix(".svg")
    if not drawn.exists():
        return ""
    IMAGES.mkdir(exist_ok=True)
    shutil.copyfile(drawn, IMAGES / f"bench-{name}.svg")
    return f"![CPU time per message of every case as bars](../images/bench-{name}.svg)"


def _tables(results: Results) -> Iterator[str]:
    for figure in results.figures():
        if results.unit(figure) is None:
            yield _measured(results, figure)
    recorded = [figure for figure in results.figures() if results.unit(figure) is not None]
    if recorded:
        yield _recorded(results, recorded)


def _measured(results: Results, figure: str) -> str:
    rows = [[figure, "messages/s", "CPU µs/message", "messages/s ÷", "CPU ÷", "by"]]
    for case in results.cases():
        base = baseline_of(results, case)
        ratios = [spread(results.ratios(case.name, base, figure, of)) for of in ("rate", "cpu_us")]
        absolute = [results.spread(case.name, figure, of) for of in ("rate", "cpu_us")]
        if any(absolute):
            by = base if any(ratios) and base != case.name else ""
            rows.append([case.name, *map(number, absolute), *(number(each) if by else "" for each in ratios), by])
    return _table(rows)


def _recorded(results: Results, figures: list[str]) -> str:
    rows = [["other figures", "case", "", "÷", "by"]]
    for figure in figures:
        for case in results.cases():
            found = results.spread(case.name, figure, "value")
            if found is not None:
                base = baseline_of(results, case)
                ratio = spread(results.ratios(case.name, base, figure, "value")) if base != case.name else None
                value = f"{number(found)} {results.unit(figure)}"
                rows.append([figure, case.name, value, number(ratio), base if ratio else ""])
    return _table(rows)


def _left_out(document: Mapping[str, Any]) -> str:
    return "\n".join(
        f"Not run: {name}: {found['not_run']}." for name, found in document["cases"].items() if found["not_run"]
    )


def _goals(results: Results) -> str:
    rows = [["goal", "", "measured"]]
    for goal in results.group.goals:
        found = results.goal(goal)
        if found:
            rows.append([goal_text(goal), "met" if found[1] else "**missed**", number(found[0])])
    return _table(rows) if len(rows) > 1 else ""


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
