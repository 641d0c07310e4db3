"""Versions, and where they stand in a `pyproject.toml`."""

from __future__ import annotations

import re
from typing import Final, Self

import attrs

_VERSION: Final = re.compile(r'^version = "([^"]*)"$', re.MULTILINE)
_BOUNDS: Final = re.compile(r'"(pulpo-[a-z-]+(?:\[[a-z,]+\])?)>=[\d.]+,<[\d.]+"')


@attrs.frozen(order=True)
class Version:
    """A version: while *major* is 0, another *minor* may break what it names in the changelog."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.2.3``.

        Raises:
            ValueError: *text* is something else.
        """
        found = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", text)
        if not found:
            raise ValueError(f"{text!r} is no version; expected three numbers, such as 0.2.0")
        return cls(*map(int, found.groups()))

    @property
    def bounds(self) -> str:
        """What one distribution asks of another: the same minor version."""
        return f">={self.major}.{self.minor},<{self.major}.{self.minor + 1}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def version_in(project: str) -> Version:
    """The version that the text of a `pyproject.toml` gives."""
    found = _VERSION.search(project)
    if not found:
        raise ValueError('no line version = "…" in a pyproject.toml')
    return Version.parse(found[1])


def moved(project: str, version: Version) -> str:
    """The text of a `pyproject.toml` with *version*, and with bounds for the other distributions that fit it."""
    return bounded(_VERSION.sub(f'version = "{version}"', project, count=1), version)


def bounded(project: str, version: Version) -> str:
    """The same with its own version left alone."""
    return _BOUNDS.sub(rf'"\1{version.bounds}"', project)
