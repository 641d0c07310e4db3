"""The input of the demo: the files of the running Python's standard library, and three that are broken."""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

#: Other people's packages lie inside the standard library's folder on many systems.
_FOREIGN: Final = frozenset({"site-packages", "dist-packages", "__pycache__"})

#: Files that no Python can parse, so that the demo always has something to bury.
_BROKEN: Final[Mapping[str, bytes]] = {
    "unclosed_bracket.py": b"total = sum([1, 2, 3)\n",
    "wrong_indentation.py": b"def f():\n    first = 1\n  second = 2\n",
    "not_utf8.py": b"name = 'caf\xe9'\n",
}


@attrs.frozen(kw_only=True)
class SourceFile:
    """One job: the body of a message of type ``parse``. It carries the path, not the source."""

    path: str
    package: str


def standard_library() -> Path:
    """Where the running Python keeps its standard library."""
    return Path(sysconfig.get_path("stdlib"))


def source_files(root: Path) -> list[SourceFile]:
    """Every Python file below *root*, in the order of their paths."""
    relative = sorted(path.relative_to(root) for path in root.rglob("*.py"))
    return [
        SourceFile(path=str(root / path), package=path.parts[0] if len(path.parts) > 1 else "(modules)")
        for path in relative
        if _FOREIGN.isdisjoint(path.parts)
    ]


def write_broken(folder: Path) -> list[SourceFile]:
    """Write the broken files into *folder*."""
    folder.mkdir()
    for name, source in _BROKEN.items():
        (folder / name).write_bytes(source)
    return [SourceFile(path=str(folder / name), package="(broken)") for name in _BROKEN]
