"""Reads the settings of a service of loafer or pulpo-messaging as they are: `legacy_source`."""

from __future__ import annotations

import ast
import configparser
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from .describing import plain_of, toml_of
from .loading import WrongSettings
from .predecessors import BY_NAME, ROUTE, SCHEMES, Translation, queue_of_loafer, queue_of_pulpo_messaging
from .sources import Origin, Source, normal

#: Stands for the variables of the environment, in the place of a file.
ENVIRONMENT: Final = "env"

_LOAFER: Final = "LOAFER_"
_OPTIONS: Final = "LOAFER_DEFAULT_CONSUMER_OPTIONS"
_FROM_ENVIRONMENT: Final = "$ENV."


def legacy_source(file: str) -> Source:
    """What the settings of a predecessor say, in pulpo's terms, and a warning for each that names the new one.

    Args:
        file: pulpo-messaging's JSON; or ``LOAFER_…`` in a ``.env``, ``.cfg``, ``.ini`` or Python file, whose
            variables are weaker than those of the environment; or ``env`` for the environment alone.

    Raises:
        WrongSettings: it cannot be read, or says what cannot be.
    """
    path = Path(file)
    if file != ENVIRONMENT and path.suffix == ".json":
        return _pulpo_messaging(path)
    said = {} if file == ENVIRONMENT else _read(path, _reader_of(path))
    variables = {name: value for name, value in os.environ.items() if name.startswith(_LOAFER)}
    return _loafer({**said, **variables}, "the environment" if file == ENVIRONMENT else path.name)


# ------------------------------------------------------------------------------------------------------------- reading


def _read(path: Path, reader: Callable[[Path], Any]) -> dict[str, Any]:
    try:
        found = reader(path)
    except (OSError, ValueError, SyntaxError, configparser.Error) as error:
        raise WrongSettings([f"{path}: cannot be read: {error}"]) from error
    if not isinstance(found, dict):
        raise WrongSettings([f"{path}: expected a table of settings, not {type(found).__name__}"])
    return found


def _reader_of(path: Path) -> Callable[[Path], Any]:
    readers = {".env": _dotenv, ".cfg": _ini, ".ini": _ini, ".py": _module}
    reader = readers.get(path.suffix or path.name)
    if reader is None:
        raise WrongSettings(
            [f"{path}: expected pulpo-messaging's .json, loafer's .env, .cfg, .ini or .py, or {ENVIRONMENT!r}"]
        )
    return reader


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _dotenv(path: Path) -> dict[str, Any]:
    from dotenv import dotenv_values  # noqa: PLC0415 - needs the extra

    path.stat()  # else a file that is not there would be an empty one
    return dict(dotenv_values(path))


def _ini(path: Path) -> dict[str, Any]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation has it: keep the case
    parser.read_string(path.read_text())
    return {name: value for section in parser.values() for name, value in section.items()}


def _module(path: Path) -> dict[str, Any]:
    """The constants of a module, which is not run."""
    found: dict[str, Any] = {}
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            [target] = statement.targets
            if isinstance(target, ast.Name) and target.id.startswith(_LOAFER):
                found[target.id] = ast.literal_eval(statement.value)
    return found


# ------------------------------------------------------------------------------------------------------- taking over


def _loafer(said: Mapping[str, Any], place: str) -> Source:
    given = {name: value for name, value in said.items() if name.startswith(_LOAFER)}
    options = given.pop(_OPTIONS, None) or {}
    try:
        options = json.loads(options) if isinstance(options, str) else options
        given |= {f"{_OPTIONS}.{name}": value for name, value in dict(options).items()}
    except (ValueError, TypeError):
        raise WrongSettings([f"{place}: {_OPTIONS}: expected JSON, not {options!r:.60}"]) from None
    source = _taken_over(given, place, name=str(given.get("LOAFER_DEFAULT_ROUTE_NAME") or ROUTE), queue=queue_of_loafer)
    route = next(path for path in source.values if path.endswith(".queue")).removesuffix(".queue")
    return _with_default(source, place, f"{route}.translator", "json")


