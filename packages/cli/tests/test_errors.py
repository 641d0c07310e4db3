"""From an error to its status and its line."""

from pathlib import Path

import pytest
import rich_click as click

from pulpo_cli.errors import failure_of, report
from pulpo_cli.session import Session
from pulpo_core import (
    AdapterError,
    ApplicationError,
    ConfigurationError,
    HandlerError,
    InvalidMessage,
    InvalidURL,
    MessageNotFound,
    Unavailable,
    Unsupported,
)

from .conftest import Pulpo


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AdapterError("broken"), 1),
        (MessageNotFound("nothing by that id"), 1),
        (InvalidMessage("body.x: JSON has no NaN"), 1),
        (click.UsageError("no such thing"), 2),
        (click.FileError("jobs.ndjson", "gone"), 2),
        (ConfigurationError("wrong"), 2),
        (InvalidURL("wrong"), 2),
        (Unavailable("nobody there"), 3),
        (ApplicationError("incomplete"), 4),
        (HandlerError("cannot be called"), 4),
        (Unsupported("not here"), 6),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (ZeroDivisionError("division by zero"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_every_error_has_its_status(error: BaseException, status: int) -> None:
    assert failure_of(error).status == status


def test_an_error_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    report(Unavailable("no connection:\n  refused\x1b[2J"), Session())

    assert capsys.readouterr().err == "pulpo: no connection: refused\\x1b[2J\n"


def test_a_working_directory_that_was_removed_is_no_defect_of_pulpo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pulpo: Pulpo
) -> None:
    gone = tmp_path / "release-1"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    outcome = pulpo("run", "--queue", "memory://x", "--handler", "jobs:work")

    assert outcome.status == 2
    assert outcome.complaint == "pulpo: the working directory is not there any more: go to one that is"


def test_a_handler_that_ends_the_process_is_no_defect_of_pulpo(capsys: pytest.CaptureFixture[str]) -> None:
    report(SystemExit("no more"), Session())

    assert capsys.readouterr().err == "pulpo: the application ended the process: SystemExit: no more\n"


def test_of_a_group_one_error_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    status = report(ExceptionGroup("unhandled errors in a TaskGroup", [Unavailable("nobody there")]), Session())

    assert status == 3
    assert capsys.readouterr().err == "pulpo: nobody there\n"


def test_an_interrupt_matters_more_than_the_errors_it_causes(capsys: pytest.CaptureFixture[str]) -> None:
    group = BaseExceptionGroup("", [Unavailable("closed"), KeyboardInterrupt()])

    assert report(group, Session()) == 130
    assert capsys.readouterr().err == "pulpo: stopped\n"


def test_a_defect_says_that_it_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    report(KeyError("surprise"), Session())

    assert "KeyError: 'surprise' (this should not happen; -vv" in capsys.readouterr().err
