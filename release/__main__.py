"""``python -m release VERSION [--dry-run | --build]``."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from .tree import current, prepare
from .version import Version
from .wheels import complaints

ROOT: Final = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Make a release; the exit status."""
    parser = argparse.ArgumentParser(prog="./dev release", description="Make a release of all distributions.")
    parser.add_argument("version", metavar="VERSION", help="three numbers: 0.2.0")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only in a copy; tell what would come of it")
    how.add_argument(
        "--build", action="store_true", help="only build and check the distributions of a release made before"
    )
    given = parser.parse_args(arguments)
    try:
        version = Version.parse(given.version)
        if given.build:
            _build_again(version)
        else:
            _release(version, dry_run=given.dry_run)
    except (ValueError, subprocess.CalledProcessError) as error:
        print(f"[release] error: {error}", file=sys.stderr)
        return 1
    return 0


def _release(version: Version, *, dry_run: bool) -> None:
    if not dry_run and _run("git", "status", "--porcelain", of=ROOT):
        raise ValueError("the working tree has changes; commit them first")
    day = datetime.now(UTC).date()  # noqa: TID251 - a release is made today, whatever a clock in a test says
    with tempfile.TemporaryDirectory(prefix="pulpo-release-") as folder:
        copy = Path(folder) / "pulpo"
        copy_to(copy)
        print(_make(copy, version, day))
        if dry_run:
            print(f"[release] dry run: {version} can be made", file=sys.stderr)
            return
    _make_here(version, day)


def copy_to(folder: Path) -> None:
    """Put what git knows, as it lies here, into *folder*."""
    for name in _run("git", "ls-files", "-z", of=ROOT).split("\0"):
        if name and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def _make(root: Path, version: Version, day: date) -> str:
    """Change *root*, build its distributions and check them; the section of the changelog."""
    section = prepare(root, version, day)
    _run(_uv(), "lock", of=root)
    _build(root, version)
    return section


def _build_again(version: Version) -> None:
    if version != (now := current(ROOT)):
        raise ValueError(f"this is {now}, not {version}")
    _build(ROOT, version)


def _build(root: Path, version: Version) -> None:
    shutil.rmtree(root / "dist", ignore_errors=True)
    _run(_uv(), "build", "--all-packages", "--quiet", "--out-dir", "dist", of=root)
    if wrong := list(complaints(root / "dist", version)):
        raise ValueError("\n  ".join(["the distributions are not fit to be published:", *wrong]))


def _make_here(version: Version, day: date) -> None:
    _make(ROOT, version, day)
    _run("git", "add", "--all", "packages", "examples", "changelog.d", "CHANGELOG.md", "uv.lock", of=ROOT)
    _run("git", "commit", "--message", f"release {version}", of=ROOT)
    _run("git", "tag", "--annotate", f"v{version}", "--message", f"pulpo {version}", of=ROOT)
    print("[release] committed and tagged; publish it by: git push --follow-tags", file=sys.stderr)


def _uv() -> str:
    return os.environ.get("UV", "uv")  # `uv run` tells its own path


#: Indexes of this machine must not get into the lock.
_INDEXES: Final = {"UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}


def _run(*command: str, of: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _INDEXES | {"VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=of, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