def _pulpo_messaging(path: Path) -> Source:
    given = {name: _substituted(value) for name, value in _flat(_read(path, _json))}
    given = {name: value for name, value in given.items() if not _is_of_another_adapter(name, given)}
    source = _taken_over(given, path.name, name=ROUTE, queue=queue_of_pulpo_messaging)
    return _with_default(source, path.name, "max_empty_polls", 5)


def _with_default(source: Source, place: str, path: str, value: Any) -> Source:
    """*source*, and what the predecessor did when it was told nothing."""
    if path in source.values:
        return source
    warning = f"{place}: what was meant unless something else was said is now {path} = {toml_of(value)}"
    values = {**source.values, path: (Origin(place, "its default there"), value)}
    return Source(values=values, warnings=(*source.warnings, warning))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping) and any(old.startswith(f"{prefix}{name}.") for old in BY_NAME):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _is_of_another_adapter(name: str, given: Mapping[str, Any]) -> bool:
    """Whether *name* is of the section of an adapter that is not in use."""
    section, dot, _ = name.partition(".")
    return bool(dot) and section in SCHEMES and SCHEMES.get(given.get("queue_adapter_type")) != SCHEMES[section]


def _substituted(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FROM_ENVIRONMENT):
        return os.environ.get(value.removeprefix(_FROM_ENVIRONMENT))
    return value


def _taken_over(
    given: Mapping[str, Any], place: str, *, name: str, queue: Callable[[Mapping[str, Any]], str]
) -> Source:
    taken = _Taken(place, f"routes.{normal(name)}")
    for old, value in given.items():
        taken.setting(old, value)
    taken.queue(given, queue)
    if taken.wrong:
        raise WrongSettings(taken.wrong)
    return Source(values=taken.values, warnings=tuple(taken.warnings))


@attrs.define
class _Taken:
    """What is taken over, and a line about each.

    Attributes:
        route: the path of the one route that a predecessor's settings describe.
    """

    place: str
    route: str
    values: dict[str, tuple[Origin, Any]] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)

    def setting(self, old: str, value: Any) -> None:
        """Take over what is no part of the queue."""
        try:
            found = _new(old, value, self.route)
        except ValueError as error:
            self.wrong.append(f"{self.place}: {old}: {error}")
            return
        if isinstance(found, str):
            self.warnings.append(f"{self.place}: {old} {found}")
        elif found is not None:
            path, made = found
            self.values[path] = (Origin(self.place, old), made)
            self.warnings.append(f"{self.place}: {old} is now {path} = {toml_of(plain_of(made))}")

    def queue(self, given: Mapping[str, Any], url_of: Callable[[Mapping[str, Any]], str]) -> None:
        """Take over the queue, of which several of *given* tell a part."""
        olds = ", ".join(old for old in given if _is_of_the_queue(BY_NAME.get(old)))
        try:
            url = url_of(given)
        except ValueError as error:
            self.wrong.append(f"{self.place}: {error}")
        else:
            self.values[f"{self.route}.queue"] = (Origin(self.place, olds), url)
            self.warnings.insert(0, f"{self.place}: {olds}: now {self.route}.queue = {toml_of(url)}")


def _new(old: str, value: Any, route: str) -> tuple[str, Any] | str | None:
    """What *old* is now and its value; or why it is nothing; or `None` for what is a part of the queue's URL.

    Raises:
        ValueError: it cannot be read.
    """
    translation = BY_NAME.get(old)
    if translation is None:
        return "is no setting of a predecessor, and is passed over"
    made = value if translation.read is None else translation.read(value)
    if _is_of_the_queue(translation):
        return None
    if translation.new is None:
        return f"is not taken over: {translation.note}"
    if made is None:
        return "is not set, and is passed over"
    return translation.new.replace(f"routes.{ROUTE}", route), made


def _is_of_the_queue(translation: Translation | None) -> bool:
    """Whether it is said by the URL of the queue, or the name of its table."""
    return translation is not None and translation.new in {f"routes.{ROUTE}.queue", f"routes.{ROUTE}"}
