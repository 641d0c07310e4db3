"""The command line, as it explains itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click

from pulpo_cli.main import cli

from .markdown import code, paragraphs, table

#: Accepted by every command, and told once.
_EVERYWHERE = {"verbose", "quiet", "help"}


def page() -> str:
    """Every command."""
    context = click.Context(cli, info_name="pulpo", help_option_names=["-h", "--help"])
    common = [each for each in cli.get_params(context) if each.name in _EVERYWHERE]
    return paragraphs(
        "# Commands",
        _help(cli),
        "Data go to stdout, everything else to stderr, and how a command ended is told by its"
        " [exit status](exit-statuses.md). Colour, progress and questions are for terminals only.",
        "Every command accepts:",
        _parameters(common, context),
        *[_command(command, of) for command, of in _walk(cli, context)],
    )


def _walk(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        of = click.Context(command, info_name=name, parent=context)
        yield command, of
        if isinstance(command, click.Group):
            yield from _walk(command, of)


def _command(command: click.Command, context: click.Context) -> str:
    own = [each for each in command.get_params(context) if each.name not in _EVERYWHERE]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    level = "##" if context.parent is not None and context.parent.parent is None else "###"
    heading = f"{level} {context.command_path}"
    return paragraphs(heading, f"```text\n{usage}\n```", _help(command), _parameters(own, context))


def _help(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").replace("\b\n", "")


def _parameters(parameters: Iterable[click.Parameter], context: click.Context) -> str:
    records = [record for each in parameters if (record := each.get_help_record(context))]
    return (
        table(("option", "meaning"), [(code(name), said.replace("[", "\\[")) for name, said in records])
        if records
        else ""
    )
