"""What `pulpo run` is to run: an application by its name, or one route made of options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import rich_click as click
from click.core import ParameterSource

from pulpo_core import ApplicationError, HandlerError, Policy, Route

from .loading import Application, load_application, load_handlers, load_object, load_translator, make_importable

F = TypeVar("F", bound=Callable[..., Any])

#: How long one receive waits for a message; shorter than any grace, so that stopping never waits for it.
_WAIT: Final = timedelta(seconds=10)

_OPTIONS: Final = (
    click.argument("app", required=False),
    click.option("--queue", metavar="URL", envvar="PULPO_QUEUE", show_envvar=True, help="Without APP: the queue."),
    click.option(
        "--handler",
        "handlers",
        multiple=True,
        metavar="[TYPE=]MODULE:CALLABLE",
        help="Without APP: what handles TYPE; without TYPE, everything else. Repeatable.",
    ),
    click.option(
        "--translator",
        metavar="NAME|MODULE:OBJECT",
        help="Without APP: the format of the queue: pulpo, json, text, sns, eventbridge or s3.  [default: pulpo]",
    ),
    click.option(
        "--error-handler", metavar="MODULE:CALLABLE", help="Without APP: asked about every failure before the policy."
    ),
)


def application_options(function: F) -> F:
    """Let a command take APP, or the options that make a route."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@attrs.frozen(kw_only=True)
class Given:
    """What the command line says about the application.

    Attributes:
        limits: further arguments of the route that the options make, those that were given.
    """

    app: str | None
    queue: str | None
    handlers: tuple[str, ...]
    translator: str | None
    error_handler: str | None
    limits: dict[str, Any] = attrs.field(factory=dict)

    def load(self, context: click.Context) -> Application:
        """Import it. The working directory is importable.

        Args:
            context: of the command, which knows what was given in person and what by the environment.

        Raises:
            UsageError: the options do not go together.
            ApplicationError, HandlerError: it cannot be imported, or cannot be run.
        """
        make_importable(Path.cwd())
        if self.app is None:
            return [self._route()]
        self._refuse_both(context)
        return load_application(self.app)

    def _refuse_both(self, context: click.Context) -> None:
        for name in ("queue", "handlers", "translator", "error_handler", *self.limits):
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                option = _option_of(context, name)
                raise click.UsageError(f"{option} is for a route without APP; {self.app} says it in its own routes")

    def _route(self) -> Route:
        if not self.queue:
            raise click.UsageError("give APP, or --queue (or PULPO_QUEUE) with --handler")
        if not self.handlers:
            raise ApplicationError(f"no handler for {self.queue}: give APP, or --handler [TYPE=]MODULE:CALLABLE")
        return Route(
            self.queue,
            load_handlers(self.handlers),
            translator=load_translator(self.translator or "pulpo"),
            error_handler=self._error_handler(),
            **self._route_limits(),
        )

    def _error_handler(self) -> Any:
        if self.error_handler is None:
            return None
        found = load_object(self.error_handler, option="--error-handler")
        if not callable(found):
            raise HandlerError(f"--error-handler {self.error_handler} cannot be called")
        return found

    def _route_limits(self) -> dict[str, Any]:
        limits = dict(self.limits)
        attempts = limits.pop("max_attempts", None)
        return limits | ({} if attempts is None else {"policy": Policy(max_attempts=attempts)})


def _option_of(context: click.Context, name: str) -> str:
    return next(each.opts[0] for each in context.command.params if each.name == name)
