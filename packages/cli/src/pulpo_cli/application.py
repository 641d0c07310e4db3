"""What `pulpo run` is to run, and with which settings: an application by its name, or routes of settings or options."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import rich_click as click

from pulpo_core import ApplicationError, Dispatcher, HandlerError, Manager, Route, display_name, open_queue
from pulpo_core.config import (
    Loaded,
    RouteSettings,
    Settings,
    dispatcher_of,
    legacy_source,
    load_object,
    load_translator,
    read_settings,
    route_of,
    routes_of,
    tracing_of,
)

from .loading import load_application, load_handlers, make_importable
from .options import together
from .output import complain
from .session import session

settings_option = click.option(
    "--settings",
    "settings_files",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A further file like pulpo.toml. Repeatable, the last is the strongest.",
)

#: Let a command take APP, or the options that make a route.
application_options = together(
    click.argument("app", required=False),
    click.option("--queue", metavar="URL", help="Without APP: the queue.  [env var: PULPO_QUEUE]"),
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
    settings_option,
    click.option(
        "--legacy-config",
        metavar="FILE",
        help="Take over the settings of loafer or pulpo-messaging: a .json, .env, .cfg, .ini or .py file, or env.",
    ),
)

#: Options that belong to the one route which the command line makes or changes, and to nothing else.
_OF_THE_ROUTE: Final = ("queue", "handlers", "translator", "error_handler", "timeout", "max_attempts")

#: Options whose name is that of the setting which they override.
_SETTINGS: Final = frozenset(field.name for field in attrs.fields(Settings)) - {"app", "queue"}

#: Settings of the process that an application which is a dispatcher already says for itself.
_OF_THE_DISPATCHER: Final = (
    *("concurrency", "threads", "process_pool", "grace", "thread_grace"),
    *("once", "burst", "max_messages", "max_empty_polls", "poll_interval", "traces"),
)


@attrs.frozen(kw_only=True)
class Application:
    """What can be run, imported and checked.

    Attributes:
        manager: runs it.
        settings: of the process.
    """

    manager: Manager
    settings: Settings

    @property
    def dispatcher(self) -> Dispatcher:
        """What the manager runs."""
        return self.manager.dispatcher

    @property
    def routes(self) -> Sequence[Route]:
        """Its routes."""
        return self.dispatcher.routes

    def check_queues(self) -> None:
        """Find wrong URLs before anything is said or done: an adapter tells them as soon as it is asked to open one.

        Raises:
            ConfigurationError: a URL has no adapter, or its adapter does not accept it.
        """
        for route in self.routes:
            open_queue(route.queue, adapter=route.adapter)


@attrs.frozen(kw_only=True)
class Given:
    """What the command line says about the application and its settings.

    Attributes:
        options: further options by their names, those that were given.
    """

    app: str | None = None
    queue: str | None = None
    handlers: tuple[str, ...] = ()
    translator: str | None = None
    error_handler: str | None = None
    settings_files: tuple[Path, ...] = ()
    legacy_config: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)

    @classmethod
    def among(cls, options: dict[str, Any]) -> Given:
        """What `application_options` have found, taken out of *options*: the rest is the command's own."""
        names = [field.name for field in attrs.fields(cls) if field.name != "options"]
        return cls(**{name: options.pop(name) for name in names if name in options})

    def loaded(self) -> Loaded:
        """The settings of files, environment and command line.

        Raises:
            WrongSettings: see `read_settings`.
        """
        command_line = {name: value for name, value in self.options.items() if name in _SETTINGS}
        weakest = None if self.legacy_config is None else legacy_source(self.legacy_config)
        return read_settings(files=self.settings_files, command_line=command_line, weakest=weakest)

    def read(self) -> Loaded:
        """The same as `loaded`, and tells a person what is not as it should be."""
        loaded = self.loaded()
        if session().leash is None:  # else the supervisor has said it
            for warning in loaded.warnings:
                complain(warning)
        return loaded

    def load(self, settings: Settings | None = None) -> Application:
        """Import it. The working directory is importable, and the settings' environment is that of the process.

        Args:
            settings: those that were read already.

        Raises:
            UsageError: the options do not go together.
            ConfigurationError: settings are wrong, or a reference is none.
            ApplicationError, HandlerError: it cannot be imported, or cannot be run.
        """
        settings = self.read().settings if settings is None else settings
        make_importable(Path.cwd())
        for name, value in settings.environment.items():
            os.environ.setdefault(name, value)
        app = self.app
        if app is None and not self._given(_OF_THE_ROUTE):
            app = settings.app
        if app is None:
            return _application(self._routes(settings), settings)
        return self._named(app, settings)

    def _named(self, app: str, settings: Settings) -> Application:
        found = load_application(app)
        contained = not isinstance(found, (list, Dispatcher, Manager))
        own = [name for name in _OF_THE_ROUTE if not (contained and name == "queue")]
        self._refuse(own, f" is for a route without APP; {app} says it in its own routes")
        if isinstance(found, list):
            return _application(found, settings)
        if not isinstance(found, (Dispatcher, Manager)):
            return self._contained(found, settings)
        self._refuse(_OF_THE_DISPATCHER, f": {app} is a {type(found).__name__}, which says it for itself")
        return Application(manager=found if isinstance(found, Manager) else Manager(found), settings=settings)

    def _contained(self, container: Any, settings: Settings) -> Application:
        from pulpo_core.container import manager_of, settings_of  # noqa: PLC0415 - few applications need it

        own = settings_of(container)
        if own is not None:  # the application has read its settings itself; the command line is stronger
            settings = attrs.evolve(own, **{name: self.options[name] for name in _SETTINGS if name in self.options})
        if self.queue is not None:
            settings = _on_queue(settings, self.queue)
        return Application(manager=manager_of(container, settings=settings, **_loop(settings)), settings=settings)

    def _refuse(self, names: Sequence[str], why: str) -> None:
        for name in self._given(names):
            raise click.UsageError(f"{_option(name)}{why}")

    def _given(self, names: Sequence[str]) -> list[str]:
        """Those of *names* that were given."""
        values = attrs.asdict(self, recurse=False) | dict(self.options)
        return [name for name in names if values.get(name) not in (None, ())]

    def _routes(self, settings: Settings) -> list[Route]:
        """The routes of the settings, or the one that options make; options also change the only one there is."""
        own = self._given(_OF_THE_ROUTE)
        known = {} if self.queue else settings.routes
        if not own and known:
            return routes_of(settings)
        if len(known) > 1:
            names = ", ".join(known)
            raise click.UsageError(f"{_option(own[0])}: for which of the routes {names}? Give --queue for another one")
        queue = self.queue or settings.queue
        if not known and not queue:
            raise click.UsageError("give APP, or --queue (or PULPO_QUEUE) with --handler, or routes in pulpo.toml")
        name, route = next(iter(known.items()), (None, RouteSettings(queue=queue)))
        return [self._route(name, route, attrs.evolve(settings, routes={}))]

    def _route(self, name: str | None, route: RouteSettings, settings: Settings) -> Route:
        handlers = load_handlers(self.handlers)
        if handlers.table():
            route = attrs.evolve(route, handlers={}, default_handler=None)
        elif not (route.handlers or route.default_handler):
            url = display_name(route.queue or settings.queue or "")
            raise ApplicationError(f"no handler for {url}: give APP, or --handler [TYPE=]MODULE:CALLABLE")
        if "timeout" in self.options:
            route = attrs.evolve(route, timeout=self.options["timeout"])
        if "max_attempts" in self.options:
            policy = attrs.evolve(route.policy, max_attempts=self.options["max_attempts"])
            route = attrs.evolve(route, policy=policy)
        made = route_of(name, route, settings, handlers=handlers)
        return attrs.evolve(made, **self._objects())

    def _objects(self) -> dict[str, Any]:
        """What options name and a route takes as an object."""
        found: dict[str, Any] = {}
        if self.translator is not None:
            found["translator"] = load_translator(self.translator, where="--translator")
        if self.error_handler is not None:
            found["error_handler"] = load_object(self.error_handler, where="--error-handler")
            if not callable(found["error_handler"]):
                raise HandlerError(f"--error-handler {self.error_handler} cannot be called")
        return found


def _on_queue(settings: Settings, queue: str) -> Settings:
    """*settings* with their only route, or the one that is made when there is none, on *queue*."""
    if len(settings.routes) > 1:
        raise click.UsageError(f"--queue: for which of the routes {', '.join(settings.routes)}?")
    routes = {name: attrs.evolve(route, queue=None) for name, route in settings.routes.items()}
    return attrs.evolve(settings, queue=queue, routes=routes)


def _application(routes: list[Route], settings: Settings) -> Application:
    dispatcher = dispatcher_of(settings, routes, tracing=tracing_of(settings))
    return Application(manager=Manager(dispatcher, **_loop(settings)), settings=settings)


def _loop(settings: Settings) -> dict[str, Any]:
    """What a manager is to be told about its event loop."""
    if not settings.uvloop:
        return {}
    try:
        import uvloop  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise ApplicationError("uvloop is not installed: pip install 'pulpo-cli[uvloop]'") from error
    return {"loop_factory": uvloop.new_event_loop}


def _option(name: str) -> str:
    return "--handler" if name == "handlers" else f"--{name.replace('_', '-')}"
