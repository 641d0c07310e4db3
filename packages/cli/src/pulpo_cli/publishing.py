"""Publishing message by message, and telling what came of each: `publish` and `publish-sqs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

import attrs
import rich_click as click
from click.core import ParameterSource

from pulpo_core import AdapterError, Message, PulpoError, SyncPublisher, SystemClock, Translator, open_publisher_sync

from . import errors
from .interrupts import Interrupts
from .jobs import Job, on_the_command_line
from .output import complain, note, say, say_json
from .progress import Progress, progress
from .session import session
from .units import number, plural, span

#: Messages handed over at once: enough for every adapter to fill its own batches, and soon confirmed.
_BATCH: Final = 500


def nothing_beside_from_file(context: click.Context, names: Iterable[str]) -> None:
    """What a file says is not mixed with what the command line says.

    Raises:
        UsageError: one of the parameters *names* was given.
    """
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise click.UsageError(f"{option} cannot go with --from-file: each line says it for itself")


@attrs.define
class Publishing:
    """One run of either command: what was published, and what was not.

    Attributes:
        source: the file that the messages come from, for error texts.
        translator: makes their bodies; pulpo's own format unless given.
    """

    queue: str
    as_json: bool
    source: str = ""
    translator: Translator | None = None
    ids: list[str] = attrs.field(init=False, factory=list)
    published: int = attrs.field(init=False, default=0)
    failed: int = attrs.field(init=False, default=0)

    def publish(self, jobs: Iterator[Job], *, total: int | None) -> int:
        """Publish *jobs* and print what came of it; the exit status.

        Raises:
            UsageError: the command line asks for what cannot be; lines of a file are told as they come.
        """
        clock = SystemClock()
        started = clock.monotonic()
        try:
            with on_the_command_line():
                self._publish_all(jobs, total=total)
        finally:
            self._conclude(timedelta(seconds=clock.monotonic() - started))
        return errors.FAILED if self.failed else errors.DONE

    def _publish_all(self, jobs: Iterator[Job], *, total: int | None) -> None:
        with (
            Interrupts() as interrupts,
            open_publisher_sync(self.queue, translator=self.translator) as publisher,
            progress("publishing", total=total, wanted=total is None or total > _BATCH) as show,
        ):
            while batch := list(islice(jobs, _BATCH)):
                with interrupts.step():
                    self._publish_batch(publisher, batch, show)

    def _publish_batch(self, publisher: SyncPublisher, batch: Sequence[Job], show: Progress) -> None:
        ready = [job for job in batch if job.message is not None]
        results = iter(publisher.publish_many([job.message for job in ready if job.message is not None]))
        answers = [(job, job.problem if job.message is None else next(results)) for job in batch]
        self._print_ids([answer.id or "" for _, answer in answers if isinstance(answer, Message)])
        for job, answer in answers:
            self._count(job, answer)
        show(self.published)

    def _print_ids(self, ids: list[str]) -> None:
        if self.as_json:
            self.ids += ids
        elif ids and not session().quiet:
            say("\n".join(ids))

    def _count(self, job: Job, answer: Message | PulpoError | str) -> None:
        if isinstance(answer, Message):
            self.published += 1
            return
        if isinstance(answer, PulpoError) and _concerns_all(job, answer):
            raise answer
        self.failed += 1
        complain(f"{self.source}:{job.line}: {errors.one_line(str(answer))}")

    def _conclude(self, elapsed: timedelta) -> None:
        if self.as_json:
            say_json({"published": self.published, "failed": self.failed, "ids": self.ids})
        elif session().quiet:
            say(str(self.published))
        elif self.published > 1 or self.failed:
            failed = f", {number(self.failed)} could not be" if self.failed else ""
            note(f"published {plural(self.published, 'message')} in {span(elapsed)}{failed}")


def _concerns_all(job: Job, error: PulpoError) -> bool:
    """Whether what kept one message out would keep out the others too."""
    return job.line is None or (isinstance(error, AdapterError) and (error.temporary or error.in_doubt))
