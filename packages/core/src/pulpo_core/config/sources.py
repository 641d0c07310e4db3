"""Where settings come from: tables in TOML, ``.env``, the environment, the command line. Nothing is converted here."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import attrs

from .references import did_you_mean
from .settings import RouteSettings, Settings

PREFIX: Final = "PULPO_"
FILES_VARIABLE: Final = "PULPO_SETTINGS"

#: Names of settings whose values are nobody's business, wherever they stand.
SECRET_NAME: Final = re.compile(
    r"pass(word|wd)|secret|token|api_?key|access_?key|private|credential|dsn", re.IGNORECASE
)

_ROUTE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

#: Places in which a key has a name of its own, which says enough.
_NAMED_BY_KEY: Final = frozenset({"environment", "command line"})


@attrs.frozen
class Origin:
    """Where a setting was said.

    Attributes:
        place: the file, ``environment`` or ``command line``.
        key: what it is called there.
    """

    place: str
    key: str

    @property
    def shown(self) -> str:
        """The file, or the variable or option."""
        return self.key if self.place in _NAMED_BY_KEY else self.place

    def __str__(self) -> str:
        return self.key if self.place in _NAMED_BY_KEY else f"{self.place}: {self.key}"


@attrs.frozen(kw_only=True)
class Source:
    """What one place says.

    Attributes:
        values: for each setting by its path, where it was said and what.
        wrong: lines about what is no setting.
        warnings: lines about what works and should be otherwise.
    """

    values: Mapping[str, tuple[Origin, Any]]
    wrong: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Document:
    """A file of settings as it was read: the table that is pulpo's."""

    path: Path
    place: str
    table: Mapping[str, Any]
    wrong: tuple[str, ...] = ()


def read_document(path: Path, *, place: str, section: tuple[str, ...]) -> Document:
    """The table *section* of the file at *path*; what stands beside it in ``pulpo.toml`` is wrong there."""
    from typed_settings.exceptions import TsError  # noqa: PLC0415 - needs the extra
    from typed_settings.loaders import TomlFormat  # noqa: PLC0415 - needs the extra

    try:
        table: Any = TomlFormat(None)(path, Settings, ())
    except (TsError, OSError, UnicodeDecodeError) as error:
        return Document(path=path, place=place, table={}, wrong=(f"{place}: cannot be read: {error}",))
    stray = [key for key in table if key != section[0]] if len(section) == 1 else []
    wrong = tuple(f"{place}: {key}: unknown; settings stand under [{section[0]}]" for key in stray)
    for step in section:
        table = table.get(step, {})
        if not isinstance(table, Mapping):
            return Document(path=path, place=place, table={}, wrong=(*wrong, f"{place}: {step} is not a table"))
    return Document(path=path, place=place, table=table, wrong=wrong)


def route_names(documents: Iterable[Document], variables: Iterable[str]) -> dict[str, str]:
    """The names of all routes, by the form in which they stand in paths.

    A file names a route by its table, the environment by its queue.
    """
    names: dict[str, str] = {}
    for document in documents:
        routes = document.table.get("routes", {})
        for name in routes if isinstance(routes, Mapping) else ():
            if _ROUTE_NAME.fullmatch(name):
                names.setdefault(normal(name), name)
    known = {name.lower() for name in names}  # variables are in capitals, whatever a file calls its routes
    for variable in variables:
        match = re.fullmatch(rf"{PREFIX}ROUTES_([A-Z][A-Z0-9_]*)_QUEUE", variable)
        if match and match[1].lower() not in known:
            names[match[1].lower()] = match[1].lower()
    return names


def normal(key: str) -> str:
    """*key* as it stands in paths: a dash is as good as an underscore."""
    return key.replace("-", "_")


def options_of(routes: Iterable[str]) -> dict[str, Any]:
    """Every setting there can be, by its path, once it is known which routes there are."""
    from typed_settings.cls_utils import deep_options  # noqa: PLC0415 - needs the extra

    options = {option.path: option for option in deep_options(Settings) if option.path != "routes"}
    of_a_route = deep_options(RouteSettings)
    for name in routes:
        for option in of_a_route:
            path = f"routes.{name}.{option.path}"
            options[path] = replace(option, path=path)
    return options


def from_document(document: Document, options: Mapping[str, Any]) -> Source:
    """What a file says."""
    values: dict[str, tuple[Origin, Any]] = {}
    wrong = list(document.wrong)
    for leaf in _leaves(document.table, options):
        if leaf.path in options:
            values[leaf.path] = (Origin(document.place, leaf.written), leaf.value)
        else:
            wrong.append(f"{document.place}: {leaf.written}: {_complaint(leaf, options)}")
    return Source(values=values, wrong=tuple(wrong), warnings=_open_to_all(document.path, _secrets(values)))


