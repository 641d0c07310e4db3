"""The parts of `pulpo demo`. The whole of it runs in `tests/e2e`."""

import ast
import json
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_cli.demo import course, work
from pulpo_cli.demo.book import Book, Facts, Sum
from pulpo_cli.demo.course import Folder, Standing
from pulpo_cli.demo.sources import SourceFile, source_files, standard_library, write_broken
from pulpo_core import Bury, Delivery, Envelope, Lease, Ledger, Message, QueueStats, Report

from .conftest import Pulpo


def delivery(attempt: int = 1) -> Delivery:
    return Delivery(id="1", envelope=Envelope(body=b""), attempt=attempt, lease=Lease(0))


def steady_and_flaky(tmp_path: Path) -> tuple[SourceFile, SourceFile]:
    """A file that is never made to fail, and one that is."""
    files = {bool(work.failures_of(f"{n}.py")): f"{n}.py" for n in range(200)}
    for name in files.values():
        (tmp_path / name).write_text("x = 1\n")
    steady, flaky = (SourceFile(path=str(tmp_path / files[fails]), package="p") for fails in (False, True))
    return steady, flaky


def test_its_input_is_the_standard_library_and_nobody_elses(tmp_path: Path) -> None:
    for name in ("json/decoder.py", "ast.py", "site-packages/other.py", "json/__pycache__/x.py", "readme.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert [(Path(each.path).name, each.package) for each in source_files(tmp_path)] == [
        ("ast.py", "(modules)"),
        ("decoder.py", "json"),
    ]


def test_there_is_plenty_of_it() -> None:
    assert len(source_files(standard_library())) > 300


def test_the_broken_files_are_broken(tmp_path: Path) -> None:
    for file in write_broken(tmp_path / "broken"):
        with pytest.raises((SyntaxError, ValueError)):
            ast.parse(Path(file.path).read_bytes())


def test_what_is_counted_goes_on_as_a_message(tmp_path: Path) -> None:
    file, _ = steady_and_flaky(tmp_path)
    Path(file.path).write_text(
        "import os\n\nclass A:\n    def f(self):\n        pass\n\nif os:\n    async def g(): ...\nelse:\n"
        "    try:\n        pass\n    finally:\n        def h(): return lambda: 1"
    )

    message = work.parse(file, delivery())

    assert isinstance(message, Message)
    assert message.request_type == "count"
    assert message.body == {"path": file.path, "package": "p", "lines": 13, "functions": 3, "classes": 1}


def test_a_broken_file_is_buried_with_its_name_and_line(tmp_path: Path) -> None:
    file, _ = steady_and_flaky(tmp_path)
    Path(file.path).write_text("x = 1\ny = (\n")

    burial = work.parse(file, delivery())

    assert burial == Bury("not-python", error=f"{file.path}, line 2: '(' was never closed")


def test_some_files_fail_at_first_and_always_the_same(tmp_path: Path) -> None:
    _, flaky = steady_and_flaky(tmp_path)
    failures = work.failures_of(flaky.path)

    for attempt in range(1, failures + 1):
        with pytest.raises(work.TemporaryTrouble):
            work.parse(flaky, delivery(attempt))
    assert isinstance(work.parse(flaky, delivery(failures + 1)), Message)
    assert failures in (1, 2)


FACTS = Facts(path="/a.py", package="p", lines=10, functions=2, classes=1)


def test_the_book_survives_being_closed_and_counts_nothing_twice(tmp_path: Path) -> None:
    for _ in range(2):
        with Book(tmp_path / "book") as book:
            book.add(FACTS)

    with Book(tmp_path / "book") as book:
        assert book.total() == Sum(files=1, lines=10, functions=2, classes=1)


def test_a_line_that_a_kill_cut_short_spoils_no_other(tmp_path: Path) -> None:
    with Book(tmp_path / "book") as book:
        book.add(FACTS)
    with (tmp_path / "book").open("a") as file:
        file.write('{"path": "/b.py", "pack')

    with Book(tmp_path / "book") as book:
        book.add(Facts(path="/c.py", package="q", lines=20, functions=0, classes=0))

    with Book(tmp_path / "book") as book:
        assert list(book.by_package()) == ["q", "p"]


def standing(*, counted: int, buried: int, left: int, ledger: Ledger | None = None) -> Standing:
    """A demo of ten files."""
    report = Report(status=0, ledgers={"demo": ledger or Ledger()})
    return Standing(
        files=10,
        book=[None] * counted,  # type: ignore[arg-type]  # only its length matters here
        report=report,
        stats=QueueStats(ready=left, delayed=0, reserved=0, buried=buried),
        buried=[],
        elapsed=timedelta(seconds=1),
    )


@pytest.mark.parametrize(
    ("counted", "buried", "left", "adds_up"),
    [(8, 2, 0, True), (7, 2, 0, False), (9, 2, 0, False), (5, 1, 4, True), (5, 1, 3, False), (5, 1, 9, True)],
    ids=["all there", "one lost", "one too many", "stopped", "stopped with one lost", "follow-ups waiting"],
)
def test_a_file_that_is_missing_is_noticed(counted: int, buried: int, left: int, adds_up: bool) -> None:
    assert standing(counted=counted, buried=buried, left=left).adds_up is adds_up


def test_a_ledger_that_does_not_balance_is_noticed() -> None:
    assert not standing(counted=10, buried=0, left=0, ledger=Ledger(received=2, acked=1)).adds_up


def test_a_small_demo_runs_to_its_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    root = tmp_path / "library"
    root.mkdir()
    for n in range(60):
        (root / f"{n}.py").write_text("def f(): ...\n")
    course.publish(folder, [*source_files(root), *write_broken(tmp_path / "broken")])

    with Book(folder.book) as book:
        report = course.run(folder, book, left=63, show=lambda _: None)

    assert report.status == 0
    assert report.ledger.balanced
    assert (report.ledger.acked, report.ledger.buried, report.ledger.in_hand) == (120, 3, 0)
    assert report.ledger.retried == sum(work.failures_of(f"{n}.py") for n in range(60))
    assert book.total() == Sum(files=60, lines=60, functions=60, classes=0)


def test_a_demo_that_is_over_can_be_looked_at_again(pulpo: Pulpo, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    course.publish(folder, write_broken(tmp_path / "broken"))

    first, again = (pulpo("demo", "--resume", str(tmp_path), "--json") for _ in range(2))

    for outcome in (first, again):
        assert outcome.status == 0
        assert (outcome.json["files"], outcome.json["buried"], outcome.json["adds_up"]) == (3, 3, True)
    assert again.json["ledger"]["received"] == 0
    assert {each["reason"] for each in again.json["set_aside"]} == {"not-python"}


def test_what_is_no_demo_cannot_be_resumed(pulpo: Pulpo, tmp_path: Path) -> None:
    outcome = pulpo("demo", "--resume", str(tmp_path))

    assert outcome.status == 2
    assert "holds no demo that could be resumed" in outcome.complaint


def test_its_note_holds_what_resuming_needs(tmp_path: Path) -> None:
    Folder(tmp_path).remember(7)

    assert json.loads((tmp_path / "demo.json").read_text()) == {"files": 7}
    assert Folder(tmp_path).files() == 7
