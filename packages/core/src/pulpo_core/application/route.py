"""One queue and what is done with its messages: `Route`, a plain value."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.errors import ApplicationError, ConfigurationError
from pulpo_core.domain.fields import as_span, is_span, whole_from
from pulpo_core.domain.limits import Breaker, RateLimit
from pulpo_core.domain.policy import Policy
from pulpo_core.ports.adapter import Adapter
from pulpo_core.ports.handler import ErrorHandler, Middleware, PublishMiddleware, Translator
from pulpo_core.translators.json import PulpoJson

from .handlers import as_table, time_limit


def _kind(*kinds: type) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, kinds):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigurationError(f"{attribute.name}: expected {names}, not {type(value).__name__}")

    return check


def _translates(_: object, __: object, value: object) -> None:
    if not (callable(getattr(value, "translate", None)) and callable(getattr(value, "encode", None))):
        raise ConfigurationError(f"translator: {type(value).__name__} has no methods 'translate' and 'encode'")


def _opens(_: object, __: object, value: Any) -> None:
    if inspect.isclass(value) or not callable(getattr(value, "open", None)):
        raise ConfigurationError(f"adapter: expected an object with a method 'open', not {_shown(value)}")


def _can_be_called(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Middleware that cannot be called, or makes an object when it is, would fail every message."""
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{attribute.name}: expected a list, not {_shown(value)}")
    for each in value:
        if inspect.isclass(each) or not callable(each):
            raise ConfigurationError(f"{attribute.name}: expected functions, or objects to call, not {_shown(each)}")


def _shown(value: object) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else type(value).__name__


def _rate(value: RateLimit | str) -> RateLimit:
    return RateLimit.of(value)  # mypy knows the types of functions that convert, and not of methods


#: Capabilities that a queue has or lacks; what is a number or a word is nothing to need by its name.
_CAN_BE_NEEDED: Final = sorted(
    ["delay", *(field.name for field in attrs.fields(Capabilities) if isinstance(field.default, bool))]
)


def display_name(url: str) -> str:
    """*url* without the parameters that say how, and with the one that says which: ``file:///shop.db?queue=mail``.

    What stands before an ``@`` is left out: a URL that should not carry a secret may carry one all the same.
    """
    place, _, query = re.sub(r"//[^/?]*@", "//…@", url).partition("?")
    queue = next((pair for pair in query.split("&") if pair.startswith("queue=")), "")
    return f"{place}?{queue}" if queue else place


@attrs.frozen(slots=True, eq=False)
class Route:
    """What to receive, and what to do with it.

    Attributes:
        queue: the URL of the queue.
        handlers: a `Handlers`, or one callable for every message.
        name: for logs, metrics and commands; what tells the queue's URL apart, see `display_name`, unless given.
        policy: how failures are met.
        translator: the format of the queue; pulpo's own JSON unless given.
        error_handler: asked about every failure before the policy; see `ports.handler.ErrorHandler`.
        concurrency: handlers that run at once.
        prefetch: deliveries held beyond that, their leases kept, so that a slot never waits.
        timeout: seconds or timedelta that a handler may take, from when it has its thread or process, if it needs one;
            the error handler may take as long. `None` for no limit.
        wait: how long one receive waits at the queue for a message.
        rate_limit: no more messages than that are received, by each process; a `RateLimit` or its text, ``100/s``.
        breaker: stops receiving for a while when handlers do nothing but fail.
        weight: its share of the dispatcher's ``concurrency`` while other routes with weights want it too. It then
            holds up to so many deliveries in front of the limit, their leases kept; without a weight it holds none.
        falsy_retries: any falsy result retries, as in loafer 2, and not just `False`.
        middleware: wraps handling, the first outermost.
        publish_middleware: wraps the publishing of follow-up messages.
        needs: names of capabilities that the queue must have, e.g. ``("priority",)``.
        adapter: opens the queue instead of the installed adapter of its scheme.
    """

    queue: str = attrs.field(validator=_kind(str))
    handlers: Any
    name: str = attrs.field(
        kw_only=True, default=attrs.Factory(lambda self: display_name(str(self.queue)), takes_self=True)
    )
    policy: Policy = attrs.field(kw_only=True, factory=Policy, validator=_kind(Policy))
    translator: Translator = attrs.field(kw_only=True, factory=PulpoJson, validator=_translates)
    error_handler: ErrorHandler | None = attrs.field(kw_only=True, default=None)
    concurrency: int = attrs.field(kw_only=True, default=10, validator=whole_from(1))
    prefetch: int = attrs.field(kw_only=True, default=0, validator=whole_from(0))
    timeout: timedelta | None = attrs.field(kw_only=True, default=None, converter=attrs.converters.optional(time_limit))
    wait: timedelta = attrs.field(kw_only=True, default=timedelta(seconds=10), converter=as_span, validator=is_span)
    rate_limit: RateLimit | None = attrs.field(kw_only=True, default=None, converter=attrs.converters.optional(_rate))
    breaker: Breaker | None = attrs.field(
        kw_only=True, default=None, validator=attrs.validators.optional(_kind(Breaker))
    )
    weight: int | None = attrs.field(kw_only=True, default=None, validator=attrs.validators.optional(whole_from(1)))
    falsy_retries: bool = attrs.field(kw_only=True, default=False)
    middleware: Sequence[Middleware] = attrs.field(kw_only=True, default=(), validator=_can_be_called)
    publish_middleware: Sequence[PublishMiddleware] = attrs.field(kw_only=True, default=(), validator=_can_be_called)
    needs: Sequence[str] = attrs.field(kw_only=True, default=())
    adapter: Adapter | None = attrs.field(kw_only=True, default=None, validator=attrs.validators.optional(_opens))

    def __attrs_post_init__(self) -> None:
        as_table(self.handlers)  # a handler that cannot be called is told now, not at the first message
        if self.error_handler is not None and not callable(self.error_handler):
            raise ConfigurationError(f"error_handler: {type(self.error_handler).__name__} cannot be called")
        for name in self.needs:
            if name not in _CAN_BE_NEEDED:
                raise ConfigurationError(
                    f"needs: {name!r} is nothing a queue has or lacks; known: {', '.join(_CAN_BE_NEEDED)}"
                )


def check_needs(route: Route, capabilities: Capabilities) -> None:
    """Refuse a route whose queue lacks what it needs.

    Raises:
        ConfigurationError: a capability it needs is not there; the text names both.
    """
    for name in route.needs:
        if not getattr(capabilities, name):
            raise ConfigurationError(f"route {route.name!r} needs {name}, which its queue does not offer")


def check_routes(routes: Sequence[Any]) -> list[Route]:
    """*routes* as a list, once they can be run together.

    Raises:
        ApplicationError: there is none, one is no route, or one has no handler.
        ConfigurationError: two have the same name.
    """
    if not routes:
        raise ApplicationError("there is no route to run")
    names: set[str] = set()
    for route in routes:
        if not isinstance(route, Route):
            raise ApplicationError(f"expected a Route, not {type(route).__name__}")
        if not as_table(route.handlers):
            raise ApplicationError(f"route {route.name!r} has no handler")
        if route.name in names:
            raise ConfigurationError(f"two routes are called {route.name!r}; give one of them a name of its own")
        names.add(route.name)
    return list(routes)
