"""`pulpo doctor`: what it finds, and the status for those who only look at that."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pulpo_cli.doctor.checks import CHECKS, Opened, check_clock, diagnosis_of
from pulpo_core import (
    Capabilities,
    Diagnosis,
    Handlers,
    Level,
    PermissionDenied,
    Policy,
    QueueNotFound,
    Route,
    Unavailable,
)

from .conftest import Pulpo

Make = Callable[[str], str]


async def handle(message: object) -> None:
    """Never called."""


def found(
    check: str, *, grace: float = 25, capabilities: Capabilities | None = None, **options: Any
) -> Sequence[Diagnosis]:
    """What is found about a route in one check."""
    route = Route("memory://x", options.pop("handlers", handle), **options)
    opened = Opened(route=route, capabilities=capabilities or Capabilities(), grace=timedelta(seconds=grace))
    every = [diagnosis for each in CHECKS for diagnosis in each(opened)]
    return [diagnosis for diagnosis in every if diagnosis.check == check]


@pytest.mark.parametrize(
    ("check", "level", "options"),
    [
        ("lease", Level.OK, {"timeout": 30}),
        ("lease", Level.WARNING, {"timeout": 31}),
        ("lease", Level.OK, {}),
        ("lease", Level.OK, {"timeout": 99, "capabilities": Capabilities(lease=None)}),
        ("timeout", Level.OK, {"timeout": 5}),
        ("timeout", Level.WARNING, {}),
        ("timeout", Level.ERROR, {"timeout": timedelta(hours=13)}),
        ("timeout", Level.ERROR, {"timeout": 61, "capabilities": Capabilities(max_hold=timedelta(minutes=1))}),
        ("grace", Level.OK, {"timeout": 25}),
        ("grace", Level.WARNING, {"timeout": 26}),
        ("grace", Level.ERROR, {"grace": 10, "capabilities": Capabilities(prompt_interrupt=False)}),
        ("attempts", Level.OK, {}),
        ("attempts", Level.WARNING, {"policy": Policy(max_attempts=0)}),
        ("attempts", Level.OK, {"policy": Policy(max_attempts=0, max_age=3600)}),
        ("attempts", Level.OK, {"capabilities": Capabilities(max_receives=3)}),
        (
            "attempts",
            Level.ERROR,
            {"policy": Policy(max_attempts=5), "capabilities": Capabilities(max_receives=3)},
        ),
        ("needs", Level.ERROR, {"needs": ["groups"]}),
    ],
)
def test_a_check_finds_what_it_is_for(check: str, level: Level, options: dict[str, Any]) -> None:
    [diagnosis] = found(check, **options)

    assert diagnosis.level is level
    assert bool(diagnosis.advice) == (level is not Level.OK)


def test_the_longest_of_several_time_limits_counts() -> None:
    handlers = Handlers()
    handlers.add("a", handle, timeout=5)
    handlers.add("b", handle, timeout=60)

    [diagnosis] = found("lease", handlers=handlers)

    assert "1 min" in diagnosis.found


def test_what_the_route_means_to_do_is_told_to_the_adapter() -> None:
    route = Route("memory://x", handle, policy=Policy(max_attempts=3), timeout=10)
    usage = Opened(route=route, capabilities=Capabilities(), grace=timedelta()).usage

    assert usage.max_attempts == 3
    assert usage.horizon is not None
    assert usage.horizon.total_seconds() == pytest.approx(3 * 10 + 5 + 10, abs=0.01)
    endless = Route("memory://x", handle, policy=Policy(max_attempts=0))
    assert Opened(route=endless, capabilities=Capabilities(), grace=timedelta()).usage.horizon is None


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (QueueNotFound("no queue"), "pulpo queue create"),
        (PermissionDenied("not for you"), "the permission that is named"),
        (Unavailable("no answer"), "start the broker"),
    ],
)
def test_an_error_has_its_advice(error: Any, advice: str) -> None:
    diagnosis = diagnosis_of(error, "queue")

    assert diagnosis.level is Level.ERROR
    assert advice in diagnosis.advice


def test_a_clock_that_was_never_set_is_an_error() -> None:
    assert check_clock(datetime(1970, 1, 1, tzinfo=UTC)).level is Level.ERROR
    assert check_clock(datetime(2026, 11, 21, tzinfo=UTC)).level is Level.OK


# ------------------------------------------------------------------------------------------------------- the command

GOOD = """
from pulpo_core import Route

