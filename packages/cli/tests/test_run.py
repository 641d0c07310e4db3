"""`pulpo run` and `pulpo routes`: what they run, and how they refuse what cannot be run."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pulpo_core import Message

from .actors import publish, publish_bytes
from .conftest import Pulpo

Application = Callable[[str], str]

JOBS = """
import asyncio, attrs
from datetime import timedelta
from pulpo_core import *

seen = []

@attrs.frozen
class Email:
    to: str

async def email(email: Email, message: Message):
    seen.append(email.to)

def fail(payload):
    raise RuntimeError("the server is down")

def anything(body):
    seen.append(body)

def forgive(exc_info, message):
    return True

class Upper:
    def translate(self, envelope):
        return Message(body={"payload": envelope.body.decode().upper()})
    def encode(self, message):
        raise NotImplementedError

handlers = Handlers()
handlers.add("email", email)
handlers.add("fail", fail)
number = 3
policy = Policy(max_attempts=1, fatal=(KeyError, TypeError), max_age=timedelta(days=1))
routes = [Route(%(url)r, handlers, policy=policy, concurrency=2, prefetch=3)]
one = routes[0]
dispatcher = Dispatcher(routes, until=Until(burst=True))
manager = Manager(routes, until=Until(burst=True))
nothing = []
mixed = [routes[0], 3]

def make():
    return routes

def broken():
    raise LookupError("no settings")
