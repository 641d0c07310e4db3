"""A simulation as a picture. matplotlib is imported here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import rich_click as click

from pulpo_cli.units import plural, span
from pulpo_core import ConfigurationError

from .results import Results

#: Formats by the ending of the file.
_FORMATS: Final = (".png", ".svg")

_HANDLED: Final = "#2a78b5"
_ASIDE: Final = "#c44e52"


def check_file(path: Path) -> None:
    """Refuse what cannot be plotted to, before anything is computed.

    Raises:
        UsageError: the file's ending names no format, or its folder is not there.
        ConfigurationError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _FORMATS:
        raise click.UsageError(f"--plot {path}: the file must end in {' or '.join(_FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"--plot {path}: there is no folder {path.parent}")
    _figure_class()


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise ConfigurationError("--plot needs matplotlib: pip install 'pulpo-cli[plot]'") from error
    return Figure


def plot(results: Results, path: Path) -> None:
    """Draw *results* into the file *path*, in the format of its ending."""
    import matplotlib as mpl  # noqa: PLC0415 - as above

    figure = _figure_class()(figsize=(9, 9), layout="constrained")
    timeline, spread, load = figure.subplots(3, 1)
    _draw_timeline(timeline, results)
    _draw_spread(spread, results)
    _draw_load(load, results)
    with mpl.rc_context({"svg.hashsalt": "pulpo"}):
        svg = path.suffix.lower() == ".svg"
        figure.savefig(path, dpi=120, metadata={"Date": None} if svg else None)


def _draw_timeline(axes: Any, results: Results) -> None:
    attempts = [row.step.attempt for row in results.timeline]
    earliest = [row.earliest.total_seconds() / 60 for row in results.timeline]
    latest = [row.latest.total_seconds() / 60 for row in results.timeline]
    axes.fill_betweenx(attempts, earliest, latest, color=_HANDLED, alpha=0.3)
    axes.plot(latest, attempts, "o-", color=_HANDLED)
    axes.plot(earliest, attempts, "o-", color=_HANDLED, alpha=0.5)
    axes.set(title="a message that fails every time", xlabel="minutes after publishing", ylabel="attempt")


def _draw_spread(axes: Any, results: Results) -> None:
    spread = results.spread()
    handled, aside = ([pair[index] for pair in spread.values()] for index in (0, 1))
    axes.bar(list(spread), handled, color=_HANDLED, label="handled")
    axes.bar(list(spread), aside, bottom=handled, color=_ASIDE, label="buried or dropped")
    axes.legend()
    title = f"{plural(results.workload.messages, 'message')}, {results.workload.failure_rate:.4g} of all attempts fail"
    axes.margins(y=0.1)
    axes.set(title=title, xlabel="attempts until settled", ylabel="messages")


def _draw_load(axes: Any, results: Results) -> None:
    minutes = results.width.total_seconds() / 60
    axes.bar([index * minutes for index in range(len(results.load))], results.load, width=minutes, align="edge")
    if results.workload.outage:
        axes.axvspan(0, results.workload.outage.total_seconds() / 60, color=_ASIDE, alpha=0.15, label="outage")
        axes.legend()
    axes.set(title=f"attempts in each {span(results.width)}", xlabel="minutes", ylabel="attempts")
