"""Bodies that are sent as they are, without pulpo's own format around them: `publish-sqs` and `publish-sns`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rich_click as click

from pulpo_core import InvalidMessage

from .jobs import bodies_in, on_the_command_line, parse_json, split_pairs
from .options import together

#: Say what is sent.
raw_options = together(
    click.option("--payload", metavar="TEXT", help="The body, as it is."),
    click.option("--body", metavar="JSON", help="The body, as it is, if it is JSON."),
    click.option("--body-file", type=click.File("rb"), metavar="FILE", help="The body is in a file, or - for stdin."),
    click.option("--attribute", "attributes", multiple=True, metavar="K=V", help="A text beside the body. Repeatable."),
    click.option("--group", metavar="ID", help="FIFO: keeps its order within this group."),
    click.option("--dedup-id", metavar="ID", help="FIFO: the same again within five minutes is dropped."),
)

#: Say where AWS is, and as whom it is asked.
aws_options = together(
    click.option("--region", metavar="NAME", help="Where it is, unless the configuration of AWS says so."),
    click.option("--profile", metavar="NAME", help="A profile of the configuration of AWS."),
    click.option("--endpoint-url", metavar="URL", help="Another server that speaks the protocol of AWS."),
)


def raw_body(given: Mapping[str, Any]) -> str:
    """The one body that the command line gives.

    Raises:
        UsageError: there is none, or more than one, or it is not what its option says.
    """
    bodies = bodies_in(given)
    if len(bodies) != 1:
        raise click.UsageError("give one of --payload, --body and --body-file")
    [(option, body)] = bodies.items()
    with on_the_command_line(option):
        if option == "--body":
            parse_json(body)
        return as_text(body)


def as_text(value: str | bytes) -> str:
    """*value* as the text that AWS carries.

    Raises:
        InvalidMessage: it is none; the text says where, and never quotes it.
    """
    try:
        return value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"not UTF-8: byte {error.start}; AWS carries text") from None


def read_attributes(texts: tuple[str, ...]) -> dict[str, str]:
    """The pairs of ``--attribute NAME=TEXT``; unlike headers, their values are always text.

    Raises:
        UsageError: one is no such pair.
    """
    return split_pairs(texts, option="--attribute", shape="NAME=TEXT")
