"""Blocks that are no programs: each is parsed, and the `pulpo` commands in it must be ones that pulpo understands."""

import configparser
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import click
import yaml

from pulpo_cli.main import cli
from pulpo_core import InvalidURL, parse_url

_NAME = re.compile(r"^(?:#|//|;)\s*((?:[\w./-]*/)?[\w.-]*\w\.\w+|(?:[\w./-]*/)?(?:Dockerfile|\.env))\s*$")
_URL = re.compile(r"\b(?:file|beanstalkd|sqs(?!://arn:)|memory)://[^\s`'\"<>…|]+(?!\S*…)")
_DOCKER = re.compile(
    "ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR"
)


def file_name(source: str) -> str | None:
    """The file that the first line of a block names in a comment: ``# jobs.py``."""
    found = _NAME.match(source.partition("\n")[0])
    return found[1] if found else None


# --- the pulpo lines in it


def check_command(arguments: Sequence[str]) -> None:
    """Make sure that pulpo would understand ``pulpo ARGUMENTS``.

    Raises:
        ValueError: it would not; the text says why.
    """
    command: click.Command = cli
    name: str | None = "pulpo"
    rest = list(arguments)
    context = click.Context(command, info_name=name)
    try:
        while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, context = found, click.Context(found, info_name=name, parent=context)
        command.make_context(name, rest, parent=context.parent)
    except click.exceptions.Exit:
        return  # --help and --version
    except click.ClickException as error:
        raise ValueError(f"pulpo {shlex.join(arguments)}: {error.format_message()}") from None


def check_commands(commands: Iterator[list[str]]) -> None:
    """Check each command line that runs `pulpo`, wherever that is installed."""
    for words in commands:
        if words and PurePosixPath(words[0]).name == "pulpo":
            check_command([re.sub(r"\$\{?\w+\}?", "1", word) for word in words[1:]])


# --- formats


def check_toml(source: str) -> None:
    """Parse TOML."""
    tomllib.loads(source)


def check_json(source: str) -> None:
    """Parse JSON, a document to a line also."""
    try:
        json.loads(source)
    except json.JSONDecodeError:
        for line in source.strip().splitlines():
            json.loads(line)


def check_yaml(source: str) -> None:
    """Parse YAML, and check lists that are commands."""
    for document in yaml.safe_load_all(source):
        check_commands(_commands_in(document))


def _commands_in(value: Any) -> Iterator[list[str]]:
    match value:
        case dict():
            for each in value.values():
                yield from _commands_in(each)
            if isinstance(command := value.get("command"), list):
                yield [str(word) for word in [*command, *(value.get("args") or [])]]
            elif isinstance(command, str):
                yield shlex.split(command)
        case list():
            for each in value:
                yield from _commands_in(each)


def check_ini(source: str) -> None:
    """Parse a unit file, and check what it executes."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # the documented way to keep the case
    parser.read_string(re.sub(r"\\\n\s*", " ", source))
    for section in parser.values():
        check_commands(shlex.split(value.lstrip("-@:+!")) for key, value in section.items() if key.startswith("Exec"))


def check_dockerfile(source: str) -> None:
    """Check the instructions of a Dockerfile, and what it executes."""
    joined = re.sub(r"\\\n\s*", " ", source)
    lines = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    for instruction, *rest in lines:
        if not _DOCKER.fullmatch(instruction) or not rest:
            raise ValueError(f"{instruction} is no instruction of a Dockerfile, or lacks its argument")
    run = {word: rest[0] for word, *rest in lines if word in {"CMD", "ENTRYPOINT"} and rest[0].startswith("[")}
    check_commands(iter([json.loads(run.get("ENTRYPOINT", "[]")) + json.loads(run.get("CMD", "[]"))]))


def check_sh(source: str) -> None:
    """Parse a shell script."""
    done = subprocess.run(["sh", "-n"], input=source, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise ValueError(done.stderr)


def check_text(source: str) -> None:
    """A drawing, a form or an output: no commands, and URLs that are URLs."""
    if "\n$ " in f"\n{source}":
        raise ValueError("a command in a text block is not run: make it a console block")
    for found in _URL.finditer(source):
        try:
            parse_url(found[0].rstrip(".,;:)"))
        except InvalidURL as error:
            raise ValueError(str(error)) from None


FORMATS: dict[str, Callable[[str], None]] = {
    "": check_text,
    "dockerfile": check_dockerfile,
    "ini": check_ini,
    "json": check_json,
    "sh": check_sh,
    "text": check_text,
    "toml": check_toml,
    "yaml": check_yaml,
}
