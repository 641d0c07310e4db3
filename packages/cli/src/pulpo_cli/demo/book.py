"""What the demo has counted, kept in a file of its own, so that a run that was interrupted can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import attrs


@attrs.frozen(kw_only=True)
class Facts:
    """What is in one file: the body of a message of type ``count``."""

    path: str
    package: str
    lines: int
    functions: int
    classes: int


@attrs.frozen(kw_only=True)
class Sum:
    """Facts added up."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0

    def plus(self, facts: Facts) -> Sum:
        """The sum with *facts* added."""
        return Sum(
            files=self.files + 1,
            lines=self.lines + facts.lines,
            functions=self.functions + facts.functions,
            classes=self.classes + facts.classes,
        )


_FIELDS: Final = tuple(field.name for field in attrs.fields(Facts))


class Book:
    """One line for each file. Writing a file down twice changes nothing: a message may come twice after a crash."""

    def __init__(self, path: Path) -> None:
        self._facts = {facts.path: facts for facts in _read(path)}
        self._file: IO[str] = path.open("a", encoding="utf-8")
        self._file.write("\n" if self._facts else "")  # a line that a kill cut short must not swallow the next one

    def __len__(self) -> int:
        return len(self._facts)

    def add(self, facts: Facts) -> None:
        """Write *facts* down; they are with the operating system when this returns."""
        if facts.path not in self._facts:
            self._facts[facts.path] = facts
            self._file.write(json.dumps(attrs.asdict(facts)) + "\n")
            self._file.flush()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def by_package(self) -> Mapping[str, Sum]:
        """The sum of each package, the one with most lines first."""
        sums: dict[str, Sum] = {}
        for facts in self._facts.values():
            sums[facts.package] = sums.get(facts.package, Sum()).plus(facts)
        return dict(sorted(sums.items(), key=lambda item: -item[1].lines))

    def total(self) -> Sum:
        """The sum of all."""
        whole = Sum()
        for facts in self._facts.values():
            whole = whole.plus(facts)
        return whole


def _read(path: Path) -> list[Facts]:
    if not path.exists():
        return []
    read = [_facts(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [facts for facts in read if facts is not None]


def _facts(line: str) -> Facts | None:
    """`None` for a line that a kill cut short: its message was not acknowledged and comes again."""
    try:
        return Facts(**{name: value for name, value in json.loads(line).items() if name in _FIELDS})
    except (ValueError, TypeError):
        return None
