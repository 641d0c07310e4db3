"""From files, the environment and the command line to `Settings`; all that is wrong is told at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from pulpo_core.domain.errors import ConfigurationError

from .readers import read
from .settings import RouteSettings, Settings
from .sources import (
    FILES_VARIABLE,
    Document,
    Origin,
    Source,
    dotenv_variables,
    from_document,
    from_dotenv,
    from_environment,
    options_of,
    read_document,
    route_names,
)

#: Files in the working directory, weakest first, and where in them pulpo's table is.
_FILES: Final = (("pyproject.toml", ("tool", "pulpo")), ("pulpo.toml", ("pulpo",)))


class WrongSettings(ConfigurationError):
    """Settings are wrong.

    Attributes:
        lines: one for each, with where it was said.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(self.lines))


@attrs.frozen(kw_only=True)
class Loaded:
    """Settings and where they come from.

    Attributes:
        origins: for each setting that was said somewhere, by its path; all others have their default.
        warnings: lines about what works and should be otherwise.
        files: those that were read.
    """

    settings: Settings
    origins: Mapping[str, Origin] = attrs.field(factory=dict)
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def load_settings(
    directory: Path | None = None, *, files: Iterable[Path] = (), command_line: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a process.

    Weakest first: defaults, ``[tool.pulpo]`` in ``pyproject.toml``, ``pulpo.toml``, the files that
    ``PULPO_SETTINGS`` names, *files*, ``.env``, variables ``PULPO_…``, *command_line*.

    Args:
        directory: where the first two and ``.env`` are looked for; the working directory unless given.
        files: further files like ``pulpo.toml``, which must exist.
        command_line: values by the path of their setting, such as ``grace`` or ``routes.mail.timeout``.

    Raises:
        WrongSettings: a file cannot be read, a key is unknown, a value is not what its setting takes.
        ConfigurationError: the extra ``pulpo-core[config]`` is not installed.
    """
    return read_settings(directory, files=files, command_line=command_line).settings


def read_settings(
    directory: Path | None = None,
    *,
    files: Iterable[Path] = (),
    command_line: Mapping[str, Any] | None = None,
    weakest: Source | None = None,
) -> Loaded:
    """The same as `load_settings`, and where each setting comes from.

    Args:
        weakest: a source that all others override.
    """
    _check_installed()
    here = directory or Path.cwd()
    _check_open(here)
    documents = _documents(here, files)
    dotenv = here / ".env"
    names = route_names(documents, [*os.environ, *dotenv_variables(dotenv)])
    for path in () if weakest is None else weakest.values:
        if path.startswith("routes."):
            names.setdefault(path.split(".")[1], path.split(".")[1])
    options = options_of(names)
    sources = [] if weakest is None else [weakest]
    sources += [from_document(each, options) for each in documents]
    if dotenv.is_file():
        sources.append(from_dotenv(dotenv, options))
    sources += [from_environment(options), from_command_line(command_line or {})]
    return _merged(sources, options, names, files=tuple(each.path for each in documents))


def from_command_line(values: Mapping[str, Any]) -> Source:
    """What the command line says."""
    return Source(
        values={
            path: (Origin("command line", "--" + path.rpartition(".")[2].replace("_", "-")), value)
            for path, value in values.items()
        }
    )


def _check_installed() -> None:
    try:
        import typed_settings  # noqa: F401, PLC0415 - of the extra
    except ImportError as error:
        raise ConfigurationError("settings files need an extra: pip install 'pulpo-core[config]'") from error


def _check_open(directory: Path) -> None:
    """Who comes by `su` or `sudo` is often where he may not look."""
    try:
        (directory / ".env").stat()
    except PermissionError:
        raise WrongSettings([f"{directory}: may not be entered, so nobody knows its settings: go elsewhere"]) from None
    except OSError:
        return  # there is none, or it cannot be read, which is told where it is


def _documents(directory: Path, files: Iterable[Path]) -> list[Document]:
    documents = [
        read_document(directory / name, place=name, section=section)
        for name, section in _FILES
        if (directory / name).is_file()
    ]
    named = [Path(name) for name in os.environ.get(FILES_VARIABLE, "").split(os.pathsep) if name]
    for path in [*named, *files]:
        documents.append(read_document(path, place=str(path), section=("pulpo",)))
    return documents


def _merged(
    sources: Iterable[Source], options: Mapping[str, Any], names: Mapping[str, str], *, files: tuple[Path, ...]
) -> Loaded:
    said: dict[str, tuple[Origin, Any]] = {}
    wrong: list[str] = []
    warnings: list[str] = []
    for source in sources:
        said |= source.values
        wrong += source.wrong
        warnings += source.warnings
    values: dict[str, Any] = {}
    for path, (origin, value) in said.items():
        try:
            values[path] = read(_field(options[path]), value)
        except ValueError as error:
            wrong.append(f"{origin}: {error}")
    if wrong:
        raise WrongSettings(wrong)
    return Loaded(
        settings=_made(values, names),
        origins={path: origin for path, (origin, _) in said.items()},
        warnings=tuple(warnings),
        files=files,
    )


def _field(option: Any) -> attrs.Attribute[Any]:
    return attrs.fields_dict(option.parent_cls)[option.name]


def _made(values: Mapping[str, Any], names: Mapping[str, str]) -> Settings:
    routes = {written: _of(RouteSettings, values, f"routes.{name}.") for name, written in names.items()}
    settings: Settings = attrs.evolve(_of(Settings, values, ""), routes=routes)
    return settings


def _of(cls: Any, values: Mapping[str, Any], prefix: str) -> Any:
    """One of *cls* from the values whose paths begin with *prefix*."""
    given: dict[str, Any] = {}
    for field in attrs.fields(attrs.resolve_types(cls)):
        path = f"{prefix}{field.name}"
        if path in values:
            given[field.name] = values[path]
        elif attrs.has(field.type):
            given[field.name] = _of(field.type, values, f"{path}.")
    return cls(**given)
