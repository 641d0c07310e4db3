"""What all commands share: loading on demand, ``-q`` and ``-v``, and one place where errors end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NoReturn

import rich_click as click

from . import errors
from .output import at_terminal
from .session import QUIET, Session, session


def _more(_: click.Context, __: click.Parameter, count: int) -> None:
    session().verbosity += count


def _quiet(_: click.Context, __: click.Parameter, quiet: bool) -> None:
    if quiet:
        session().verbosity = QUIET


def _verbosity() -> list[click.Parameter]:
    """The options, accepted before a command's name as well as after it."""
    return [
        click.Option(
            ["-v", "--verbose"],
            count=True,
            metavar="",
            expose_value=False,
            callback=_more,
            help="Say more; -vv also shows where an error came from.",
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_quiet, help="Only data and errors."
        ),
    ]


class Command(click.RichCommand):
    """A command of pulpo. Its function returns the exit status, or nothing for 0."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_verbosity())


class Group(click.RichGroup):
    """A group of commands, such as ``pulpo buried``."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that *args* begin with.

        Raises:
            UsageError: there is none; the text names the nearest one.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(error.message.rstrip(".") + _meant(args[0], self.list_commands(ctx)), ctx) from None


def _meant(name: str, names: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only where a name is wrong

    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class LazyGroup(Group):
    """The `pulpo` command itself: imports a command when it is used, and lets no error leave unexplained.

    Args:
        modules: the module of each command; it holds the command under the same name.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_verbosity())
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of all commands, in the order of the table."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of that name, imported now."""
        if cmd_name not in self._modules:
            return None
        module = import_module(self._modules[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if at_terminal(sys.stderr):
                raise  # click ends the line that the terminal has begun with ^C
            raise click.Abort from None

    def main(self, args: Any = None, *, session: Session | None = None, **options: Any) -> NoReturn:  # type: ignore[override]  # it never returns
        """Run the command line *args* and exit with its status."""
        current = session or Session()
        current.arguments = tuple(sys.argv[1:] if args is None else args)
        options |= {"standalone_mode": False, "obj": current, "prog_name": "pulpo"}
        try:
            status = super().main(list(current.arguments), **options)
            sys.stdout.flush()  # a reader that is gone is noticed here, and not in the interpreter's last breath
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost boundary: each gets its line and status
            status = errors.report(error, current)
        sys.stderr.flush()
        sys.exit(status)
