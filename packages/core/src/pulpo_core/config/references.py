"""From ``module:object`` in a setting or on a command line to the object. Every failure names what is missing."""

from __future__ import annotations

import difflib
import inspect
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from pulpo_core.domain.errors import ApplicationError, ConfigurationError, PulpoError
from pulpo_core.domain.wording import error_text

#: The directory of this package, whose lines tell a user nothing about his own.
_OURS: Final = str(Path(__file__).parents[1])


def load_object(reference: str, *, where: str) -> Any:
    """The object that *reference* names, as ``package.module:object`` or ``package.module:object.attribute``.

    Args:
        where: what gave the reference, for error texts.

    Raises:
        ConfigurationError: it is no such reference.
        ApplicationError: the module cannot be imported, or has no such object.
    """
    module, colon, path = reference.partition(":")
    if not (colon and module and path):
        raise ConfigurationError(f"{where}: {reference!r} is not MODULE:OBJECT, such as jobs:routes")
    found: Any = _import(module)
    for name in path.split("."):
        if not hasattr(found, name):
            raise ApplicationError(f"{where} {reference}: {_name(found)} has no {name!r}{_hint(found, name)}")
        found = getattr(found, name)
    return found


def call(factory: Any, *, where: str) -> Any:
    """What *factory* makes.

    Raises:
        ApplicationError: it fails; pulpo's own errors come as they are.
    """
    try:
        return factory()
    except PulpoError:
        raise
    except (Exception, SystemExit) as error:
        raise ApplicationError(f"{where} failed: {error_text(error)}{_place(error)}") from error


def kind_of(value: Any) -> str:
    """What *value* is, with its article."""
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise ApplicationError(f"no module {missing!r} in {Path.cwd()} or among those installed") from error
        raise ApplicationError(f"module {name!r} cannot be imported: {error_text(error)}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Where the user's own code raised *error*, or called what did, unless its text says so."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_between(frame.filename)]
    if isinstance(error, SyntaxError) or not frames:
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


def _is_between(filename: str) -> bool:
    """Whether the code in that file only stands between the user's and an error."""
    return "importlib" in filename or filename.startswith(_OURS)


def _name(owner: Any) -> str:
    return f"module {owner.__name__!r}" if inspect.ismodule(owner) else kind_of(owner)


def _hint(owner: Any, name: str) -> str:
    return _hidden(owner) or did_you_mean(name, [each for each in dir(owner) if not each.startswith("_")])


def _hidden(owner: Any) -> str:
    """A hint at a file of the working directory that has the name of the module *owner*, and is another; or nothing."""
    if not inspect.ismodule(owner):
        return ""
    meant = Path.cwd().joinpath(*owner.__name__.split(".")).with_suffix(".py")
    found = getattr(owner, "__file__", None)
    if not meant.exists() or (found is not None and Path(found).resolve() == meant.resolve()):
        return ""
    return f"; it is {found or 'a part of Python'}, which hides {meant}: give that another name"


def did_you_mean(name: str, known: list[str], *, cutoff: float = 0.6) -> str:
    """A hint at the one of *known* that *name* may have meant; empty when there is none."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"; did you mean {close[0]!r}?" if close else ""
