"""What people should know of settings: their values, where those come from, and what can be set at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import attrs

from .loading import Loaded
from .readers import EXAMPLE, HELP, SECRET
from .settings import HandlerSettings, RouteSettings, Settings
from .sources import PREFIX, SECRET_NAME, normal

MASK: Final = "*****"

#: The route that stands for any route in the description of what can be set.
SAMPLE_ROUTE: Final = "mail"

_UNITS: Final = (
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
)


@attrs.frozen(kw_only=True)
class Said:
    """A setting as it is in effect.

    Attributes:
        path: such as ``routes.mail.policy.max_attempts``.
        value: as a file would say it; secrets are masked.
        origin: the file, variable or option that says it, or ``default``.
    """

    path: str
    value: Any
    origin: str


@attrs.frozen(kw_only=True)
class Entry:
    """A setting that there is.

    Attributes:
        path: with ``mail`` for the name of any route.
        variable: what it is called in the environment.
        help: what it is for.
        example: as a file would say it; the default, where there is one.
        is_default: whether the example is what holds unless something else is said.
    """

    path: str
    variable: str
    help: str
    example: Any
    is_default: bool


def said(loaded: Loaded) -> list[Said]:
    """All settings in effect, in the order of their classes."""
    settings = loaded.settings
    found = [*_said(loaded, settings, "", "")]
    for name, route in settings.routes.items():
        found += _said(loaded, route, f"routes.{name}.", f"routes.{normal(name)}.")
    return found


def _said(loaded: Loaded, settings: Any, prefix: str, normal_prefix: str) -> Iterator[Said]:
    for field in attrs.fields(type(settings)):
        value = getattr(settings, field.name)
        path, known = f"{prefix}{field.name}", f"{normal_prefix}{field.name}"
        if attrs.has(type(value)) and not isinstance(value, HandlerSettings):
            yield from _said(loaded, value, f"{path}.", f"{known}.")
        elif field.metadata:
            origin = loaded.origins.get(known)
            secret = field.metadata[SECRET]
            for key, each in _parts(path, value):
                yield Said(
                    path=key, value=_masked(key, each, secret=secret), origin=origin.shown if origin else "default"
                )


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A table has a line for each of its entries."""
    if isinstance(value, Mapping) and value:
        yield from ((f"{path}.{key(name)}", plain_of(each)) for name, each in value.items())
    else:
        yield path, plain_of(value)


def key(name: str) -> str:
    """*name* as a key in TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _masked(path: str, value: Any, *, secret: bool) -> Any:
    if value in (None, "", (), {}):
        return value
    if secret or SECRET_NAME.search(path.rpartition(".")[2]):
        return MASK
    return re.sub(r"//[^/?#]*@", f"//{MASK}@", value) if isinstance(value, str) else value


def plain_of(value: Any) -> Any:
    """*value* as JSON or TOML would say it."""
    if isinstance(value, timedelta):
        return span_text(value)
    if isinstance(value, HandlerSettings):
        given = {
            field.name: plain_of(each)
            for field in attrs.fields(HandlerSettings)
            if (each := getattr(value, field.name))
        }
        return given["call"] if set(given) == {"call"} else given
    if isinstance(value, Mapping):
        return {name: plain_of(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def span_text(value: timedelta) -> str:
    """*value* in the largest unit of which it is a whole number: ``90s``, ``15m``, ``12h``."""
    whole = value // timedelta(microseconds=1)
    unit, size = next((unit, size) for unit, size in _UNITS if whole % size == 0) if whole else ("s", 1)
    return f"{whole // size}{unit}"


def toml_of(value: Any) -> str:
    """*value* as TOML says it, on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key(name)} = {toml_of(each)}" for name, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_of(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def entries() -> list[Entry]:
    """Every setting there is: those of the process, then those of a route."""
    return [*_entries(Settings, ""), *_entries(RouteSettings, f"routes.{SAMPLE_ROUTE}.")]


def _entries(cls: Any, prefix: str) -> Iterator[Entry]:
    for field in attrs.fields(attrs.resolve_types(cls)):
        path = f"{prefix}{field.name}"
        if field.metadata:
            yield Entry(
                path=path,
                variable=PREFIX + path.upper().replace(".", "_"),
                help=field.metadata[HELP],
                example=plain_of(field.metadata[EXAMPLE]),
                is_default=field.metadata[EXAMPLE] == field.default,
            )
        elif attrs.has(field.type):
            yield from _entries(field.type, f"{path}.")


_HEAD: Final = """\
# Settings of pulpo: what stands here is stronger than [tool.pulpo] in pyproject.toml, and weaker than .env, variables
# PULPO_… and the command line. Lines that are commented out show how it would be said; `pulpo config show --origin`
# tells what is in effect, and who says so. Times are 500ms, 30s, 5m, 12h, 7d.
"""


def sample() -> str:
    """A ``pulpo.toml`` in which everything is commented out."""
    lines = [_HEAD, "[pulpo]", *_lines("")]
    lines += ["", "# One table for each route.", "# [pulpo.routes.mail]", *_lines(f"routes.{SAMPLE_ROUTE}.")]
    return "\n".join(lines) + "\n"


def _lines(prefix: str) -> Iterator[str]:
    for entry in entries():
        name = entry.path.removeprefix(prefix)
        if entry.path.startswith(prefix) and (prefix or not entry.path.startswith("routes.")):
            yield f"\n# {entry.help}"
            yield from _sample_of(name, entry.example)


def _sample_of(name: str, example: Any) -> Iterator[str]:
    if isinstance(example, Mapping):
        yield from (f"# {name}.{key(each)} = {toml_of(value)}" for each, value in example.items())
    else:
        yield f"# {name} = {toml_of(example)}"
