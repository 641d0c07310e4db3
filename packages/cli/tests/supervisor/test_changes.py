"""Files that change, and whether they can be read."""

import asyncio
from pathlib import Path

import pytest

from pulpo_cli.supervisor.changes import changes, flaw_in

FILES = {
    "code": ("jobs.py", "x = 1\n", ""),
    "code with a flaw": ("jobs.py", "x = 1\ndef broken(:\n", "jobs.py, line 2: invalid syntax"),
    "settings": ("pulpo.toml", "[pulpo]\n", ""),
    "settings with a flaw": ("pulpo.toml", "[pulpo\n", "pulpo.toml: "),
    "what is no text": ("jobs.py", b"\xff\xfe\x00", "jobs.py"),
}


@pytest.mark.parametrize(("name", "content", "flaw"), FILES.values(), ids=FILES)
def test_a_flaw_is_told_with_its_place(tmp_path, name, content, flaw):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert flaw_in([path]).startswith(flaw)
    assert bool(flaw_in([path])) is bool(flaw)


def test_a_file_that_is_gone_has_no_flaw(tmp_path):
    assert flaw_in([tmp_path / "gone.py"]) == ""


async def test_only_what_an_application_is_made_of_counts(tmp_path: Path):
    (tmp_path / ".venv").mkdir()
    stop, seen = asyncio.Event(), []

    async def touch() -> None:
        while not seen:
            (tmp_path / "notes.txt").write_text("x")
            (tmp_path / ".venv" / "hidden.py").write_text("x = 1")
            await asyncio.sleep(0.05)
            (tmp_path / "jobs.py").write_text(f"x = {len(seen)}")
            await asyncio.sleep(0.2)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(touch())
        async for paths in changes(tmp_path, stop):
            seen += paths
            stop.set()

    assert {path.name for path in seen} == {"jobs.py"}