@attrs.frozen
class _Leaf:
    """Whatever in a file is a setting, or can be none.

    Attributes:
        table: the path of the table that it stands in, with a dot at its end.
        written: the whole path as the file has it.
    """

    table: str
    key: str
    written: str
    value: Any

    @property
    def path(self) -> str:
        return self.table + self.key


def _leaves(table: Mapping[str, Any], options: Mapping[str, Any], path: str = "", written: str = "") -> Iterator[_Leaf]:
    for key, value in table.items():
        leaf = _Leaf(path, normal(key), f"{written}{key}", value)
        if leaf.path not in options and _is_table(leaf.path, options) and isinstance(value, Mapping):
            yield from _leaves(value, options, f"{leaf.path}.", f"{leaf.written}.")
        else:
            yield leaf


def _is_table(path: str, options: Mapping[str, Any]) -> bool:
    return path == "routes" or any(option.startswith(f"{path}.") for option in options)


def _complaint(leaf: _Leaf, options: Mapping[str, Any]) -> str:
    if _is_table(leaf.path, options):
        return f"expected a table, not {leaf.value!r:.40}"
    if leaf.table == "routes.":
        return f"expected a name of letters, digits, '-' and '_', not {leaf.key!r}"
    siblings = {
        option.removeprefix(leaf.table).partition(".")[0] for option in options if option.startswith(leaf.table)
    }
    return f"unknown{did_you_mean(leaf.key, sorted(siblings | ({'routes'} if not leaf.table else set())))}"


def from_environment(options: Mapping[str, Any]) -> Source:
    """What the environment says.

    A variable that is no setting may be somebody else's; one that is nearly a setting's is told.
    """
    from typed_settings.loaders import EnvLoader  # noqa: PLC0415 - needs the extra

    loader = EnvLoader(PREFIX)
    names = {loader.get_envvar(option): path for path, option in options.items()}
    loaded = loader(Settings, tuple(options.values())).settings
    values = {
        path: (Origin("environment", name), _at(loaded, path)) for name, path in names.items() if name in os.environ
    }
    warnings = [
        f"{name} is no setting{hint}"
        for name in os.environ
        if name.startswith(PREFIX) and name not in {*names, FILES_VARIABLE}
        if (hint := did_you_mean(name, list(names), cutoff=0.85))
    ]
    return Source(values=values, warnings=tuple(warnings))


def from_dotenv(path: Path, options: Mapping[str, Any]) -> Source:
    """What ``.env`` says; variables of others are passed over."""
    from dotenv import dotenv_values  # noqa: PLC0415 - needs the extra
    from typed_settings.loaders import DotEnvLoader  # noqa: PLC0415 - needs the extra

    if flaw := _flaw_in_dotenv(path):
        return Source(values={}, wrong=(f"{path.name}: cannot be read: {flaw}",))
    loader = DotEnvLoader(PREFIX, path)
    names = {loader.get_envvar(option): each for each, option in options.items()}
    present = dotenv_values(path)
    loaded = loader(Settings, tuple(options.values())).settings
    values = {each: (Origin(path.name, name), _at(loaded, each)) for name, each in names.items() if name in present}
    wrong = [
        f"{path.name}: {name}: unknown{did_you_mean(name, list(names), cutoff=0.85)}"
        for name in present
        if name.startswith(PREFIX) and name not in names
    ]
    secrets = [name for name, value in present.items() if value and SECRET_NAME.search(name)]
    return Source(values=values, wrong=tuple(wrong), warnings=_open_to_all(path, secrets))


def dotenv_variables(path: Path) -> list[str]:
    """The names that ``.env`` gives values to; none if it cannot be read, which `from_dotenv` tells."""
    from dotenv import dotenv_values  # noqa: PLC0415 - needs the extra

    return list(dotenv_values(path)) if path.is_file() and not _flaw_in_dotenv(path) else []


def _flaw_in_dotenv(path: Path) -> str:
    """Why ``.env`` cannot be read as a whole; empty if it can. Its library would pass over such lines."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - needs the extra

    try:
        with path.open(encoding="utf-8") as stream:
            lines = [each.original.line for each in parse_stream(stream) if each.error]
    except (OSError, UnicodeDecodeError) as error:
        return str(error)
    return f"expected NAME=VALUE in line {lines[0]}" if lines else ""


def _at(table: Any, path: str) -> Any:
    for step in path.split("."):
        table = table[step]
    return table


def _secrets(values: Mapping[str, tuple[Origin, Any]]) -> list[str]:
    _, environment = values.get("environment", (None, {}))
    return [f"environment.{name}" for name in environment or () if SECRET_NAME.search(name)]


def _open_to_all(path: Path, secrets: list[str]) -> tuple[str, ...]:
    if not secrets or not path.stat().st_mode & stat.S_IROTH:
        return ()
    return (f"{path.name} holds secrets ({', '.join(secrets)}) and everybody here may read it: chmod o-r {path}",)