async def f(payload): ...

routes = [Route("{url}", f, name="mail", timeout=10)]
"""


def checks(document: list[dict[str, str]], level: str) -> list[str]:
    """The names of the checks that found that."""
    return [each["check"] for each in document if each["level"] == level]


def test_a_deployment_without_errors_is_status_0(pulpo: Pulpo, application: Make, tmp_path: Path) -> None:
    module = application(GOOD.format(url=f"file://{tmp_path}/q.db"))

    outcome = pulpo("doctor", f"{module}:routes", "--json", "--strict")

    assert (outcome.status, checks(outcome.json, "error"), checks(outcome.json, "warning")) == (0, [], [])
    assert {"settings", "application", "queue", "file system", "SQLite", "clock"} <= set(checks(outcome.json, "ok"))
    assert not (tmp_path / "q.db").exists()
    assert outcome.err == "0 errors, 0 warnings\n"


def test_warnings_are_status_1_only_if_they_count(pulpo: Pulpo, application: Make, url: str) -> None:
    module = application(GOOD.format(url=url))

    assert pulpo("doctor", f"{module}:routes").status == 0  # memory keeps nothing
    assert pulpo("doctor", f"{module}:routes", "--strict").status == 1


@pytest.mark.parametrize(
    ("source", "check", "text"),
    [
        ("import nothing_of_that_name\nroutes = []\n", "application", "nothing_of_that_name"),
        ("routes = []\n", "application", "an empty list"),
        (
            "from pulpo_core import Route\nroutes = [Route('file:///nowhere/q.db', lambda message: 1)]\n",
            "queue",
            "/nowhere",
        ),
        (
            "from pulpo_core import Route\nroutes = [Route('gopher://q', lambda message: 1)]\n",
            "queue",
            "no adapter for",
        ),
    ],
)
def test_what_keeps_a_worker_from_starting_is_an_error(
    pulpo: Pulpo, application: Make, source: str, check: str, text: str
) -> None:
    outcome = pulpo("doctor", f"{application(source)}:routes", "--json")

    assert outcome.status == 1
    [error] = [each for each in outcome.json if each["level"] == "error"]
    assert error["check"] == check
    assert text in error["found"]


def test_wrong_settings_are_told_line_by_line(pulpo: Pulpo, application: Make, tmp_path: Path) -> None:
    application("")
    (tmp_path / "pulpo.toml").write_text("[pulpo]\nconcurrency = 'many'\ncolour = 'red'\n")

    outcome = pulpo("doctor", "--json")

    assert outcome.status == 1
    assert checks(outcome.json, "error") == ["settings", "settings"]


def test_a_queue_alone_can_be_examined(pulpo: Pulpo, tmp_path: Path) -> None:
    outcome = pulpo("doctor", "--queue", f"file://{tmp_path}/q.db?durability=normal", "--json")

    assert checks(outcome.json, "warning") == ["durability"]
    assert {each["subject"] for each in outcome.json} == {"process", f"file://{tmp_path}/q.db"}


def test_the_table_says_what_to_do(pulpo: Pulpo, tmp_path: Path) -> None:
    outcome = pulpo("doctor", "--queue", f"file://{tmp_path}/nowhere/q.db")

    assert outcome.status == 1
    row = next(line for line in outcome.lines if line.strip().startswith("error"))
    assert "create it first" in row
    assert "pulpo queue create" in row
