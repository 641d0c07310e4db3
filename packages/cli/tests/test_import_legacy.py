"""`pulpo import-legacy`. What it does with each kind of file is tested where it is done, in the file adapter."""

import json
from pathlib import Path

import pytest

from .conftest import Pulpo


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    """Two messages that wait, one that failed, and a file that is none."""
    folder = tmp_path / "legacy"
    (folder / "archive/failure").mkdir(parents=True)
    for second, place in ((1, ""), (2, ""), (3, "archive/failure")):
        content = {"id": f"{second}", "header": {"request_type": "mail"}, "body": {"payload": second}}
        (folder / place / f"170000000{second}.25_{second}.message").write_text(json.dumps(content))
    (folder / "1700000004.25_4.message").write_text('{"header": {"request_ty')
    return folder


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"file://{tmp_path}/queue.db?queue=mail"


def test_messages_are_brought_over_and_what_is_none_is_named(pulpo: Pulpo, legacy: Path, target: str) -> None:
    before = sorted(legacy.rglob("*"))

    outcome = pulpo("import-legacy", str(legacy), "--queue", target, "--json")

    assert outcome.status == 1
    assert outcome.complaint.startswith(f"pulpo: {legacy}/1700000004.25_4.message: not a whole message")
    assert (outcome.json["queued"], outcome.json["failed"], outcome.json["imported"]) == (2, 1, 3)
    counted = pulpo("stats", "--queue", target, "--json").json
    assert (counted["ready"], counted["buried"]) == (2, 1)
    assert sorted(legacy.rglob("*")) == before


def test_where_nothing_is_brought_over_nothing_is_counted(pulpo: Pulpo, tmp_path: Path, target: str) -> None:
    (tmp_path / "1700000004.25_4.message").write_text("{")

    outcome = pulpo("import-legacy", str(tmp_path), "--queue", target)

    assert (outcome.status, outcome.out) == (1, "")


def test_a_dry_run_makes_nothing(pulpo: Pulpo, legacy: Path, target: str) -> None:
    outcome = pulpo("import-legacy", str(legacy), "--queue", target, "--dry-run")

    assert [line.split() for line in outcome.lines] == [["queued", "2"], ["failed", "1"]]
    assert "3 messages would be imported" in outcome.err
    assert not (legacy.parent / "queue.db").exists()


def test_the_second_time_it_finds_nothing_new_and_may_remove_what_is_safe(
    pulpo: Pulpo, legacy: Path, target: str
) -> None:
    pulpo("import-legacy", str(legacy), "--queue", target)

    again = pulpo("import-legacy", str(legacy), "--queue", target, "--remove", "--yes", "--json").json

    assert (again["imported"], again["known"], again["removed"]) == (0, 3, 3)
    assert [path.name for path in legacy.rglob("*.message")] == ["1700000004.25_4.message"]


def test_files_are_not_removed_unasked(pulpo: Pulpo, legacy: Path, target: str) -> None:
    before = sorted(legacy.rglob("*"))

    outcome = pulpo("import-legacy", str(legacy), "--queue", target, "--remove")

    assert (outcome.status, "add --yes" in outcome.complaint) == (2, True)
    assert sorted(legacy.rglob("*")) == before


@pytest.mark.parametrize(("folder", "line"), [("nowhere", "does not exist"), (".", "is not a directory of pulpo-")])
def test_what_is_no_such_directory_is_status_2(
    pulpo: Pulpo, tmp_path: Path, target: str, folder: str, line: str
) -> None:
    outcome = pulpo("import-legacy", str(tmp_path / folder), "--queue", target)

    assert outcome.status == 2
    assert line in outcome.complaint
