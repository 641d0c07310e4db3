"""Log records that are written in blocks."""

import logging

import pytest

from pulpo_cli import logs


def test_records_wait_until_there_are_enough_or_one_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(0, form="console")
    logs.write_in_blocks()
    log = logging.getLogger("pulpo.run")

    log.info("first")
    assert capsys.readouterr().err == ""
    log.error("second")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["first", "second"]
    for _ in range(100):
        log.info("many")
    assert capsys.readouterr().err.count("many") == 100


def test_what_waits_is_written_when_the_process_ends(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(0, form="console")
    logs.write_in_blocks()

    logging.getLogger("pulpo.run").info("the last word")
    logging.getLogger().handlers[0].close()  # as `logging.shutdown` does

    assert "the last word" in capsys.readouterr().err
