"""Results as pictures, SVG and PNG, where matplotlib is installed."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.case import Group
from benchmarks.results import Results

#: What is pulpo's stands out from the others'.
_OURS, _THEIRS = ("#d9480f", "#e8590c", "#f08c00"), ("#868e96", "#adb5bd", "#ced4da")


def caption(group: Group) -> str:
    """What the picture of a group shows, for those who do not see it."""
    if group.along:
        return f"Messages per second against the number of {group.along}, a curve for each system"
    return "CPU time per message of every case as bars"


def draw(results: Results, beside: Path) -> None:
    """Draw every measured block: its CPU time as bars, or the rate as curves; with the spread over the rounds."""
    if find_spec("matplotlib") is None:
        return
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore] # it is optional

    mpl.use("agg")
    mpl.rcParams["svg.hashsalt"] = "pulpo"  # the same picture from the same results
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore] # the same

    blocks = [figure for figure in results.figures() if results.unit(figure) is None]
    figure = (_lines if results.group.along else _bars)(pyplot, results, blocks)
    figure.suptitle(results.group.title)
    for suffix in (".svg", ".png"):
        figure.savefig(beside.with_suffix(suffix), dpi=150, metadata={"Date": None} if suffix == ".svg" else None)
    pyplot.close(figure)


def _bars(pyplot: Any, results: Results, blocks: list[str]) -> Any:
    rows = [len(_cpu(results, block)) for block in blocks]
    figure, axes = pyplot.subplots(
        len(blocks), figsize=(8, 1 + 0.3 * sum(rows)), height_ratios=rows, squeeze=False, layout="constrained"
    )
    for block, [axis] in zip(blocks, axes, strict=True):
        _draw_bars(axis, block, _cpu(results, block))
    return figure


def _cpu(results: Results, block: str) -> list[tuple[str, float, float, float]]:
    spreads = ((case.name, results.spread(case.name, block, "cpu_us")) for case in reversed(results.cases()))
    return [(name, each.median, each.low, each.high) for name, each in spreads if each]


def _draw_bars(axis: Any, block: str, bars: list[tuple[str, float, float, float]]) -> None:
    names = [name for name, *_ in bars]
    medians = [median for _, median, _, _ in bars]
    colours = [_OURS[0] if _is_ours(name) else _THEIRS[1] for name in names]
    axis.barh(names, medians, xerr=_errors(bars), color=colours)
    axis.set_title(f"{block}: CPU time per message, µs (less is better)", loc="left", fontsize="medium")
    axis.spines[["top", "right"]].set_visible(False)


def _lines(pyplot: Any, results: Results, blocks: list[str]) -> Any:
    figure, axes = pyplot.subplots(1, len(blocks), figsize=(5 * len(blocks), 4), squeeze=False, layout="constrained")
    for block, axis in zip(blocks, axes[0], strict=True):
        colours = {True: cycle(_OURS), False: cycle(_THEIRS)}
        for name, points in curves(results, block).items():
            places = [at for at, *_ in points]
            medians = [median for _, median, _, _ in points]
            axis.errorbar(
                places, medians, _errors(points), label=name, color=next(colours[_is_ours(name)]), marker="o", capsize=3
            )
        axis.set_xlabel(results.group.along)
        _scale(axis, sorted({case.at for case in results.cases()}), logarithmic=results.group.logarithmic)
        axis.set_title(f"{block}: messages/s (more is better)", loc="left", fontsize="medium")
        axis.legend(frameon=False, fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _scale(axis: Any, places: list[float], *, logarithmic: bool) -> None:
    if logarithmic:
        step = min(place for place in places if place)
        axis.set_yscale("log")
        axis.set_xscale("symlog", linthresh=step, linscale=0.5)  # from nothing on
        axis.set_xlim(-step / 4, places[-1] * 1.5)
    else:
        axis.set_ylim(0, None)
    axis.set_xticks(places, [f"{place:,.0f}" for place in places])
    axis.minorticks_off()


def curves(results: Results, block: str) -> dict[str, list[tuple[float, float, float, float]]]:
    """Each curve's points: how far along, and the median, smallest and largest rate."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for case in results.cases():
        rate = results.spread(case.name, block, "rate")
        if rate:
            found.setdefault(case.curve, []).append((case.at, rate.median, rate.low, rate.high))
    return found


def _errors(points: Any) -> list[list[float]]:
    """How far the smallest and the largest are from each median."""
    return [[median - low for _, median, low, _ in points], [high - median for _, median, _, high in points]]


def _is_ours(name: str) -> bool:
    return "pulpo" in name and "pulpo-messaging" not in name
