"""`pulpo explain` and `pulpo simulate`: words and numbers that come from the policy."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pulpo_cli.explain.words import WHEN
from pulpo_core.foresight import EVENTS

from .conftest import Pulpo

ROUTES = """
from datetime import timedelta
from pulpo_core import Backoff, Handlers, Policy, Route

class Closed(Exception): ...

handlers = Handlers()

@handlers("pay", timeout=30)
async def pay(payload): ...

def look_again(exc_info, message): ...

def anything(message): ...

def opinion(error): ...

policy = Policy(max_attempts=3, backoff=Backoff(base=10, jitter="none"), fatal=Closed, classify=opinion)
pay_route = Route("memory://explained", handlers, name="pay", policy=policy, error_handler=look_again)
rest = Route("memory://rest", anything, name="rest", policy=Policy(max_attempts=0))
routes = [pay_route, rest]
"""

Make = Callable[[str], str]


def explained(out: str) -> dict[str, str]:
    """What is said, by what happens."""
    return {
        when.strip(): then.strip() for when, _, then in (line.strip().partition("   ") for line in out.splitlines())
    }


def test_every_event_has_words() -> None:
    assert set(WHEN) == set(EVENTS)


def test_a_route_is_explained_in_words(pulpo: Pulpo, application: Make) -> None:
    said = explained(pulpo("explain", "pay", f"{application(ROUTES)}:routes").out)

    assert said["the handler returns"] == "acknowledged"
    assert said["it raises any other exception"] == (
        "attempts 1 to 2: retried after 10 s, 20 s; attempt 3: buried as attempts-exhausted"
    )
    assert said["it raises Closed"] == "buried as fatal"
    assert said["it takes longer than 30 s"] == "as when it raises any other exception"
    assert said["it fails, and the error handler says yes"] == "acknowledged"
    assert said["no handler takes its type"] == "buried as no-handler"
    assert said["the worker is stopped meanwhile"] == "given back at once, for another worker"
    assert said["the process is killed"].endswith("after 3 such deliveries buried unrun")
    assert said["any exception is raised"] == "opinion is asked first, and what it says holds"


def test_a_route_with_other_ways_is_explained_otherwise(pulpo: Pulpo, application: Make) -> None:
    said = explained(pulpo("explain", "rest", f"{application(ROUTES)}:routes").out)

    assert said["it raises any other exception"].startswith("every time: retried after 2.5–5.0 s")
    assert said["its type is unknown, or missing"].endswith(":anything handles it")
    assert said["it never ends"].startswith("timed out after 12 h")
    assert "no handler takes its type" not in said
    assert said["the process is killed"].endswith("without limit")


def test_all_routes_are_explained_where_none_is_named(pulpo: Pulpo, application: Make) -> None:
    explained = pulpo("explain", f"{application(ROUTES)}:routes", "--json").json

    assert [each["route"] for each in explained] == ["pay", "rest"]
    raised = next(each for each in explained[0]["events"] if each["event"] == "raised")
    assert raised["then"] == [
        {
            "first_attempt": 1,
            "last_attempt": 2,
            "settlement": "retry",
            "reason": "failed",
            "counted_as": "retried",
            "delays_seconds": [[10.0, 10.0], [20.0, 20.0]],
        },
        {
            "first_attempt": 3,
            "last_attempt": 3,
            "settlement": "bury",
            "reason": "attempts-exhausted",
            "counted_as": "buried",
            "delays_seconds": [],
        },
    ]


def test_a_route_that_is_not_there_is_named_with_those_that_are(pulpo: Pulpo, application: Make) -> None:
    outcome = pulpo("explain", "pray", f"{application(ROUTES)}:routes")

    assert outcome.status == 2
    assert "no route 'pray'; there is 'pay', 'rest'" in outcome.complaint


def test_a_queue_that_cannot_be_asked_is_told_at_its_adapter_s_best(pulpo: Pulpo, application: Make) -> None:
    module = application("async def f(payload): ...\n")

    outcome = pulpo("explain", "--queue", "beanstalkd://127.0.0.1:1/x", "--handler", f"{module}:f")

    assert outcome.status == 0
    assert "its queue could not be asked" in outcome.complaint
    assert "buried as attempts-exhausted" in outcome.out


# --------------------------------------------------------------------------------------------------------- simulate


def test_a_simulation_with_a_seed_is_the_same_every_time(pulpo: Pulpo) -> None:
    arguments = ("simulate", "--seed", "7", "--messages", "200", "--failure-rate", "0.5", "--outage", "5m", "--json")

    assert pulpo(*arguments).out == pulpo(*arguments).out
    assert pulpo(*arguments).json["seed"] == 7


def test_a_simulation_is_about_the_policy_that_is_given(pulpo: Pulpo) -> None:
    simulated = pulpo(
        *("simulate", "--max-attempts", "3", "--backoff", "10s", "--factor", "1", "--jitter", "none"),
        *("--messages", "10", "--failure-rate", "1", "--handling", "1s", "--json"),
    ).json

    assert [each["earliest_seconds"] for each in simulated["timeline"]] == [0, 11, 22]
    assert simulated["attempts"] == {"3": {"handled": 0, "set_aside": 10}}
    assert simulated["seconds"]["buried"] == {"median": 23, "p95": 23, "longest": 23}
    assert simulated["longest_seconds"] == 23


def test_a_simulation_takes_the_policy_of_a_route(pulpo: Pulpo, application: Make) -> None:
    simulated = pulpo("simulate", "pay", f"{application(ROUTES)}:routes", "--cap", "15s", "--json").json

    assert (simulated["policy"]["max_attempts"], simulated["policy"]["backoff_cap_seconds"]) == (3, 15)
    assert [each["latest_seconds"] for each in simulated["timeline"]] == [0, 10, 25]


def test_one_of_several_routes_has_to_be_named(pulpo: Pulpo, application: Make) -> None:
    outcome = pulpo("simulate", f"{application(ROUTES)}:routes")

    assert outcome.status == 2
    assert "name one of the routes: 'pay', 'rest'" in outcome.complaint


def test_the_load_after_an_outage_is_counted_and_drawn(pulpo: Pulpo) -> None:
    arguments = ("simulate", "--seed", "1", "--outage", "10m", "--messages", "300")
    load = pulpo(*arguments, "--json").json["load"]

    assert load["width_seconds"] == 120
    assert sum(load["attempts"]) > 600
    assert "█" in pulpo(*arguments).out


def test_tables_tell_the_timeline_and_the_spread(pulpo: Pulpo) -> None:
    out = pulpo("simulate", "--seed", "1", "--failure-rate", "0.5", "--max-attempts", "2").out

    assert "buried as attempts-exhausted" in out
    assert "1,000 messages, 0.5 of all attempts fail" in out
    assert "until handled" in out


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_a_plot_is_drawn_where_it_is_wanted(pulpo: Pulpo, tmp_path: Path, ending: str) -> None:
    picture = tmp_path / f"policy.{ending}"

    outcome = pulpo("simulate", "--seed", "1", "--messages", "50", "--plot", str(picture))

    assert outcome.status == 0
    assert picture.read_bytes()[:5] in {b"<?xml", b"\x89PNG\r"}
    if ending == "svg":
        before = picture.read_bytes()
        pulpo("simulate", "--seed", "1", "--messages", "50", "--plot", str(picture))
        assert picture.read_bytes() == before


def test_without_matplotlib_the_line_says_what_to_install(
    pulpo: Pulpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    outcome = pulpo("simulate", "--plot", str(tmp_path / "policy.svg"))

    assert outcome.status == 2
    assert "pip install 'pulpo-cli[plot]'" in outcome.complaint


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--plot", "policy.pdf"], "must end in .png or .svg"),
        (["--plot", "/nowhere/policy.svg"], "there is no folder /nowhere"),
        (["--failure-rate", "1.5"], "1.5 is not in the range"),
        (["--backoff", "soon"], "'soon' is not a duration"),
    ],
)
def test_wrong_use_is_one_line(pulpo: Pulpo, arguments: list[str], text: str) -> None:
    outcome = pulpo("simulate", *arguments)

    assert (outcome.status, outcome.out) == (2, "")
    assert text in outcome.complaint


def test_a_handler_that_cannot_be_called_is_told_with_the_user_s_own_line(pulpo: Pulpo, application: Make) -> None:
    module = application("from pulpo_core import Handlers\nhandlers = Handlers()\n\n@handlers('a')\ndef f(what): ...\n")

    complaint = pulpo("explain", f"{module}:handlers").complaint

    assert "nothing to give to parameter 'what'" in complaint
    assert f"{module}.py, line 4)" in complaint or f"{module}.py, line 5)" in complaint


@pytest.mark.parametrize(
    "spans",
    [
        ("--handling", "300000000h"),
        ("--outage", "80000000h"),
        ("--over", "80000000h"),
        ("--backoff", "80000000h", "--cap", "80000000h"),
    ],
    ids=lambda spans: spans[0],
)
def test_what_ends_beyond_the_calendar_is_not_simulated(pulpo: Pulpo, spans: tuple[str, ...]) -> None:
    outcome = pulpo("simulate", *spans)

    assert outcome.status == 2
    assert "it ends beyond the calendar: give shorter ones" in outcome.complaint


def test_what_ends_beyond_the_calendar_is_not_explained(pulpo: Pulpo, application: Make) -> None:
    eternal = "base=3 * 10**10, cap=3 * 10**10"
    app = application(ROUTES.replace("base=10", eternal).replace("max_attempts=3", "max_attempts=20"))

    outcome = pulpo("explain", "pay", f"{app}:routes")

    assert outcome.status == 2
    assert outcome.complaint.endswith("route 'pay': with delays as long as its policy's it ends beyond the calendar")
