"""`pulpo config`: what is set, where it is said, and a file to begin with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import rich_click as click

from pulpo_cli.application import Given, settings_option
from pulpo_cli.frame import Group
from pulpo_cli.invocation import command_line
from pulpo_cli.options import json_option
from pulpo_cli.output import note, say, say_json
from pulpo_cli.tables import Column, print_table
from pulpo_core.config import Said, said, sample, toml_of

_COLUMNS: Final = (Column("setting", fold=True), Column("from", fold=True), Column("value", fold=True))


@click.group(cls=Group)
def config() -> None:
    """Settings: what is in effect, and a file to begin with.

    They come from, weakest first, [tool.pulpo] in pyproject.toml, pulpo.toml, files that PULPO_SETTINGS names, .env,
    and variables PULPO_…; options of a command are stronger than all of them.
    """


@config.command()
@settings_option
@click.option("--origin", is_flag=True, help="Also say where each setting comes from.")
@click.option("--all", "everything", is_flag=True, help="Also show what nobody has set, with its default.")
@json_option
def show(*, settings_files: tuple[Path, ...], origin: bool, everything: bool, as_json: bool) -> None:
    """Show the settings that are in effect in this directory. Secrets are masked."""
    loaded = Given(settings_files=settings_files).read()
    shown = [each for each in said(loaded) if everything or each.origin != "default"]
    if as_json:
        say_json([_document(each) for each in shown])
    elif origin:
        print_table(_COLUMNS, [(each.path, each.origin, _text(each)) for each in shown])
    else:
        _print(shown)
    if not shown:
        note(f"nothing is set; {command_line('config', 'init')} writes a file to begin with")


def _print(shown: Sequence[Said]) -> None:
    for each in shown:
        say(f"{each.path} = {_text(each)}")


def _text(each: Said) -> str:
    return "–" if each.value is None else toml_of(each.value)


def _document(each: Said) -> dict[str, Any]:
    return {"setting": each.path, "value": each.value, "origin": each.origin}


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("pulpo.toml"))
def init(*, file: Path) -> None:
    """Write FILE, pulpo.toml unless given, in which every setting is explained and commented out.

    A file that is there already is left as it is.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)  # settings may come to hold secrets
    except FileExistsError:
        raise click.UsageError(f"{file} is there already, and is left as it is") from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(sample())
    say(str(file))
