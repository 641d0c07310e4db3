"""The changelog, gathered from its fragments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from .version import Version

#: What a fragment's kind is headed by, in the order of a section.
KINDS: Final[Mapping[str, str]] = {
    "added": "Added",
    "changed": "Changed",
    "fixed": "Fixed",
    "removed": "Removed",
    "contract": "Contract",
}

_HEADING: Final = re.compile(r"^## ", re.MULTILINE)
_PENDING: Final = " – not yet released"


def kind_of(name: str) -> str:
    """The kind that the name of a fragment says: ``sqs-partial-batches.fixed.md``.

    Raises:
        ValueError: it says none.
    """
    found = re.fullmatch(r"[\w-]+\.(\w+)\.md", name)
    if not found or found[1] not in KINDS:
        raise ValueError(f"changelog.d/{name}: expected <what>.<kind>.md with a kind of {', '.join(KINDS)}")
    return found[1]


def section(version: Version, day: date, fragments: Mapping[str, str]) -> str:
    """The section of a release.

    Args:
        fragments: texts by the names of their files.
    """
    parts = [f"## {version} – {day.isoformat()}"]
    for kind, title in KINDS.items():
        entries = [_entry(text) for name, text in sorted(fragments.items()) if kind_of(name) == kind]
        if entries:
            parts.append(f"### {title}\n\n" + "\n".join(entries))
    return "\n\n".join(parts) + "\n"


def _entry(text: str) -> str:
    return "- " + "\n".join(f"  {line}".rstrip() for line in text.strip().splitlines()).removeprefix("  ")


def with_section(changelog: str, new: str, version: Version) -> str:
    """The changelog with a section on top, in place of one that announced the same version.

    Raises:
        ValueError: the version has been released.
    """
    head, *sections = _HEADING.split(changelog)
    if any(each.startswith(f"{version} ") and _PENDING not in each.partition("\n")[0] for each in sections):
        raise ValueError(f"{version} is in CHANGELOG.md already, as released")
    kept = [f"## {each}" for each in sections if not each.startswith(f"{version} ")]
    return "\n".join([head.rstrip() + "\n", new, *[each.rstrip() + "\n" for each in kept]])
