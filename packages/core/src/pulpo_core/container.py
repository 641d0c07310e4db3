"""A container of pulpo's parts, to be composed into an application's own.

::

    class App(containers.DeclarativeContainer):
        config = providers.Configuration()
        pool = providers.Resource(open_pool, config.dsn)  # asynchronous, and the application's own
        mailer = providers.Singleton(Mailer, host=config.smtp)
        handlers = providers.Dict({"send_email": providers.Factory(SendEmail, mailer=mailer, pool=pool)})
        pulpo = providers.Container(PulpoContainer, handlers=handlers)

``pulpo run shop.container:App`` runs it, and ``manager_of(App()).run()`` does the same in a program. Compose, never
subclass: a provider that a subclass replaces is not used by those it inherits.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeGuard

import attrs
from dependency_injector import containers, errors, providers, wiring

from pulpo_core.application.dispatcher import Dispatcher
from pulpo_core.application.handlers import Handlers, as_table
from pulpo_core.application.making import PerMessage
from pulpo_core.application.manager import Manager
from pulpo_core.application.publishers import Publishers
from pulpo_core.application.route import Route
from pulpo_core.config.routes import route_of
from pulpo_core.config.running import dispatcher_of, tracing_of
from pulpo_core.config.settings import RouteSettings, Settings
from pulpo_core.domain.errors import ApplicationError, PulpoError
from pulpo_core.domain.wording import error_text

Provider = providers.Provider[Any]
Container = containers.Container

#: Defaults that stand for something else until their module is wired.
_MARKERS: Any = (wiring.Provide, wiring.Provider)


def _routes(
    settings: Settings,
    handlers: Provider,
    *,
    middleware: Sequence[Any],
    publish_middleware: Sequence[Any],
    error_handler: Any,
    adapter: Any,
) -> list[Route]:
    """The routes of *settings*, each with what it says itself, and else with what the container holds."""
    wanted = settings.routes or {"default": RouteSettings()}
    made = [route_of(name, each, settings, handlers=handlers_of(handlers, route=name)) for name, each in wanted.items()]
    return [
        attrs.evolve(
            route,
            middleware=(*middleware, *route.middleware),
            publish_middleware=(*publish_middleware, *route.publish_middleware),
            error_handler=route.error_handler or error_handler,
            adapter=route.adapter or adapter,
        )
        for route in made
    ]


def _dispatcher(
    settings: Settings, routes: Sequence[Route], tracing: Any, observers: Sequence[Any], clock: Any, jitter: Any
) -> Dispatcher:
    return dispatcher_of(settings, routes, tracing=tracing, observers=observers, clock=clock, jitter=jitter)


def _publisher(
    settings: Settings, tracing: Any, middleware: Sequence[Any], observers: Sequence[Any], **parts: Any
) -> Publishers:
    if tracing is not None:
        middleware, observers = (*middleware, tracing.send), (*observers, tracing)
    parts |= {"middleware": middleware, "observers": observers}
    queues = {name: url for name, route in settings.routes.items() if (url := route.queue or settings.queue)}
    default = settings.queue or (next(iter(queues.values())) if len(queues) == 1 else None)
    return Publishers(queues, default=default, **parts)


class PulpoContainer(containers.DeclarativeContainer):
    """pulpo's parts, none of which needs an event loop to be made.

    Attributes:
        settings: a `Settings`; ``pulpo run`` gives those that it has loaded, unless the application has its own.
        handlers: for each request type a provider, which is asked for a handler for each message: a
            ``Factory`` makes a new one, a ``Singleton`` is the same for all. Or, for each route's name, such
            a table. Also a `Handlers`, or one callable. Routes whose settings name handlers have those.
        routes: the routes; those of the settings unless they are given.
        middleware, publish_middleware: of every route, outside of the routes' own.
        error_handler: of every route that has none of its own.
        adapter: opens every queue, whatever its URL, instead of the installed adapters.
        observers: told what happens, publishing included.
        clock, jitter: time and chance.
        tracing: tells OpenTelemetry of what is published and handled; `None` unless the settings want it.
        publisher: publishes to the routes' queues by their names; open while the application runs.
        dispatcher: runs the routes; a new one each time, since each runs once.
    """

    settings = providers.Dependency(instance_of=Settings, default=providers.Object(Settings()))
    handlers: providers.Dependency[Any] = providers.Dependency(default=providers.Object(None))
    middleware: providers.Dependency[Any] = providers.Dependency(default=providers.Object(()))
    publish_middleware: providers.Dependency[Any] = providers.Dependency(default=providers.Object(()))
    error_handler: providers.Dependency[Any] = providers.Dependency(default=providers.Object(None))
    adapter: providers.Dependency[Any] = providers.Dependency(default=providers.Object(None))
    observers: providers.Dependency[Any] = providers.Dependency(default=providers.Object(()))
    clock: providers.Dependency[Any] = providers.Dependency(default=providers.Object(None))
    jitter: providers.Dependency[Any] = providers.Dependency(default=providers.Object(None))
    routes = providers.Callable(
        _routes,
        settings,
        handlers.provider,
        middleware=middleware,
        publish_middleware=publish_middleware,
        error_handler=error_handler,
        adapter=adapter,
    )
    tracing = providers.Singleton(tracing_of, settings)
    publisher = providers.Singleton(
        _publisher,
        settings,
        tracing,
        middleware=publish_middleware,
        observers=observers,
        adapter=adapter,
        clock=clock,
        jitter=jitter,
    )
    dispatcher = providers.Factory(
        _dispatcher, settings, routes, tracing, observers=observers, clock=clock, jitter=jitter
    )


# ------------------------------------------------------------------------------------------------------------ running


def is_container(value: object) -> TypeGuard[Container | type[Container]]:
    """Whether *value* is a container, or a class of containers."""
    kinds = (containers.DeclarativeContainer, containers.DynamicContainer)
    return isinstance(value, kinds) or (inspect.isclass(value) and issubclass(value, kinds))


def pulpo_of(container: Container) -> Any:
    """The `PulpoContainer` in *container*, which may be one itself.

    Raises:
        ApplicationError: there is none, or more than one.
    """
    if container.declarative_parent is PulpoContainer:
        return container
    found = {
        name: each
        for name, each in container.providers.items()
        if isinstance(each, providers.Container) and each.container.declarative_parent is PulpoContainer
    }
    if len(found) != 1:
        names = " and ".join(found) or "none"
        raise ApplicationError(
            f"a container holds one providers.Container(PulpoContainer, …), and this one holds {names}"
        )
    return next(iter(found.values()))


def manager_of(container: Container | type[Container], *, settings: Settings | None = None, **options: Any) -> Manager:
    """What runs the application that *container* wires.

    Its resources are opened before the first queue, and closed after the last settlement, in every case.

    Args:
        container: an instance, or the class that one is made of.
        settings: for pulpo's part, instead of what the container says.
        options: for the `Manager`.

    Raises:
        ApplicationError: the container lacks a part, or a provider fails.
        ConfigurationError, HandlerError: as for `Dispatcher`.
    """
    container = container() if inspect.isclass(container) else container
    pulpo = pulpo_of(container)
    if settings is not None:
        pulpo.settings.override(providers.Object(settings))
    _check(container)
    dispatcher = _made(pulpo.dispatcher, "its dispatcher")
    _check_injected(container, dispatcher)
    around = (lambda _: resources_of(container), lambda _: pulpo.publisher())
    return Manager(dispatcher, around=around, **options)


def settings_of(container: Container) -> Settings | None:
    """The settings that the application gives pulpo itself; `None` if it leaves them to whoever runs it.

    Raises:
        ApplicationError: the container has no such part, or its provider fails.
    """
    provider = pulpo_of(container).settings
    found: Settings | None = _made(provider, "its settings") if provider.overridden else None
    return found


@asynccontextmanager
async def resources_of(container: Container) -> AsyncGenerator[None]:
    """The resources of *container*, open inside the context, and closed also when one of them failed to open.

    Raises:
        PulpoError: one cannot be opened or closed; what it says itself is the cause.
    """
    try:
        await _finished(container.init_resources, "opened")
        yield
    finally:
        await _finished(container.shutdown_resources, "closed")


async def _finished(work: Callable[[], Any], what: str) -> None:
    try:
        done = work()
        if inspect.isawaitable(done):
            await done
    except Exception as error:
        raise PulpoError(f"a resource of the container cannot be {what}: {error_text(error)}") from error


def _check(container: Container) -> None:
    try:
        container.check_dependencies()
    except errors.Error as error:
        raise ApplicationError(f"the container is not complete: {error}") from error


def _check_injected(container: Container, dispatcher: Dispatcher) -> None:
    """A function whose module was not wired would get markers instead of what they stand for."""
    if container.wired_to_modules:
        return
    for bound in (bound for route in dispatcher.routes for bound in as_table(route.handlers)):
        for parameter in inspect.signature(bound.target).parameters.values():
            if isinstance(parameter.default, _MARKERS):
                raise ApplicationError(
                    f"{bound.name}: its parameter {parameter.name!r} is to be injected, and no module is wired: give"
                    " the container a wiring_config, or let a provider make the handler"
                )


def _made(provider: Provider, what: str) -> Any:
    try:
        made = provider()
    except PulpoError:
        raise
    except Exception as error:
        raise ApplicationError(f"the container fails to make {what}: {error_text(error)}") from error
    if inspect.isawaitable(made):
        raise ApplicationError(
            f"to make {what} the container depends on a resource that is opened asynchronously: let handlers depend on"
            " it, which are asked for when it is open, and neither settings nor middleware"
        )
    return made


# ----------------------------------------------------------------------------------------------------------- handlers


def handlers_of(provider: Provider, *, route: str) -> Any:
    """What *provider* has for the route of that name: `Handlers`, a callable, or `None`.

    Raises:
        HandlerError: a handler cannot be called as pulpo would.
    """
    held = _held(provider)
    if isinstance(held, Mapping) and held and all(isinstance(_held(each), Mapping) for each in held.values()):
        held = _held(held.get(route))
    if not isinstance(held, Mapping):
        return handler_of(held)
    handlers = Handlers()
    for request_type, each in held.items():
        handlers.add(request_type, handler_of(each))
    return handlers


def handler_of(value: Any) -> Any:
    """A handler of what a table holds: a handler as it is, or one that its provider is asked for at each message."""
    provider = _held(value)
    if not isinstance(provider, providers.Provider):
        return provider
    provides: Any = getattr(provider, "provides", None)
    if isinstance(provider, (providers.Callable, providers.Coroutine)):  # calls a function with what it is to be given
        wanted = functools.partial(provides, **dict.fromkeys(provider.kwargs))
        return PerMessage(wanted, providers.Factory(functools.partial, provides, **provider.kwargs))
    return PerMessage(provides, value)


def _held(value: Any) -> Any:
    """What stands behind providers that only hold it: a table of providers, an object, or what makes one."""
    while isinstance(value, providers.Provider) and value.overridden:
        value = value.last_overriding
    if isinstance(value, providers.Dict):
        return value.kwargs
    return value() if isinstance(value, (providers.Object, providers.Dependency)) else value
