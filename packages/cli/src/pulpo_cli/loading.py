"""From ``module:object`` on a command line to the object. Every failure names what is missing."""

from __future__ import annotations

import difflib
import inspect
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import rich_click as click

from pulpo_core import (
    AnyJson,
    ApplicationError,
    Dispatcher,
    EventBridgeEvent,
    HandlerError,
    Handlers,
    Manager,
    PlainText,
    PulpoError,
    PulpoJson,
    Route,
    S3Notification,
    SnsNotification,
    Translator,
    error_text,
)

#: Translators that have a name of their own.
TRANSLATORS = {
    "pulpo": PulpoJson,
    "json": AnyJson,
    "text": PlainText,
    "sns": SnsNotification,
    "eventbridge": EventBridgeEvent,
    "s3": S3Notification,
}

#: What an application can be: routes, or what runs them already.
Application = list[Route] | Dispatcher | Manager


def make_importable(directory: Path) -> None:
    """Let modules in *directory* be imported, before all others."""
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def load_object(reference: str, *, option: str) -> Any:
    """The object that *reference* names, as ``package.module:object`` or ``package.module:object.attribute``.

    Args:
        option: where the reference was given, for error texts.

    Raises:
        UsageError: it is no such reference.
        ApplicationError: the module cannot be imported, or has no such object.
    """
    module, colon, path = reference.partition(":")
    if not (colon and module and path):
        raise click.UsageError(f"{option}: {reference!r} is not MODULE:OBJECT, such as jobs:routes")
    found: Any = _import(module)
    for name in path.split("."):
        if not hasattr(found, name):
            raise ApplicationError(f"{option} {reference}: {_name(found)} has no {name!r}{_hint(found, name)}")
        found = getattr(found, name)
    return found


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise ApplicationError(f"no module {missing!r} in {Path.cwd()} or among those installed") from error
        raise ApplicationError(f"module {name!r} cannot be imported: {error_text(error)}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Where the user's own code raised *error*, unless its text says so."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if isinstance(error, SyntaxError) or not frames or frames[-1].filename == __file__:
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


def _name(owner: Any) -> str:
    return f"module {owner.__name__!r}" if inspect.ismodule(owner) else _kind(owner)


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _hint(owner: Any, name: str) -> str:
    public = [each for each in dir(owner) if not each.startswith("_")]
    close = difflib.get_close_matches(name, public, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# ----------------------------------------------------------------------------------------------------- applications


def load_application(reference: str) -> Application:
    """The routes that *reference* names, or what runs them.

    Raises:
        UsageError: it is no ``MODULE:OBJECT``.
        ApplicationError: it cannot be imported, or is nothing that can be run.
    """
    found = load_object(reference, option="APP")
    if callable(found) and not inspect.isclass(found) and not isinstance(found, Handlers):
        found = _made_by(found, reference)
    if isinstance(found, Route):
        return [found]
    if isinstance(found, (Dispatcher, Manager)):
        return found
    if found and isinstance(found, (list, tuple)) and all(isinstance(each, Route) for each in found):
        return list(found)
    hint = "; put them into a Route, or give --queue and --handler" if isinstance(found, Handlers) else ""
    raise ApplicationError(
        f"APP {reference} is {_described(found)}; expected a list of Route, a Dispatcher, a Manager,"
        f" or a function without arguments that makes one{hint}"
    )


def _made_by(factory: Any, reference: str) -> Any:
    try:
        return factory()
    except PulpoError:
        raise
    except Exception as error:
        raise ApplicationError(f"APP {reference} failed: {error_text(error)}{_place(error)}") from error


def _described(value: object) -> str:
    if isinstance(value, (list, tuple)) and value:
        odd = next(each for each in value if not isinstance(each, Route))
        return f"{_kind(value)} with {_kind(odd)} in it"
    return f"an empty {type(value).__name__}" if isinstance(value, (list, tuple)) else _kind(value)


# --------------------------------------------------------------------------------------------------- single options


def load_handlers(specifications: Sequence[str]) -> Handlers:
    """The handlers of ``TYPE=module:callable``, or ``module:callable`` for every other type.

    Raises:
        UsageError: a specification is neither.
        ApplicationError: it cannot be imported.
        HandlerError: it cannot be called as pulpo would.
    """
    handlers = Handlers()
    for specification in specifications:
        request_type, equals, reference = specification.rpartition("=")
        handler = load_object(reference, option="--handler")
        try:
            if equals:
                handlers.add(request_type, handler)
            else:
                handlers.default(handler)
        except HandlerError as error:
            raise HandlerError(f"--handler {specification}: {error}") from error
    return handlers


def load_translator(name: str) -> Translator:
    """The translator of that name, or the object or class that it refers to.

    Raises:
        UsageError: it is neither a known name nor ``MODULE:OBJECT``.
        ApplicationError: it cannot be imported or made.
    """
    if ":" not in name and name not in TRANSLATORS:
        raise click.UsageError(f"--translator: {name!r} is neither MODULE:OBJECT nor one of {', '.join(TRANSLATORS)}")
    found: Any = TRANSLATORS.get(name) or load_object(name, option="--translator")
    translator: Translator = _made_by(found, name) if inspect.isclass(found) else found
    return translator
