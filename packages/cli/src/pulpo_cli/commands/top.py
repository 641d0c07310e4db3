"""`pulpo top`: queues, burials and workers, live."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import rich_click as click

from pulpo_cli.application import Given, settings_option
from pulpo_cli.frame import Command
from pulpo_cli.options import interval_option, queues_of_settings, queues_option
from pulpo_cli.output import at_terminal, note
from pulpo_core import ApplicationError, open_queue


@click.command(cls=Command)
@click.argument("app", required=False)
@queues_option
@settings_option
@interval_option
@click.option(
    "--screenshot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.svg",
    help="Write one picture of the screen instead, after a few looks. Needs no terminal.",
)
def top(
    *,
    app: str | None,
    queues: Sequence[str],
    settings_files: Sequence[Path],
    interval: timedelta,
    screenshot: Path | None,
) -> None:
    """Watch queues of any kind, live.

    The queues are those of --queue, or of the routes of APP, or of the settings. Nothing is ever received: looking
    changes no message. From here, what is buried can be kicked, a queue paused, resumed and purged; each is asked
    about first.
    """
    urls = list(dict.fromkeys(queues or _queues_of(Given(app=app, settings_files=tuple(settings_files)))))
    for url in urls:
        open_queue(url)  # a wrong URL is told before the screen is taken
    try:
        from pulpo_cli.top import app as screen  # noqa: PLC0415 - an extra
        from pulpo_cli.top import picture  # noqa: PLC0415
    except ImportError as error:
        missing = f"pulpo top needs {error.name}, which is not installed: pip install 'pulpo-cli[tui]'"
        raise ApplicationError(missing) from error
    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise click.UsageError(f"--screenshot: there is no directory {screenshot.absolute().parent}")
    if screenshot is not None:
        picture.take(urls, screenshot, interval=interval.total_seconds())
        note(f"wrote {screenshot}")
        return
    if not (at_terminal(sys.stdin) and at_terminal(sys.stdout)):
        raise click.UsageError("top needs a terminal; elsewhere there is pulpo stats --watch, or --screenshot FILE.svg")
    screen.run(screen.Top(urls, interval=interval.total_seconds()))


def _queues_of(given: Given) -> list[str]:
    """The queues of an application or, without one, of the settings, whose handlers are not imported for that."""
    settings = given.read().settings
    if given.app or settings.app:
        return [route.queue for route in given.load(settings).routes]
    return queues_of_settings()
