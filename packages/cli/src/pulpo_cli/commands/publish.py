"""`pulpo publish`: put messages into a queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import IO, Any, Final

import attrs
import rich_click as click
from click.core import ParameterSource

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.interrupts import Interrupts
from pulpo_cli.jobs import Job, on_the_command_line, parse_pairs, publishable, read_jobs, read_pairs, repeated
from pulpo_cli.options import WHEN, json_option, queue_option
from pulpo_cli.output import complain, note, say, say_json
from pulpo_cli.progress import Progress, progress
from pulpo_cli.session import session
from pulpo_cli.units import number, plural, span
from pulpo_core import (
    AdapterError,
    InvalidMessage,
    Message,
    PulpoError,
    SyncPublisher,
    SystemClock,
    Translator,
    open_publisher_sync,
)

#: Messages handed over at once: enough for every adapter to fill its own batches, and soon confirmed.
_BATCH: Final = 500


@click.command(cls=Command)
@queue_option
@click.option("--type", "request_type", metavar="TYPE", help="Selects the handler.")
@click.option("--payload", metavar="TEXT", help="The body is this one value.")
@click.option("--body", metavar="JSON", help="The body, as a JSON object.")
@click.option("--body-file", type=click.File("rb"), metavar="FILE", help="The body is in a file, or - for stdin.")
@click.option("--header", "headers", multiple=True, metavar="K=V", help="A header; V is JSON or else text. Repeatable.")
@click.option("--delay", type=WHEN, help="Not to be handled before.")
@click.option("--expires", type=WHEN, help="Not to be handled after.")
@click.option("--priority", type=int, metavar="N", help="0 first … 4294967295 last.  [default: 65536]")
@click.option("--count", type=click.IntRange(min=1), default=1, metavar="N", help="Publish it so many times.")
@click.option(
    "--from-file", type=click.File("rb"), metavar="JOBS", help="Publish the messages of a file, one JSON to a line."
)
@json_option
@click.pass_context
def publish(context: click.Context, /, *, queue: str, as_json: bool, from_file: IO[bytes] | None, **given: Any) -> int:
    """Publish messages and print their ids, or how many they are with -q.

    A line of --from-file is a message of pulpo's own format, or a short form of it:
    {"type": "send_email", "body": {…}}, with "payload" instead of "body" for a single value, and with "header",
    "priority", "delay" and "expires" as they are needed. A line that is none is reported with its number, the others
    are published, and the status is 1.

    Ctrl-C stops after the messages that are on their way.
    """
    if from_file is None:
        template = _message(given)
        jobs, total = repeated(lambda: template, given["count"]), given["count"]
    else:
        nothing_beside_from_file(context, given)
        jobs, total = read_jobs(from_file), None
    run = Run(queue, as_json=as_json, source=getattr(from_file, "name", ""))
    return run.publish(jobs, total=total)


def _message(given: dict[str, Any]) -> Message:
    with on_the_command_line():
        return publishable(
            Message(
                request_type=given["request_type"],
                body=_body(given),
                priority=given["priority"],
                delay=given["delay"],
                expiration=given["expires"],
                header=read_pairs(given["headers"], option="--header"),
            )
        )


def _body(given: dict[str, Any]) -> dict[str, Any]:
    sources = [name for name in ("payload", "body", "body_file") if given[name] is not None]
    if len(sources) > 1:
        raise click.UsageError("give only one of --payload, --body and --body-file")
    if not sources:
        return {}
    [source] = sources
    if source == "payload":
        return {"payload": given["payload"]}
    try:
        return parse_pairs(given["body"] if source == "body" else given["body_file"].read())
    except InvalidMessage as error:
        raise click.UsageError(f"--{source.replace('_', '-')}: {error}") from None


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
class Run:
    """One run of the command: what was published, and what was not.

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
