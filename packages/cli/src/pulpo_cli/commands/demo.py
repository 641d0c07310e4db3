"""`pulpo demo`: a complete run on a file queue, with real input."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import rich_click as click

from pulpo_cli import errors, logs
from pulpo_cli.demo import course, telling
from pulpo_cli.demo.book import Book
from pulpo_cli.demo.course import Countdown, Folder, Standing
from pulpo_cli.demo.sources import source_files, standard_library, write_broken
from pulpo_cli.frame import Command
from pulpo_cli.interrupts import Interrupts
from pulpo_cli.options import json_option
from pulpo_cli.output import complain, note, say_json
from pulpo_cli.progress import progress
from pulpo_cli.session import session
from pulpo_cli.units import plural
from pulpo_core import Report, SystemClock


@click.command(cls=Command)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Go on with a demo that was stopped.",
)
@json_option
def demo(resume: Path | None, *, as_json: bool) -> int:
    """Parse the standard library as a queue of jobs.

    One job for each of its files goes into a file queue in a temporary folder. Handlers parse them and count what is
    in them; one fails now and then and is retried; files that are no Python are set aside with the reason; what was
    counted travels in follow-up messages. At the end everything is added up.

    Ctrl-C stops it, nothing is lost, and --resume goes on.
    """
    logs.configure(session().verbosity, form="console")
    folder = _started() if resume is None else Folder(resume.absolute())
    files = folder.files()
    if files is None:
        raise click.UsageError(f"{folder.path} holds no demo that could be resumed; start a new one")
    standing = _run(folder, files)
    if as_json:
        say_json(telling.document(folder, standing))
    else:
        telling.tell(folder, standing)
    return _status(standing)


def _started() -> Folder:
    folder = Folder(Path(tempfile.mkdtemp(prefix="pulpo-demo-")))
    root = standard_library()
    files = [*source_files(root), *write_broken(folder.path / "broken")]
    note(f"One job for each of {plural(len(files), 'Python file')} of {root},\nin the queue {folder.url}\n")
    with Interrupts() as interrupts, interrupts.step():
        course.publish(folder, files)
    return folder


def _run(folder: Folder, files: int) -> Standing:
    clock = SystemClock()
    started = clock.monotonic()
    with Book(folder.book) as book:
        stats, _ = asyncio.run(course.look(folder))
        report = _work(folder, book, files=files, left=course.left_in(stats), already=len(book) + (stats.buried or 0))
        stats, buried = asyncio.run(course.look(folder))
    elapsed = timedelta(seconds=clock.monotonic() - started)
    return Standing(files=files, book=book, report=report, stats=stats, buried=buried, elapsed=elapsed)


def _work(folder: Folder, book: Book, *, files: int, left: int, already: int) -> Report:
    if not left:
        return Report(status=errors.DONE, ledgers={})
    with progress("parsing", total=files, wanted=session().verbosity == 0) as bar:

        def show(countdown: Countdown) -> None:
            bar(
                already + countdown.counted + countdown.buried,
                f"{countdown.retried} retried, {countdown.buried} set aside",
            )

        return course.run(folder, book, left=left, show=show)


def _status(standing: Standing) -> int:
    if standing.report.error is not None:
        return errors.report(standing.report.error, session())
    if not standing.adds_up:
        complain(f"this does not add up: {standing.report.ledger.as_dict()}, {standing.stats}")
        return errors.FAILED
    return standing.report.status
