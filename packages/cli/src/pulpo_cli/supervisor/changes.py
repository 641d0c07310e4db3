"""Files that change, for ``pulpo run --reload``."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pulpo_core import ApplicationError

if TYPE_CHECKING:
    from asyncio import Event

_SUFFIXES: Final = (".py", ".toml")


def require_watchfiles() -> None:
    """Make sure that changes can be watched.

    Raises:
        ApplicationError: the extra is not installed.
    """
    if find_spec("watchfiles") is None:
        raise ApplicationError("watchfiles is not installed: pip install 'pulpo-cli[reload]'")


async def changes(directory: Path, stop: Event) -> AsyncIterator[list[Path]]:
    """The Python and TOML files under *directory* that have changed, again and again until *stop* is set.

    Hidden directories, environments and caches are left out.
    """
    from watchfiles import Change, DefaultFilter, awatch  # noqa: PLC0415 - an extra

    class Sources(DefaultFilter):
        """What an application is made of."""

        def __call__(self, change: Change, path: str) -> bool:
            return path.endswith(_SUFFIXES) and super().__call__(change, path)

    async for found in awatch(directory, watch_filter=Sources(), stop_event=stop, step=50, debounce=400):
        yield sorted(Path(path) for _, path in found)


def flaw_in(paths: list[Path]) -> str:
    """Why the first of *paths* that cannot be read as what it is cannot be; empty if all can."""
    return next((flaw for flaw in map(_flaw, paths) if flaw), "")


def _flaw(path: Path) -> str:
    try:
        text = path.read_bytes()
        if path.suffix == ".toml":
            tomllib.loads(text.decode())
        else:
            compile(text, path, "exec")
    except FileNotFoundError:  # it was removed, or is about to be replaced
        return ""
    except SyntaxError as error:
        return f"{path.name}, line {error.lineno}: {error.msg}"
    except (ValueError, OSError) as error:
        return f"{path.name}: {error}"
    return ""
