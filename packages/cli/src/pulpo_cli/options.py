"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import rich_click as click

F = TypeVar("F", bound=Callable[..., Any])


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


SPAN = Span()
WHEN = When()

queue_option = click.option(
    "--queue", metavar="URL", envvar="PULPO_QUEUE", show_envvar=True, required=True, help="The queue."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
