"""`pulpo publish`: put messages into a queue."""

from __future__ import annotations

from typing import IO, Any

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.jobs import bodies_in, on_the_command_line, parse_pairs, publishable, read_jobs, read_pairs, repeated
from pulpo_cli.options import WHEN, json_option, queue_option
from pulpo_cli.publishing import Publishing, nothing_beside_from_file
from pulpo_core import Message


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
    run = Publishing(queue, as_json=as_json, source=getattr(from_file, "name", ""))
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
    bodies = bodies_in(given)
    if len(bodies) > 1:
        raise click.UsageError("give only one of --payload, --body and --body-file")
    if not bodies:
        return {}
    [(option, body)] = bodies.items()
    with on_the_command_line(option):
        return {"payload": body} if option == "--payload" else parse_pairs(body)
