"""What is told about how a queue file is set up."""

import sqlite3
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, examining
from pulpo_core import Diagnosis, Examiner, Level, SystemClock, Usage


async def examined(url: str) -> dict[str, Diagnosis]:
    return {each.check: each for each in await FileAdapter().examine(url, Usage(), clock=SystemClock())}


def test_the_adapter_can_be_asked():
    assert isinstance(FileAdapter(), Examiner)


async def test_a_file_for_its_owner_alone_on_a_local_disk_is_as_it_should_be(tmp_path: Path):
    path = tmp_path / "q.db"
    path.touch(mode=0o600)

    found = await examined(f"file://{path}")

    assert {each.level for each in found.values()} == {Level.OK}
    assert set(found) == {"file", "file system", "free space", "SQLite", "durability"}


async def test_a_file_that_everybody_can_open_is_warned_about(tmp_path: Path):
    path = tmp_path / "q.db"
    path.touch()
    path.chmod(0o644)

    found = (await examined(f"file://{path}"))["file"]

    assert (found.level, "mode 0644" in found.found, found.advice.startswith("chmod o=")) == (Level.WARNING, True, True)


async def test_looking_makes_no_file(tmp_path: Path):
    path = tmp_path / "q.db"

    assert (await examined(f"file://{path}"))["file"].level is Level.OK
    assert not path.exists()


async def test_weak_durability_is_warned_about(tmp_path: Path):
    assert (await examined(f"file://{tmp_path}/q.db?durability=normal"))["durability"].level is Level.WARNING
    assert (await examined(f"file://{tmp_path}/q.db?durability=full"))["durability"].level is Level.OK


@pytest.mark.parametrize(
    ("kind", "level"),
    [("ext4", Level.OK), (None, Level.OK), ("9p", Level.WARNING), ("fuse.x", Level.WARNING)],
)
async def test_a_file_system_that_others_may_share_is_warned_about(tmp_path: Path, monkeypatch, kind, level):
    monkeypatch.setattr(examining, "mount_of", lambda _: kind)

    assert (await examined(f"file://{tmp_path}/q.db"))["file system"].level is level


async def test_a_disk_that_is_nearly_full_is_warned_about(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(examining, "_free_bytes", lambda _: 1024)

    assert (await examined(f"file://{tmp_path}/q.db"))["free space"].level is Level.WARNING


async def test_the_version_of_sqlite_is_named_with_its_fault(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 2))
    old = (await examined(f"file://{tmp_path}/q.db"))["SQLite"]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    new = (await examined(f"file://{tmp_path}/q.db"))["SQLite"]

    assert "under a lock of its own" in old.found
    assert new.found == sqlite3.sqlite_version
