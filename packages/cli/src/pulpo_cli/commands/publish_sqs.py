"""`pulpo publish-sqs`: put bodies into a queue of SQS as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final
from urllib.parse import quote, urlencode

import attrs
import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.jobs import Job, on_the_command_line, repeated
from pulpo_cli.options import WHEN, json_option
from pulpo_cli.publishing import Publishing, nothing_beside_from_file
from pulpo_cli.raw import as_text, aws_options, raw_body, raw_options, read_attributes
from pulpo_core import Envelope, InvalidMessage, Message, PlainText, display_name

_SCHEME: Final = "sqs://"

#: Parameters that make sense for one body only.
_OF_ONE: Final = ("payload", "body", "body_file", "count", "dedup_id")


@click.command("publish-sqs", cls=Command)
@click.option(
    "--queue",
    metavar="NAME|ARN|URL",
    envvar="PULPO_QUEUE",
    show_envvar=True,
    required=True,
    help="The queue: its name, its ARN, its URL at AWS, or sqs://….",
)
@raw_options
@click.option("--delay", type=WHEN, help="Not to be handled before.")
@click.option("--expires", type=WHEN, help="Not to be handled after, by workers of pulpo.")
@click.option("--priority", type=int, metavar="N", help="Selects one of several queues.  [default: 65536]")
@click.option("--count", type=click.IntRange(min=1), default=1, metavar="N", help="Publish it so many times.")
@click.option("--from-file", type=click.File("rb"), metavar="BODIES", help="Publish each line of a file as a body.")
@aws_options
@json_option
@click.pass_context
def publish_sqs(
    context: click.Context, /, *, queue: str, as_json: bool, from_file: IO[bytes] | None, **given: Any
) -> int:
    """Publish bodies as they are to a queue of SQS, and print their ids.

    For workers that expect their own documents and not pulpo's: other languages, or routes with a translator such as
    AnyJson. Otherwise as `pulpo publish`.

    Ctrl-C stops after the messages that are on their way.
    """
    url = url_of(queue, {name: given[name] for name in ("region", "profile", "endpoint_url")})
    if from_file is None:
        with on_the_command_line():
            message = _message(given, raw_body(given))
        jobs, total = repeated(lambda: message, given["count"]), given["count"]
    else:
        nothing_beside_from_file(context, _OF_ONE)
        jobs, total = _bodies(from_file, given), None
    raw = Raw(read_attributes(given["attributes"]))
    run = Publishing(url, as_json=as_json, source=getattr(from_file, "name", ""), translator=raw)
    return run.publish(jobs, total=total)


def url_of(queue: str, parameters: Mapping[str, str | None]) -> str:
    """The URL of the queue that people name as AWS does, with those *parameters* that are given.

    Raises:
        UsageError: it is the URL of something else.
    """
    scheme, separator, _ = queue.partition("://")
    if queue.startswith(_SCHEME):
        url = queue
    elif scheme in {"https", "http"} and separator:
        url = f"{_SCHEME}?url={quote(queue, safe=':/')}"
    elif separator:
        raise click.UsageError(
            f"--queue: {display_name(queue)!r} is not at SQS; `pulpo publish` is for every kind of queue"
        )
    else:
        url = f"{_SCHEME}{queue}"
    said = urlencode({name: value for name, value in parameters.items() if value is not None}, safe=":/")
    return f"{url}{'&' if '?' in url else '?'}{said}" if said else url


@attrs.frozen
class Raw:
    """The payload is the whole body, and the attributes stand beside it."""

    attributes: Mapping[str, str]

    def translate(self, envelope: Envelope) -> Message:
        """The message in *envelope*."""
        return PlainText().translate(envelope)

    def encode(self, message: Message) -> Envelope:
        """The envelope that carries *message*."""
        envelope = PlainText().encode(message)
        return attrs.evolve(envelope, attributes={**self.attributes, **envelope.attributes})


def _message(given: Mapping[str, Any], body: str) -> Message:
    fifo = {name: given[name] for name in ("group", "dedup_id") if given[name] is not None}
    return Message(
        body={"payload": body},
        priority=given["priority"],
        delay=given["delay"],
        expiration=given["expires"],
        header=fifo,
    )


def _bodies(lines: Iterable[bytes], given: Mapping[str, Any]) -> Iterator[Job]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _job(number, line.rstrip(b"\r\n"), given)


def _job(number: int, line: bytes, given: Mapping[str, Any]) -> Job:
    try:
        return Job(line=number, message=_message(given, as_text(line)))
    except InvalidMessage as error:
        return Job(line=number, problem=str(error))
