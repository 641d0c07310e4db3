"""The results that were measured last, put into the page about performance: ``./dev run python -m benchmarks.page``.

The page says where each group's results go, in a comment ``results: GROUP``. What stands between that
and the next ``end of results`` is replaced; the rest of the page is a person's.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import plots, report
from benchmarks.case import Group
from benchmarks.results import Results

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/explanation/performance.md"
IMAGES: Final = ROOT / "docs/images"
MEASURED: Final = ROOT / "benchmarks/results"

#: A place, with what was put there before; what stands in the place after it is not.
_PLACE: Final = re.compile(
    r"(<!-- results: (\w+) -->\n)(?:(?:(?!<!-- results: ).)*?<!-- end of results -->\n)?", re.DOTALL
)
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
    """The results of one group in Markdown: goals and a picture, and all figures for those who unfold them."""
    results = _results(name, document)
    goals = [_table(_loud(rows)) for rows in report.goals(results)]
    left_out = "\n".join(f"Not run: {case}: {why}." for case, why in results.not_run.items())
    parts = [*_about(name, document), *goals, _picture(results.group, path), left_out, *_figures(results, document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(results: Results, document: Mapping[str, Any]) -> list[str]:
    versions = ", ".join(f"{what} {version}" for what, version in {**document["versions"], **document["peers"]}.items())
    tables = [_table(rows) for rows in report.tables(results)]
    return [
        '<details markdown="1">\n<summary>All figures and versions</summary>',
        *tables,
        f"*{versions}.*",
        "</details>",
    ]


def _results(name: str, document: Mapping[str, Any]) -> Results:
    cases = document["cases"]
    rounds = {case: found["rounds"] for case, found in cases.items()}
    not_run = {case: found["not_run"] for case, found in cases.items() if found["not_run"]}
    return Results(importlib.import_module(f"benchmarks.{name}").GROUP, rounds, not_run)


def _about(name: str, document: Mapping[str, Any]) -> list[str]:
    machine = ", ".join(f"{what} {value}" for what, value in document["machine"].items())
    rounds = f"`./dev bench {name}`, {document['rounds']} rounds, {document['taken'][:10]}"
    return [f"{document['title']}.", f"*{rounds}. {machine}.*"]


def _picture(group: Group, path: Path) -> str:
    drawn = path.with_suffix(".svg")
    if not drawn.exists():
        return ""
    IMAGES.mkdir(exist_ok=True)
    shutil.copyfile(drawn, IMAGES / f"bench-{path.stem}.svg")
    return f"![{plots.caption(group)}](../images/bench-{path.stem}.svg)"


def _loud(goals: report.Rows) -> report.Rows:
    return [[goal, f"**{how.lower()}**" if how == "MISSED" else how, measured] for goal, how, measured in goals]


def _table(rows: report.Rows) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    main()
