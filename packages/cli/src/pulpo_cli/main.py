"""The `pulpo` command: the table of its commands."""

from __future__ import annotations

import io
import sys

import rich_click as click

from . import __version__
from .frame import LazyGroup
from .session import Session

_PANELS = {
    "Work": ["run", "pause", "resume", "demo", "publish", "publish-sqs", "publish-sns"],
    "Look": ["status", "stats", "top", "peek", "buried", "routes", "adapters"],
    "Understand": ["doctor", "explain", "simulate"],
    "Repair": ["pop", "delete", "purge", "move"],
    "Set up": ["config", "queue", "contract", "import-legacy", "completion"],
}

_MODULES = {name: f"pulpo_cli.commands.{name.replace('-', '_')}" for names in _PANELS.values() for name in names}

_HELP = {
    "command_groups": {"pulpo": [{"name": name, "commands": commands} for name, commands in _PANELS.items()]},
    "style_options_panel_box": "SIMPLE",
    "style_commands_panel_box": "SIMPLE",
    "max_width": 100,
    "show_arguments": True,
}


@click.group(
    cls=LazyGroup,
    modules=_MODULES,
    context_settings={"help_option_names": ["-h", "--help"], "rich_help_config": _HELP},
)
@click.version_option(__version__, message="pulpo %(version)s")
def cli() -> None:
    """Receive messages, hand them to your handlers, and look after what is left.

    A queue is named by a URL: file:///var/spool/shop.db?queue=mail, beanstalkd://host:11300/tube,
    sqs://orders?region=eu-west-1. Commands that need one take --queue, or PULPO_QUEUE from the environment.
    """


def main(arguments: list[str] | None = None, session: Session | None = None) -> None:
    """Run the command line of this process, or *arguments* in its place."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr does it: a terminal that knows no dash is no failure
        sys.stdout.reconfigure(errors="backslashreplace")
    cli.main(arguments, session=session)
