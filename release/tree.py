"""What a release changes in a checkout."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from .changelog import kind_of, section, with_section
from .version import Version, bounded, moved, version_in


def current(root: Path) -> Version:
    """The one version of all members.

    Raises:
        ValueError: they have several.
    """
    versions = {version_in(path.read_text()) for path in members(root)}
    if len(versions) != 1:
        raise ValueError(f"the distributions have several versions: {', '.join(map(str, sorted(versions)))}")
    return versions.pop()


def members(root: Path) -> list[Path]:
    """The project files of all distributions."""
    return sorted(root.glob("packages/*/pyproject.toml"))


def fragments(root: Path) -> dict[str, str]:
    """What is merged and not released, by the names of the files.

    Raises:
        ValueError: a file has a name that says no kind, or nothing has changed.
    """
    found = {path.name: path.read_text() for path in root.glob("changelog.d/*.md") if path.name != "README.md"}
    for name in found:
        kind_of(name)
    if not found:
        raise ValueError("changelog.d has no fragment: nothing has changed that a user could notice")
    return found


def prepare(root: Path, version: Version, day: date) -> str:
    """Set all versions and bounds, and gather the changelog; its new section.

    Raises:
        ValueError: *version* is behind the current one, or was released; nothing is changed then.
    """
    if version < (now := current(root)):
        raise ValueError(f"{version} is behind the current version {now}")
    gathered = fragments(root)
    new = section(version, day, gathered)
    changelog = with_section((root / "CHANGELOG.md").read_text(), new, version)
    _write(root, version, changelog)
    for name in gathered:
        (root / "changelog.d" / name).unlink()
    return new


def _write(root: Path, version: Version, changelog: str) -> None:
    (root / "CHANGELOG.md").write_text(changelog)
    for path in members(root):
        path.write_text(moved(path.read_text(), version))
    for path in root.glob("examples/*/pyproject.toml"):
        path.write_text(bounded(path.read_text(), version))
