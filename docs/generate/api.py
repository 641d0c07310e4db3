"""The public names of each package, by what they are for; mkdocstrings fills in signatures and docstrings."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Final

import pulpo_core

from .markdown import first_paragraph, paragraphs

#: Pages about `pulpo_core`: title, and the modules whose public names are on it. The longest match counts.
_CORE: Final[Mapping[str, Sequence[str]]] = {
    "Messages": ("domain.message", "domain.envelope", "application.identity"),
    "Handlers and routes": (
        "application.binding",
        "application.handlers",
        "application.route",
        "domain.settlement",
        "domain.signals",
        "ports.handler",
    ),
    "Policy": ("domain", "domain.decision"),
    "Translators": ("translators",),
    "Publishing": ("application.publishing", "application.synchronous"),
    "Running": ("application", "domain.limits", "ports"),
    "Adapters": (
        "application.clock",
        "application.registry",
        "domain.capabilities",
        "domain.url",
        "ports.adapter",
        "ports.offers",
        "ports.clock",
    ),
    "Errors": ("domain.errors",),
}

#: Pages about other modules that applications and adapters import from: all that these export.
_OTHERS: Final[Mapping[str, Sequence[str]]] = {
    "Testing": ("pulpo_core.testing",),
    "Containers and settings": ("pulpo_core.container", "pulpo_core.config"),
    "Observers": ("pulpo_core.observers.prometheus", "pulpo_core.observers.otel", "pulpo_core.observers.health"),
    "Kinds of queues": ("pulpo_adapter_file", "pulpo_adapter_beanstalkd", "pulpo_adapter_sqs"),
}

_ENTRY: Final = "::: {}\n    options:\n      heading_level: {}\n      show_root_full_path: false\n"


def _origins() -> dict[str, str]:
    """The module of each public name of `pulpo_core`, as its ``__init__`` imports it."""
    tree = ast.parse(Path(pulpo_core.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def _title_of(module: str) -> str:
    prefixes = {prefix: title for title, prefixes in _CORE.items() for prefix in prefixes}
    fitting = [prefix for prefix in prefixes if module == prefix or module.startswith(f"{prefix}.")]
    return prefixes[max(fitting, key=len)]


def _core(title: str) -> str:
    origins = _origins()
    names = [name for name in pulpo_core.__all__ if _title_of(origins[name]) == title]
    return paragraphs(f"# {title}", "To be imported from `pulpo_core`.", _entries("pulpo_core", names, level=2))


def _modules(title: str) -> str:
    return paragraphs(f"# {title}", *[_module(name) for name in _OTHERS[title]])


def _module(name: str) -> str:
    module = importlib.import_module(name)
    return paragraphs(f"## `{name}`", first_paragraph(module), _entries(name, _names(module), level=3))


def _names(module: ModuleType) -> Sequence[str]:
    """What *module* exports; what it defines, if it does not say."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    here = {name for name, each in vars(module).items() if getattr(each, "__module__", None) == module.__name__}
    return [name for name in here if not name.startswith("_")]


def _entries(module: str, names: Iterable[str], *, level: int) -> str:
    return "\n".join(_ENTRY.format(f"{module}.{name}", level) for name in sorted(names, key=str.lower))


def _path(title: str) -> str:
    return f"api/{title.lower().replace(' ', '-')}.md"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    **{_path(title): partial(_core, title) for title in _CORE},
    **{_path(title): partial(_modules, title) for title in _OTHERS},
}