"""


@pytest.fixture
def jobs(application: Application, url: str) -> str:
    return application(JOBS % {"url": url})


def seen(jobs: str) -> list[object]:
    found: list[object] = sys.modules[jobs].seen
    return found


@pytest.mark.parametrize("name", ["routes", "one", "make"])
def test_an_application_is_routes_or_makes_them(pulpo: Pulpo, url: str, jobs: str, name: str) -> None:
    publish(url, Message(request_type="email", body={"to": "a@b"}))

    outcome = pulpo("run", f"{jobs}:{name}", "--burst", "--json")

    assert outcome.status == 0
    assert seen(jobs) == ["a@b"]
    assert (outcome.json["total"]["received"], outcome.json["total"]["acked"]) == (1, 1)


@pytest.mark.parametrize("name", ["dispatcher", "manager"])
def test_an_application_is_what_runs_routes(pulpo: Pulpo, url: str, jobs: str, name: str) -> None:
    publish(url, Message(request_type="email", body={"to": "a@b"}))

    assert pulpo("run", f"{jobs}:{name}").status == 0
    assert seen(jobs) == ["a@b"]


def test_without_an_application_options_make_a_route(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, Message(request_type="email", body={"to": "a@b"}), Message(request_type="other", body={"k": 1}))

    outcome = pulpo(
        *("run", "--queue", url, "--handler", f"email={jobs}:email", "--handler", f"{jobs}:anything", "--burst")
    )

    assert outcome.status == 0
    assert seen(jobs) == ["a@b", {"k": 1}]


def test_the_ledger_is_printed_at_the_end(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, Message(request_type="email", body={"to": "a"}), Message(request_type="fail", body={"payload": 1}))

    outcome = pulpo("run", f"{jobs}:routes", "--burst")

    assert outcome.out == ""
    lines = [line.split() for line in outcome.err.splitlines()]
    assert lines[0] == [f"{url}:", "2", "handlers,", "2", "at", "once;", "Ctrl-C", "drains", "and", "stops"]
    assert lines[1] == ["route", "received", "acked", "retried", "buried", "released"]
    assert lines[3] == [url, "2", "1", "0", "1", "0"]
    assert lines[4][:2] == ["2", "deliveries"]


def test_quietly_nothing_is_said(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, Message(request_type="email", body={"to": "a"}))

    outcome = pulpo("run", f"{jobs}:routes", "--burst", "-q")

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_a_delivery_has_a_line_when_asked_for_and_its_body_never(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, Message(request_type="email", body={"to": "somebody@example.org"}))

    quiet = pulpo("run", f"{jobs}:routes", "--burst")
    publish(url, Message(request_type="email", body={"to": "somebody@example.org"}))
    verbose = pulpo("run", f"{jobs}:routes", "--burst", "-v")

    assert "attempt" not in quiet.err
    [line] = [line for line in verbose.err.splitlines() if "attempt 1" in line]
    assert f"{url}: email" in line
    assert "acked (handled) in " in line
    assert "somebody" not in verbose.err
    assert "\x1b" not in verbose.err


def test_as_json_every_line_on_stderr_is_a_document(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, Message(request_type="fail", body={"payload": "hunter2"}))

    outcome = pulpo("run", f"{jobs}:routes", "--burst", "-v", "--log-format", "json")

    records = [json.loads(line) for line in outcome.err.splitlines()]
    [delivery] = [record for record in records if "settlement" in record]
    assert delivery["type"] == "fail"
    assert (delivery["settlement"], delivery["reason"], delivery["attempt"]) == ("buried", "attempts-exhausted", 1)
    assert delivery["route"] == url
    assert delivery["duration_ms"] >= 0
    [ended] = [record for record in records if record["event"] == "ended"]
    assert ended["balanced"] is True
    assert ended["total"]["buried"] == 1
    assert "hunter2" not in outcome.err


@pytest.mark.parametrize(
    ("options", "received"),
    [(["--max-messages", "3"], 3), (["--burst"], 5), (["--max-empty-polls", "2", "--poll-interval", "10ms"], 5)],
    ids=["max-messages", "burst", "max-empty-polls"],
)
def test_it_stops_when_it_is_told_to(pulpo: Pulpo, url: str, jobs: str, options: list[str], received: int) -> None:
    publish(url, *(Message(body={"n": n}) for n in range(5)))

    outcome = pulpo("run", "--queue", url, "--handler", f"{jobs}:anything", *options, "--json")

    assert outcome.status == 0
    assert outcome.json["total"]["received"] == received


def test_once_receives_once(pulpo: Pulpo, url: str, jobs: str) -> None:
    publish(url, *(Message(body={"n": n}) for n in range(5)))

    outcome = pulpo("run", "--queue", url, "--handler", f"{jobs}:anything", "--once", "--concurrency", "2", "--json")

    assert outcome.json["total"]["received"] == 2


def test_attempts_and_the_error_handler_can_be_given(pulpo: Pulpo, url: str, jobs: str) -> None:
    options = ["run", "--queue", url, "--handler", f"{jobs}:fail", "--burst", "--json"]
    publish(url, Message(body={"payload": 1}))
    assert pulpo(*options, "--max-attempts", "1").json["total"]["buried"] == 1

    publish(url, Message(body={"payload": 1}))
    assert pulpo(*options, "--error-handler", f"{jobs}:forgive").json["total"]["acked"] == 1


@pytest.mark.parametrize(
    ("translator", "handled"),
    [("text", {"payload": '{"k": 1}'}), ("json", {"k": 1}), ("{jobs}:Upper", {"payload": '{"K": 1}'})],
    ids=["text", "json", "a class of one's own"],
)
def test_the_format_of_the_queue_can_be_given(
    pulpo: Pulpo, url: str, jobs: str, translator: str, handled: object
) -> None:
    publish_bytes(url, b'{"k": 1}')

    pulpo(
        *("run", "--queue", url, "--handler", f"{jobs}:anything", "--burst"),
        *("--translator", translator.format(jobs=jobs)),
    )

    assert seen(jobs) == [handled]


# ----------------------------------------------------------------------------------------------------------- refusals


def test_a_module_that_ends_the_process_is_one_line_and_status_4(pulpo: Pulpo, application: Application) -> None:
    name = application("import sys; sys.exit('SHOP_TOKEN is not set')")

    outcome = pulpo("run", f"{name}:routes")

    assert outcome.status == 4
    assert f"module '{name}' cannot be imported: SystemExit: SHOP_TOKEN is not set (" in outcome.complaint


def test_a_file_with_the_name_of_another_module_is_told(
    pulpo: Pulpo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "json.py").write_text("routes = []")

    outcome = pulpo("run", "json:routes")

    assert outcome.status == 4
    assert (
        f"module 'json' has no 'routes'; it is {json.__file__}, which hides {tmp_path}/json.py: " in outcome.complaint
    )


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ([], 2, "give APP, or --queue (or PULPO_QUEUE) with --handler"),
        (["nomodule:routes"], 4, "no module 'nomodule' in "),
        (["{jobs}:rotes"], 4, "has no 'rotes'; did you mean 'routes'?"),
        (["{jobs}"], 2, "is not MODULE:OBJECT, such as jobs:routes"),
        (["{jobs}:number"], 4, "{jobs}:number is an int; expected a list of Route, a Dispatcher, a Manager"),
        (["{jobs}:nothing"], 4, "{jobs}:nothing is an empty list; expected"),
        (["{jobs}:mixed"], 4, "{jobs}:mixed is a list with an int in it; expected"),
        (["{jobs}:handlers"], 4, "is a Handlers; expected"),
        (["{jobs}:Email"], 4, "is the class Email; expected"),
        (["{jobs}:email"], 4, "{jobs}:email takes arguments (email, message), and a function that makes an"),
        (["{jobs}:broken"], 4, "{jobs}:broken failed: LookupError: no settings ("),
        (["{jobs}:routes", "--timeout", "3"], 2, "--timeout is for a route without APP"),
        (["{jobs}:routes", "--handler", "{jobs}:fail"], 2, "--handler is for a route without APP"),
        (["{jobs}:dispatcher", "--burst"], 2, "--burst: {jobs}:dispatcher is a Dispatcher, which says it for itself"),
        (["{jobs}:manager", "--grace", "3"], 2, "--grace: {jobs}:manager is a Manager"),
        (["--queue", "memory://x"], 4, "no handler for memory://x"),
        (["--queue", "memory://x", "--handler", "nomodule:f"], 4, "no module 'nomodule'"),
        (["--queue", "memory://x", "--handler", "{jobs}:emial"], 4, "has no 'emial'; did you mean 'email'?"),
        (
            ["--queue", "memory://x", "--handler", "k={jobs}:number"],
            4,
            "--handler k {jobs}:number: builtins:int cannot be called",
        ),
        (["--queue", "memory://x", "--handler", "{jobs}:Email"], 4, "Email is a class; register an instance"),
        (["--queue", "memory://x", "--handler", "k="], 2, "--handler k: expected MODULE:CALLABLE after the '='"),
        (["--queue", "memory://x", "--handler", "nonsense"], 2, "'nonsense' is not MODULE:OBJECT"),
        (["--queue", "nope://x", "--handler", "{jobs}:fail"], 2, "no adapter for 'nope' is installed"),
        (["--queue", "memory://x?a=1", "--handler", "{jobs}:fail"], 2, "unknown parameter 'a'"),
        (
            ["--queue", "memory://x", "--handler", "{jobs}:fail", "--translator", "xml"],
            2,
            "one of pulpo, json, text, sns",
        ),
        (["--queue", "memory://x", "--handler", "{jobs}:fail", "--error-handler", "{jobs}:number"], 4, "cannot be"),
        (["--queue", "memory://x", "--handler", "{jobs}:fail", "--concurrency", "0"], 2, "'--concurrency'"),
        (["--queue", "memory://x", "--handler", "{jobs}:fail", "--grace", "soon"], 2, "'soon' is not a duration"),
    ],
    ids=range(28),
)
def test_what_cannot_be_run_is_one_line_and_its_status(
    pulpo: Pulpo, jobs: str, arguments: list[str], status: int, line: str
) -> None:
    outcome = pulpo("run", *(each.format(jobs=jobs) for each in arguments))

    assert outcome.status == status
    assert outcome.out == ""
    assert line.format(jobs=jobs) in outcome.complaint


def test_an_application_is_not_made_by_a_coroutine(pulpo: Pulpo, application: Application) -> None:
    name = application("async def make(): ...\n")

    outcome = pulpo("run", f"{name}:make")

    assert outcome.status == 4
    assert f"APP {name}:make is a coroutine function" in outcome.complaint


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found' ("),
        ("def f(:\n", "SyntaxError: invalid syntax ("),
        ("x = 1\n1 / 0\n", ".py, line 2)"),
    ],
    ids=["a missing module inside", "no Python", "an error at import"],
)
def test_a_module_that_breaks_is_named_with_the_line(
    pulpo: Pulpo, application: Application, source: str, line: str
) -> None:
    name = application(source)

    outcome = pulpo("run", f"{name}:routes")

    assert outcome.status == 4
    assert f"module {name!r} cannot be imported" in outcome.complaint
    assert line in outcome.complaint


def test_a_queue_from_the_environment_does_not_disturb_an_application(
    pulpo: Pulpo, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULPO_QUEUE", "memory://elsewhere")

    assert pulpo("run", f"{jobs}:routes", "--burst").status == 0


# ------------------------------------------------------------------------------------------------------------- routes


def test_routes_show_handlers_and_what_they_get(pulpo: Pulpo, url: str, jobs: str) -> None:
    outcome = pulpo("routes", f"{jobs}:routes")

    assert outcome.status == 0
    assert outcome.lines[0] == url
    assert "  at once     2, 3 waiting" in outcome.lines
    [policy] = [line for line in outcome.lines if line.startswith("  policy")]
    assert policy.endswith(
        "1 attempt; backoff 5.0 s × 2 up to 15 min, equal jitter; fatal: KeyError, TypeError; "
        "no retry 1 d after publishing"
    )
    rows = [line.split() for line in outcome.lines]
    assert ["fail", f"{jobs}:fail", "payload:", "payload", "thread", "–"] in rows
    assert [
        *("email", f"{jobs}:email", "email:", "Email", "from"),
        *("body,", "message:", "Message"),
        *("loop", "–"),
    ] in rows


def test_routes_as_json(pulpo: Pulpo, url: str, jobs: str) -> None:
    [route] = pulpo("routes", "--queue", url, "--handler", f"{jobs}:anything", "--json").json

    assert (route["queue"], route["translator"], route["concurrency"]) == (url, "PulpoJson", 10)
    assert route["policy"]["backoff_cap_seconds"] == 900.0
    assert route["handlers"] == [
        {
            "request_type": None,
            "handler": f"{jobs}:anything",
            "parameters": {"body": "body"},
            "runs_in": "thread",
            "timeout_seconds": None,
        }
    ]


@pytest.mark.parametrize("name", ["dispatcher", "manager"])
def test_routes_of_what_runs_routes(pulpo: Pulpo, url: str, jobs: str, name: str) -> None:
    assert [route["queue"] for route in pulpo("routes", f"{jobs}:{name}", "--json").json] == [url]


def test_routes_show_no_url_that_no_adapter_accepts(pulpo: Pulpo, url: str, jobs: str) -> None:
    outcome = pulpo("routes", "--queue", f"{url}?password=canary", "--handler", f"{jobs}:anything")

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.complaint.startswith(f"pulpo: {url!r}: unknown parameter 'password'")
    assert "canary" not in outcome.complaint
