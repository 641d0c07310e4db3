"""From ``module:object`` on a command line to what can be run. Every failure names what is missing."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pulpo_core import ApplicationError, ConfigurationError, Dispatcher, Handlers, Manager, Route
from pulpo_core.config import HandlerSettings, add_handler, call, kind_of, load_object

if TYPE_CHECKING:
    from pulpo_core.container import Container

    #: What an application can be: routes, what runs them already, or a container that has it all.
    Found = list[Route] | Dispatcher | Manager | Container


def make_importable(directory: Path) -> None:
    """Let modules in *directory* be imported, before all others."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def load_application(reference: str) -> Found:
    """The routes that *reference* names, or what runs them.

    Raises:
        ConfigurationError: it is no ``MODULE:OBJECT``.
        ApplicationError: it cannot be imported, or is nothing that can be run.
    """
    found = load_object(reference, where="APP")
    if _is_container(found) or (callable(found) and not inspect.isclass(found) and not isinstance(found, Handlers)):
        found = found if _is_made(found) else _made_by(found, reference)
    if isinstance(found, Route):
        return [found]
    if isinstance(found, (Dispatcher, Manager)):
        return found
    if _is_container(found):
        return cast("Container", found)
    if found and isinstance(found, (list, tuple)) and all(isinstance(each, Route) for each in found):
        return list(found)
    hint = "; put them into a Route, or give --queue and --handler" if isinstance(found, Handlers) else ""
    raise ApplicationError(
        f"APP {reference} is {_described(found)}; expected a list of Route, a Dispatcher, a Manager, a container,"
        f" or a function without arguments that makes one{hint}"
    )


def _made_by(factory: Any, reference: str) -> Any:
    if wanted := _arguments(factory):
        raise ApplicationError(
            f"APP {reference} takes arguments ({', '.join(wanted)}), and a function that makes an application takes"
            f" none; a handler is given by --handler TYPE={reference}"
        )
    if inspect.iscoroutinefunction(factory):
        raise ApplicationError(
            f"APP {reference} is a coroutine function, and one that makes an application is a plain one; a handler is"
            f" given by --handler TYPE={reference}"
        )
    return call(factory, where=f"APP {reference}")


def _arguments(factory: Any) -> list[str]:
    """The names of what *factory* cannot be called without, as far as it tells."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in variadic]


def _is_container(value: object) -> bool:
    if "dependency_injector" not in sys.modules:  # whoever made a container has imported it
        return False
    from pulpo_core.container import is_container  # noqa: PLC0415 - few applications need it

    return is_container(value)


def _is_made(value: object) -> bool:
    """Whether it is a container already, and not a class of them or a function that makes one."""
    return _is_container(value) and not inspect.isclass(value)


def _described(value: object) -> str:
    if isinstance(value, (list, tuple)) and value:
        odd = next(each for each in value if not isinstance(each, Route))
        return f"{kind_of(value)} with {kind_of(odd)} in it"
    return f"an empty {type(value).__name__}" if isinstance(value, (list, tuple)) else kind_of(value)


def load_handlers(specifications: Sequence[str]) -> Handlers:
    """The handlers of ``TYPE=module:callable``, or ``module:callable`` for every other type.

    Raises:
        ConfigurationError: a specification is neither.
        ApplicationError: it cannot be imported.
        HandlerError: it cannot be called as pulpo would.
    """
    handlers = Handlers()
    for specification in specifications:
        request_type, equals, reference = specification.rpartition("=")
        where = f"--handler {request_type}" if equals else "--handler"
        if not reference:
            raise ConfigurationError(f"{where}: expected MODULE:CALLABLE after the '='")
        add_handler(handlers, request_type if equals else None, HandlerSettings(call=reference), where=where)
    return handlers
