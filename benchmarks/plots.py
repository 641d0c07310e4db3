"""Results as pictures, SVG and PNG, where matplotlib is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.results import Results

#: pulpo's bars stand out from the others'.
_OURS, _THEIRS = "#d9480f", "#adb5bd"


def draw(results: Results, beside: Path) -> None:
    """Draw the CPU time of every measured block, as bars with the spread over the rounds."""
    if find_spec("matplotlib") is None:
        return
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore] # it is optional

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "pulpo"  # the same picture from the same results
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore] # the same

    blocks = [figure for figure in results.figures() if results.unit(figure) is None]
    rows = [len(_bars(results, figure)) for figure in blocks]
    figure, axes = pyplot.subplots(
        len(blocks), figsize=(8, 1 + 0.3 * sum(rows)), height_ratios=rows, squeeze=False, layout="constrained"
    )
    for block, [axis] in zip(blocks, axes, strict=True):
        _draw_block(axis, block, _bars(results, block))
    figure.suptitle(results.group.title)
    for suffix in (".svg", ".png"):
        figure.savefig(beside.with_suffix(suffix), dpi=150, metadata={"Date": None} if suffix == ".svg" else None)
    pyplot.close(figure)


def _bars(results: Results, block: str) -> list[tuple[str, float, float, float]]:
    spreads = ((case.name, results.spread(case.name, block, "cpu_us")) for case in reversed(results.cases()))
    return [(name, each.median, each.low, each.high) for name, each in spreads if each]


def _draw_block(axis: Any, block: str, bars: list[tuple[str, float, float, float]]) -> None:
    names = [name for name, *_ in bars]
    medians = [median for _, median, _, _ in bars]
    errors = [[m - low for _, m, low, _ in bars], [high - m for _, m, _, high in bars]]
    colours = [_OURS if name.startswith("pulpo") else _THEIRS for name in names]
    axis.barh(names, medians, xerr=errors, color=colours)
    axis.set_title(f"{block}: CPU time per message, µs (less is better)", loc="left", fontsize="medium")
    axis.spines[["top", "right"]].set_visible(False)
