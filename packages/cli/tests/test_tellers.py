"""What a run says at its end, when something is left that a person should know."""

import json
import logging
import sys
from datetime import timedelta

import pytest

from pulpo_cli import logs
from pulpo_cli.tellers import JsonTeller, PlainTeller
from pulpo_core import Ledger, Report, Unavailable

SECOND = timedelta(seconds=1)


def report(**facts: object) -> Report:
    return Report(**{"status": 130, "ledgers": {"a": Ledger(received=1, acked=1), "b": Ledger()}} | facts)


def told(capsys: pytest.CaptureFixture[str], **facts: object) -> list[str]:
    PlainTeller().end(report(**facts), SECOND)
    return capsys.readouterr().err.splitlines()


def test_several_routes_have_a_total(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in told(capsys)]

    assert ["a", "1", "1", "0", "0", "0"] in rows
    assert ["total", "1", "1", "0", "0", "0"] in rows


def test_columns_that_say_nothing_are_left_out_and_others_speak_up(capsys: pytest.CaptureFixture[str]) -> None:
    [titles, *_] = told(capsys, ledgers={"a": Ledger(received=2, in_doubt=1, lease_lost=1)})

    assert titles.split("  ")[-2:] == [" lease lost", " in doubt"]


def test_requests_that_the_broker_bills_are_told_with_what_a_delivery_took(capsys: pytest.CaptureFixture[str]) -> None:
    requests = {"a": {"ReceiveMessage": 30, "DeleteMessageBatch": 21}, "b": {"ReceiveMessage": 1}}
    lines = told(capsys, ledgers={"a": Ledger(received=250, acked=250), "b": Ledger()}, requests=requests)

    assert lines[-2:] == ["a: 51 requests, 0.2 for each delivery", "b: 1 request"]


def test_what_is_not_settled_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, unsettled=tuple(map(str, range(12))), abandoned=2)

    assert lines[-2] == ("pulpo: 12 messages not settled, to be handed out again: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …")
    assert lines[-1] == "pulpo: 2 handlers still running when time was up"


def test_a_ledger_that_does_not_balance_is_shouted_about(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, ledgers={"a": Ledger(received=1)})

    assert lines[-1].startswith("pulpo: the ledger does not balance: {'received': 1, 'acked': 0")


def test_what_ended_the_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, error=Unavailable("the broker\nis gone"), ledgers={}) == ["pulpo: the broker is gone"]


def test_to_a_machine_everything_is_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(0, form="json")

    JsonTeller().end(report(unsettled=("7",), error=Unavailable("the broker is gone")), SECOND)

    records = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["level"], each["event"]) for each in records] == [
        ("warning", "1 message not settled, to be handed out again: 7"),
        ("info", "ended"),
        ("error", "the broker is gone"),
    ]
    assert (records[1]["status"], records[1]["unsettled"]) == (130, ["7"])


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, {"error"}), (0, {"error", "warning"}), (1, {"error", "warning", "info"})],
    ids=["-q", "", "-v"],
)
def test_verbosity_says_which_levels_are_shown(
    capsys: pytest.CaptureFixture[str], verbosity: int, shown: set[str]
) -> None:
    logs.configure(verbosity, form="console")

    for name in ("debug", "info", "warning", "error"):
        logging.getLogger("pulpo.dispatcher").log(logging.getLevelNamesMapping()[name.upper()], "said at %s", name)

    assert {line.rpartition(" ")[2] for line in capsys.readouterr().err.splitlines()} == shown


def test_other_peoples_libraries_never_write_out_what_they_send(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(2, form="console")

    logging.getLogger("botocore.parsers").debug("Response body: secret")
    logging.getLogger("pulpo.dispatcher").debug("ours")

    assert "secret" not in capsys.readouterr().err


def test_log_lines_follow_stderr_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(0, form="console")
    before = sys.stderr
    try:
        sys.stderr = sys.stdout
        logging.getLogger("pulpo").warning("here")
    finally:
        sys.stderr = before

    assert "here" in capsys.readouterr().out


def test_what_a_producer_has_written_gives_no_orders_and_forges_no_record(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(1, form="console")

    logging.getLogger("pulpo.dispatcher").info(
        "mail: %s", "\x1b[2J\x9b31m\n12:00:00 error: forged", extra={"pulpo_x": 1}
    )
    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError:
        logging.getLogger("pulpo.dispatcher").exception("broke down")

    told = capsys.readouterr().err
    assert not set(told) & {"\x1b", "\x9b", "\x07"}
    assert "\\x1b[2J\\x9b31m\n  12:00:00 error: forged" in told
    assert "ValueError: \\x1b]0;title\\x07" in told
