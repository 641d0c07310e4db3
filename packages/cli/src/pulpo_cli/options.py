"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])


def together(*declared: Callable[[Any], Any]) -> Callable[[F], F]:
    """What lets a command take all of *declared*, in this order in its help."""

    def declare(function: F) -> F:
        for each in reversed(declared):
            function = each(function)
        return function

    return declare


class Span(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 only
    """A time span: ``500ms``, ``30s``, ``5m``, ``12h``, ``7d``; a bare number is seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The span that *value* names."""
        if isinstance(value, timedelta):
            return value
        from pulpo_core import duration  # noqa: PLC0415 - the help must not wait for it

        try:
            return duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class When(click.ParamType):  # type: ignore[type-arg]  # as above
    """A moment: seconds or a span from now, or ISO 8601 text."""

    name = "seconds|ISO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | datetime:
        """The moment, or the span until it."""
        if isinstance(value, (timedelta, datetime)):
            return value
        span = _span(value)
        if span is not None:
            return span
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither seconds, nor a span such as 5m, nor an ISO 8601 time", param, ctx)


def _span(text: str) -> timedelta | None:
    from pulpo_core import duration  # noqa: PLC0415 - the help must not wait for it

    try:
        seconds = float(text)
    except ValueError:
        try:
            return duration(text)
        except ValueError:
            return None
    try:
        return timedelta(seconds=seconds) if math.isfinite(seconds) else None
    except OverflowError:
        return None


class Queue(click.ParamType):  # type: ignore[type-arg]  # as above
    """A queue: its URL, or the name of the route in the settings that receives from it."""

    name = "url|route"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The URL."""
        text = str(value)
        if "://" in text:
            return text
        queues = {name: url for name, url in _queues_of_settings().items() if name}
        if text not in queues:
            known = f", nor one of the routes {', '.join(queues)}" if queues else ""
            self.fail(f"{text!r} is not a queue URL such as file:///var/spool/shop.db?queue=mail{known}", param, ctx)
        return queues[text]


def _queues_of_settings() -> dict[str, str]:
    """The queues of the routes of the settings, by their names; the one without a name is that of all routes."""
    from pulpo_core.config import load_settings  # noqa: PLC0415 - who names a URL must not wait for it

    settings = load_settings()
    named = {name: url for name, route in settings.routes.items() if (url := route.queue or settings.queue)}
    return named | ({"": settings.queue} if settings.queue else {})


def queue_of_settings() -> str:
    """The queue when none is named: that of all routes, or of the only one.

    Raises:
        UsageError: the settings do not say it.
        WrongSettings: see `load_settings`.
    """
    queues = _queues_of_settings()
    if not queues.get("") and len(queues) != 1:
        which = f": {', '.join(queues)}" if queues else ", or PULPO_QUEUE, or queue in pulpo.toml"
        raise click.UsageError(f"which queue? Give --queue{which}", click.get_current_context(silent=True))
    return queues.get("") or next(iter(queues.values()))


def queues_of_settings() -> list[str]:
    """Every queue when none is named: that of the environment alone, or all that the settings know, each once.

    Raises:
        UsageError: there is none.
        WrongSettings: see `load_settings`.
    """
    if (named := os.environ.get("PULPO_QUEUE")) is not None:
        return [QUEUE.convert(named, None, click.get_current_context(silent=True))]
    return list(dict.fromkeys(_queues_of_settings().values())) or [queue_of_settings()]


def each_once(ids: Sequence[str]) -> Sequence[str]:
    """*ids* without repetitions: what is gone could not be found a second time."""
    return tuple(dict.fromkeys(ids))


class FromSettings(click.Option):
    """An option whose default comes from the settings: not while a shell only completes the line."""

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        """The default, unless nobody will use it."""
        return None if ctx.resilient_parsing else super().get_default(ctx, call)


#: Looking more often than that would do nothing else.
SHORTEST_INTERVAL = timedelta(milliseconds=10)

#: How many messages at most: more than anybody has, and within what every broker and every database counts to.
LIMIT = click.IntRange(1, 1_000_000_000)

SPAN = Span()
WHEN = When()
QUEUE = Queue()

queue_option = click.option(
    "--queue",
    cls=FromSettings,
    type=QUEUE,
    metavar="URL|ROUTE",
    envvar="PULPO_QUEUE",
    show_envvar=True,
    default=queue_of_settings,
    show_default=False,
    help="The queue, or the route of the settings that has it.",
)

queues_option = click.option(
    "--queue",
    "queues",
    cls=FromSettings,
    type=QUEUE,
    multiple=True,
    metavar="URL|ROUTE",
    help="A queue, or the route of the settings that has it; without any, all of the settings. Repeatable."
    "  [env var: PULPO_QUEUE]",
)


def _long_enough(_: click.Context, __: click.Parameter, value: timedelta) -> timedelta:
    if value < SHORTEST_INTERVAL:
        raise click.BadParameter(f"expected at least {SHORTEST_INTERVAL.total_seconds() * 1000:g}ms")
    return value


interval_option = click.option(
    "--interval", type=SPAN, default="1s", show_default=True, callback=_long_enough, help="How often to look."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
