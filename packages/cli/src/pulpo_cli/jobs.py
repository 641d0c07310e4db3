"""Messages as people write them down: JSON on the command line, and files with one message to a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import attrs
import rich_click as click

from pulpo_core import InvalidMessage, Message, TranslationError, message_of


@attrs.frozen(kw_only=True)
class Job:
    """One message to publish, or why a line is none.

    Attributes:
        line: where it stands in its file, from 1; `None` when it comes from the command line.
    """

    line: int | None = None
    message: Message | None = None
    problem: str = ""


def parse_pairs(text: str | bytes) -> dict[str, Any]:
    """The JSON object in *text*.

    Raises:
        InvalidMessage: it is none; the text says where, and never quotes it.
    """
    value = parse_json(text)
    if not isinstance(value, dict):
        raise InvalidMessage(f"expected a JSON object, not {_kind(value)}; a single value goes into --payload")
    return value


def parse_json(text: str | bytes) -> Any:
    """The JSON document in *text*.

    Raises:
        InvalidMessage: it is none; the text says where, and never quotes it.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        line = f" line {error.lineno}" if error.lineno > 1 else ""
        what = error.msg.removesuffix(" at")  # some of its texts expect the place to follow
        raise InvalidMessage(f"not JSON: {what} at{line} column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"not UTF-8: byte {error.start}") from None
    except RecursionError:
        raise InvalidMessage("not acceptable JSON: nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits
        raise InvalidMessage(f"not acceptable JSON: {str(error)[:80]}") from None


def _refuse(name: str) -> NoReturn:
    raise InvalidMessage(f"not JSON: {name} is no JSON number")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a text", bool: "a truth value"}.get(type(value), "a number")


def read_pairs(texts: Iterable[str], *, option: str) -> dict[str, Any]:
    """The pairs of ``NAME=VALUE``, whose values are JSON if they are JSON, else the text itself.

    Args:
        option: where they were given, for error texts.

    Raises:
        UsageError: one is no such pair.
    """
    return {name: _json_or_text(value) for name, value in split_pairs(texts, option=option, shape="NAME=VALUE").items()}


def split_pairs(texts: Iterable[str], *, option: str, shape: str) -> dict[str, str]:
    """Names and what stands after their ``=``, as it is.

    Args:
        option: where they were given, for error texts.
        shape: what each should look like, for error texts.

    Raises:
        UsageError: one has no name, or no ``=``.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.UsageError(f"{option}: {text!r} is not {shape}")
        pairs[name] = value
    return pairs


def _json_or_text(text: str) -> Any:
    try:
        return parse_json(text)
    except InvalidMessage:
        return text


#: What a line in short form may say, and the argument of `Message` that it becomes.
_SHORT: Mapping[str, str] = {
    "type": "request_type",
    "body": "body",
    "header": "header",
    "priority": "priority",
    "delay": "delay",
    "expires": "expiration",
}


def read_jobs(lines: Iterable[bytes]) -> Iterator[Job]:
    """The messages of a file with one JSON document to a line; empty lines are left out."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _read_job(number, line)


def _read_job(number: int, line: bytes) -> Job:
    try:
        return Job(line=number, message=publishable(_message(parse_json(line))))
    except (InvalidMessage, TranslationError) as error:
        return Job(line=number, problem=str(error))


def _message(document: Any) -> Message:
    """The message of a document of pulpo's own format, or of the short form."""
    if not isinstance(document, dict):
        raise InvalidMessage(f"expected a JSON object, not {_kind(document)}")
    if "type" in document or "payload" in document:
        return _short_message(document)
    return message_of(document)


def _short_message(document: Mapping[str, Any]) -> Message:
    unknown = sorted(document.keys() - _SHORT.keys() - {"payload"})
    if unknown:
        raise InvalidMessage(f"unknown key {unknown[0]!r}; accepted: {', '.join(sorted([*_SHORT, 'payload']))}")
    if "payload" in document and "body" in document:
        raise InvalidMessage("give either 'payload' or 'body'")
    fields = {_SHORT[name]: value for name, value in document.items() if name in _SHORT}
    if "payload" in document:
        fields["body"] = {"payload": document["payload"]}
    return Message(**fields)


def publishable(message: Message) -> Message:
    """*message*, unless nobody could want it to be published.

    Raises:
        InvalidMessage: its type is the empty text, which no handler can be registered for.
    """
    if message.request_type == "":
        raise InvalidMessage(
            "request_type: '' is none that a handler could have; leave it out for a message without a type"
        )
    return message


#: Where the command line says a body, and the parameters that these options become.
_BODIES: Final = {"--payload": "payload", "--body": "body", "--body-file": "body_file"}


def bodies_in(given: Mapping[str, Any]) -> dict[str, str | bytes]:
    """What was given of --payload, --body and --body-file; what is in the file, and not its name."""
    found = {option: given[name] for option, name in _BODIES.items() if given[name] is not None}
    return {option: value if isinstance(value, str) else value.read() for option, value in found.items()}


@contextmanager
def on_the_command_line(option: str = "") -> Generator[None]:
    """Inside, a message that cannot be is wrong usage: it is what the command line asks for, by *option* or in all."""
    try:
        yield
    except InvalidMessage as error:
        raise click.UsageError(f"{option}: {error}" if option else str(error)) from error


def repeated(message: Callable[[], Message], count: int) -> Iterator[Job]:
    """*count* messages alike, each with an identity of its own."""
    for _ in range(count):
        yield Job(message=message())
