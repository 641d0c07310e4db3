"""What runs by its settings: `pulpo run` without APP, with settings beside APP, and `pulpo config`."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pulpo_core import Message

from .actors import publish
from .conftest import Pulpo

Application = Callable[[str], str]

JOBS = """
import os
from pulpo_core import *

seen = []

async def email(payload):
    seen.append(payload)

def fail(payload):
    raise RuntimeError("the server is down")

async def look(payload):
    seen.append(os.environ["SHOP_TOKEN"])

handlers = Handlers()
handlers.add("email", email)
routes = [Route(%(url)r, handlers, name="mail")]
number = 3
"""

CONTAINER = """
from dependency_injector import containers, providers
from pulpo_core.config import Settings
from pulpo_core.container import PulpoContainer

seen = []

async def open_pool():
    seen.append("opened")
    yield "pool"
    seen.append("closed")

class Email:
    def __init__(self, pool):
        self.pool = pool

    async def handle(self, payload):
        seen.append((self.pool, payload))

class App(containers.DeclarativeContainer):
    pool = providers.Resource(open_pool)
    handlers = providers.Dict(email=providers.Factory(Email, pool=pool))
    pulpo = providers.Container(PulpoContainer, handlers=handlers)

class WithSettings(App):
    pulpo = providers.Container(
        PulpoContainer, handlers=App.handlers, settings=providers.Object(Settings(queue=%(url)r, max_messages=1))
    )

class Incomplete(containers.DeclarativeContainer):
    mailer = providers.Dependency()
    pulpo = providers.Container(PulpoContainer, handlers=providers.Dict(email=providers.Factory(Email, mailer)))

class Empty(containers.DeclarativeContainer):
    pass

class Broken(containers.DeclarativeContainer):
    handlers = providers.Dict(email=providers.Factory(Email))
    pulpo = providers.Container(PulpoContainer, handlers=handlers, settings=providers.Factory(Settings, grace="soon"))

app = App()

def make():
    return App()
"""


@pytest.fixture
def jobs(application: Application, url: str) -> str:
    return application(JOBS % {"url": url})


@pytest.fixture
def shop(application: Application, url: str) -> str:
    return application(CONTAINER % {"url": url})


def seen(module: str) -> list[object]:
    found: list[object] = sys.modules[module].seen
    return found


def settings(text: str, name: str = "pulpo.toml") -> None:
    Path(name).write_text(text)


# ------------------------------------------------------------------------------------------------------------- routes


def test_without_an_application_the_routes_of_the_settings_are_run(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings(f"[pulpo]\nburst = true\n[pulpo.routes.mail]\nqueue = '{url}'\nhandlers.email = '{jobs}:email'\n")
    publish(url, Message(request_type="email", body={"payload": 1}))

    outcome = pulpo("run", "--json")

    assert outcome.status == 0
    assert list(outcome.json["routes"]) == ["mail"]
    assert seen(jobs) == [1]


def test_routes_show_the_limits_that_are_set(pulpo: Pulpo, jobs: str) -> None:
    limits = "rate_limit = '30/m'\nweight = 2\nbreaker.failures = 3\n"
    settings(f"[pulpo.routes.mail]\nqueue = 'memory://x'\nhandlers.email = '{jobs}:email'\n{limits}")

    [route] = pulpo("routes", "--json").json

    assert (route["rate_limit"], route["weight"]) == ("30/60s", 2)
    assert route["breaker"] == {"failures": 3, "pause_seconds": 30.0}
    [line] = [line for line in pulpo("routes").lines if "limits" in line]
    assert line.split(maxsplit=1)[1] == ("no more than 30/60s; after 3 failures in a row nothing for 30 s; weight 2")


def test_options_change_the_only_route_of_the_settings(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings(f"[pulpo.routes.mail]\nqueue = '{url}'\nhandlers.email = '{jobs}:email'\npolicy.max_attempts = 7\n")

    options = ("--handler", f"other={jobs}:fail", "--timeout", "3", "--translator", "json", "--max-attempts", "2")
    [route] = pulpo("routes", *options[:2], *options[4:6], "--json").json

    assert (route["name"], route["translator"], route["policy"]["max_attempts"]) == ("mail", "AnyJson", 7)
    assert [handler["request_type"] for handler in route["handlers"]] == ["other"]
    publish(url, Message(request_type="other", body={"payload": 1}), Message(request_type="other", body={"payload": 1}))
    report = pulpo("run", *options[:2], "--max-attempts", "1", "--burst", "--json").json
    assert report["total"]["buried"] == 2


def test_with_several_routes_an_option_does_not_say_which_it_means(pulpo: Pulpo, jobs: str) -> None:
    settings("".join(f"[pulpo.routes.{name}]\nqueue = 'memory://{name}'\n" for name in ("mail", "bills")))

    outcome = pulpo("run", "--handler", f"{jobs}:email")

    assert outcome.status == 2
    assert "--handler: for which of the routes mail, bills?" in outcome.complaint


def test_a_queue_on_the_command_line_leaves_the_routes_of_the_settings_alone(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings("[pulpo.routes.mail]\nqueue = 'memory://elsewhere'\nhandlers.x = 'nowhere:x'\n")

    [route] = pulpo("routes", "--queue", url, "--handler", f"{jobs}:email", "--json").json

    assert (route["name"], route["queue"]) == (url, url)


def test_the_queue_of_the_settings_is_that_of_commands(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings(f"[pulpo]\nqueue = '{url}'\n")
    publish(url, Message(request_type="email", body={"payload": 1}))

    assert pulpo("stats", "--json").json["ready"] == 1
    assert pulpo("run", "--handler", f"{jobs}:email", "--burst", "--json").json["total"]["acked"] == 1


def test_a_route_of_the_settings_names_its_queue(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings(f"[pulpo.routes.mail]\nqueue = '{url}'\n[pulpo.routes.bills]\nqueue = 'memory://bills'\n")

    assert pulpo("stats", "--queue", "mail", "--json").json["queue"] == url
    assert "nor one of the routes mail, bills" in pulpo("peek", "--queue", "male").complaint
    assert "which queue? Give --queue: mail, bills" in pulpo("peek").complaint


def test_settings_may_name_the_application(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings(f"[pulpo]\napp = '{jobs}:routes'\nburst = true\n")
    publish(url, Message(request_type="email", body={"payload": 1}))

    assert pulpo("run", "--json").json["total"]["acked"] == 1


def test_settings_limit_what_runs_an_application(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings("[pulpo]\nmax_messages = 1\n")
    publish(url, *(Message(request_type="email", body={"payload": n}) for n in range(3)))

    assert pulpo("run", f"{jobs}:routes", "--json").json["total"]["received"] == 1
    assert pulpo("run", f"{jobs}:routes", "--max-messages", "2", "--json").json["total"]["received"] == 2


def test_the_settings_environment_is_that_of_handlers_unless_it_is_set_already(
    pulpo: Pulpo, url: str, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    settings("[pulpo]\nenvironment.SHOP_TOKEN = 'hunter2'\nburst = true\n")
    Path("pulpo.toml").chmod(0o600)
    publish(url, Message(body={"payload": 1}))

    outcome = pulpo("run", "--queue", url, "--handler", f"{jobs}:look", "-v")

    assert seen(jobs) == ["hunter2"]
    assert "hunter2" not in outcome.err


def test_a_further_file_is_stronger_than_those_of_the_directory(pulpo: Pulpo, jobs: str) -> None:
    settings(f"[pulpo.routes.mail]\nqueue = 'memory://a'\nhandlers.email = '{jobs}:email'\n")
    settings("[pulpo.routes.mail]\nqueue = 'memory://b'\n", "production.toml")

    assert pulpo("routes", "--settings", "production.toml", "--json").json[0]["queue"] == "memory://b"


def test_everything_wrong_has_a_line_of_its_own(pulpo: Pulpo, jobs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings("[pulpo]\nconcurency = 3\nthreads = 0\n")
    monkeypatch.setenv("PULPO_GRACE", "soon")

    outcome = pulpo("run", f"{jobs}:routes")

    assert outcome.status == 2
    assert outcome.err.splitlines() == [
        "pulpo: pulpo.toml: concurency: unknown; did you mean 'concurrency'?",
        "pulpo: pulpo.toml: threads: expected a whole number from 1, not 0",
        "pulpo: PULPO_GRACE: expected a time span such as 500ms, 30s, 5m or 12h, not 'soon'",
    ]


@pytest.mark.parametrize(
    ("text", "status", "line"),
    [
        ("queue = 'memory://x'", 4, "routes.mail: no handler; give routes.mail.handlers.TYPE, or"),
        ("handlers.x = '{jobs}:email'", 2, "routes.mail: no queue; give routes.mail.queue, or queue for all routes"),
        (
            "queue = 'memory://x'\nhandlers.x = '{jobs}:emial'",
            4,
            "routes.mail.handlers.x {jobs}:emial: module '{jobs}' ",
        ),
        ("queue = 'memory://x'\nhandlers.x = '{jobs}:number'", 4, "routes.mail.handlers.x {jobs}:number: builtins:int"),
        ("queue = 'memory://x'\nhandlers.x = 'emial'", 2, "routes.mail.handlers.x: 'emial' is not MODULE:OBJECT"),
        ("queue = 'memory://x'\ndefault_handler = '{jobs}:number'", 4, "routes.mail.default_handler {jobs}:number: "),
        (
            "queue = 'memory://x'\nhandlers.x = '{jobs}:email'\ntranslator = 'xml'",
            2,
            "routes.mail.translator: 'xml' is",
        ),
        (
            "queue = 'memory://x'\nhandlers.x = '{jobs}:email'\nrate_limit = 'fast'",
            2,
            "routes.mail.rate_limit: expected a text such as 100/s or 5/10s, not 'fast'",
        ),
        (
            "queue = 'memory://x'\nhandlers.x = '{jobs}:email'\npolicy.fatal = ['{jobs}:number']",
            2,
            "routes.mail.policy.fatal: expected exception classes, not 3",
        ),
        (
            "queue = 'memory://x'\nhandlers.x = '{jobs}:email'\nneeds = ['speed']",
            2,
            "routes.mail.needs: 'speed' is noth",
        ),
        ("queue = 'memory://x?a=1'\nhandlers.x = '{jobs}:email'", 2, "unknown parameter 'a'"),
    ],
    ids=range(11),
)
def test_a_route_that_cannot_be_is_one_line_that_names_the_setting(
    pulpo: Pulpo, jobs: str, text: str, status: int, line: str
) -> None:
    settings("[pulpo.routes.mail]\n" + text.format(jobs=jobs))

    outcome = pulpo("run")

    assert (outcome.status, outcome.out) == (status, "")
    assert line.format(jobs=jobs) in outcome.complaint


def test_uvloop_is_used_when_it_is_asked_for(
    pulpo: Pulpo, url: str, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(asyncio.new_event_loop())
        return made[0]

    monkeypatch.setitem(sys.modules, "uvloop", SimpleNamespace(new_event_loop=new_event_loop))
    assert pulpo("run", f"{jobs}:routes", "--burst", "--uvloop").status == 0
    assert len(made) == 1

    monkeypatch.setitem(sys.modules, "uvloop", None)
    outcome = pulpo("run", f"{jobs}:routes", "--burst", "--uvloop")
    assert (outcome.status, outcome.complaint) == (4, "pulpo: uvloop is not installed: pip install 'pulpo-cli[uvloop]'")


# -------------------------------------------------------------------------------------------------------- predecessors


def test_a_service_of_pulpo_messaging_runs_with_its_own_configuration(pulpo: Pulpo, jobs: str, tmp_path: Path) -> None:
    old = {"queue_adapter_type": "FileQueueAdapter", "sleep_duration": 0, "file_queue_adapter.base_path": str(tmp_path)}
    settings(json.dumps(old), "old.json")
    queue = f"file://{tmp_path}/pulpo.db"
    publish(queue, Message(request_type="email", body={"payload": 1}))

    outcome = pulpo("run", "--legacy-config", "old.json", "--handler", f"email={jobs}:email")

    assert outcome.status == 0
    assert seen(jobs) == [1]
    assert 'pulpo: old.json: sleep_duration is now poll_interval = "0s"' in outcome.err.splitlines()


def test_a_service_of_loafer_runs_with_its_environment(
    pulpo: Pulpo, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAFER_DEFAULT_ROUTE_SOURCE", "orders")
    monkeypatch.setenv("LOAFER_DEFAULT_ROUTE_HANDLER", f"{jobs}.email")
    monkeypatch.setenv("LOAFER_MAX_JOBS", "3")

    outcome = pulpo("routes", "--legacy-config", "env", "--json")

    [route] = outcome.json
    assert (route["queue"], route["translator"], route["concurrency"]) == ("sqs://orders", "AnyJson", 3)
    assert "pulpo: the environment: LOAFER_MAX_JOBS is now concurrency = 3" in outcome.err.splitlines()


@pytest.mark.parametrize("command", ["explain", "simulate"])
def test_every_command_that_is_about_an_application_takes_over_its_settings(
    pulpo: Pulpo, jobs: str, command: str
) -> None:
    outcome = pulpo(command, "--queue", "memory://x", "--handler", f"{jobs}:email", "--legacy-config", "nowhere.json")

    assert outcome.status == 2
    assert outcome.complaint.startswith("pulpo: nowhere.json: cannot be read: ")


def test_the_doctor_looks_at_settings_that_are_taken_over(pulpo: Pulpo) -> None:
    outcome = pulpo("doctor", "--legacy-config", "nowhere.json", "--json")

    [finding] = [each for each in outcome.json if each["check"] == "settings"]
    assert (outcome.status, finding["level"]) == (1, "error")
    assert finding["found"].startswith("nowhere.json: cannot be read: ")


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("old.yaml", "old.yaml: expected pulpo-messaging's .json, loafer's .env, .cfg, .ini or .py, or 'env'"),
        ("nowhere.json", "nowhere.json: cannot be read: "),
        ("env", "the environment: LOAFER_DEFAULT_ROUTE_SOURCE: expected the name or the URL of a queue"),
    ],
)
def test_what_cannot_be_taken_over_is_one_line(pulpo: Pulpo, jobs: str, file: str, line: str) -> None:
    outcome = pulpo("run", "--legacy-config", file)

    assert outcome.status == 2
    assert line in outcome.complaint


# --------------------------------------------------------------------------------------------------------- containers


@pytest.mark.parametrize("name", ["App", "app", "make"])
def test_an_application_may_be_a_container(pulpo: Pulpo, url: str, shop: str, name: str) -> None:
    settings(f"[pulpo]\nqueue = '{url}'\n")
    publish(url, Message(request_type="email", body={"payload": 1}))

    outcome = pulpo("run", f"{shop}:{name}", "--burst", "--json")

    assert outcome.status == 0
    assert outcome.json["total"]["acked"] == 1
    assert seen(shop) == ["opened", ("pool", 1), "closed"]


def test_a_container_keeps_the_settings_it_gives_and_the_command_line_is_stronger(
    pulpo: Pulpo, url: str, shop: str
) -> None:
    settings("[pulpo]\nmax_messages = 3\n")
    publish(url, *(Message(request_type="email", body={"payload": n}) for n in range(5)))

    assert pulpo("run", f"{shop}:WithSettings", "--json").json["total"]["received"] == 1
    report = pulpo("run", f"{shop}:WithSettings", "--max-messages", "2", "--json").json
    assert report["total"]["received"] == 2


def test_the_queue_of_a_container_can_be_given(pulpo: Pulpo, url: str, shop: str) -> None:
    settings("[pulpo.routes.mail]\nqueue = 'memory://elsewhere'\n")
    [route] = pulpo("routes", f"{shop}:App", "--queue", url, "--json").json
    assert (route["name"], route["queue"]) == ("mail", url)
    assert "--handler is for a route without APP" in pulpo("run", f"{shop}:App", "--handler", "a:b").complaint

    settings("[pulpo.routes.mail]\n[pulpo.routes.bills]\nweight = 1\n")
    assert "--queue: for which of the routes" in pulpo("routes", f"{shop}:App", "--queue", url).complaint


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Incomplete", "the container is not complete: Container "),
        ("Empty", "a container holds one providers.Container(PulpoContainer, …), and this one holds none"),
        ("App", "routes.default: no queue"),
        ("Broken", "grace: expected a time span"),
    ],
)
def test_a_container_that_cannot_run_is_one_line(pulpo: Pulpo, shop: str, name: str, line: str) -> None:
    outcome = pulpo("run", f"{shop}:{name}")

    assert outcome.status in {2, 4}
    assert line in outcome.complaint


def test_routes_of_a_container_name_their_handlers_without_making_one(pulpo: Pulpo, url: str, shop: str) -> None:
    settings(f"[pulpo]\nqueue = '{url}'\n")

    [route] = pulpo("routes", f"{shop}:App", "--json").json

    assert [handler["handler"] for handler in route["handlers"]] == [f"{shop}:Email"]
    assert seen(shop) == []


# -------------------------------------------------------------------------------------------------------- pulpo config


def test_config_show_says_what_is_set_and_by_whom(
    pulpo: Pulpo, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings("[pulpo]\ngrace = '90s'\nenvironment.TOKEN = 'hunter2'\n[pulpo.routes.mail-out]\nhandlers.'a b' = 'j:f'\n")
    Path("pulpo.toml").chmod(0o600)
    monkeypatch.setenv("PULPO_ROUTES_MAIL_OUT_QUEUE", "sqs://user:hunter2@orders")

    outcome = pulpo("config", "show", "--origin")
    shown = pulpo("config", "show", "--json").json

    assert "hunter2" not in outcome.out + str(shown)
    assert shown == [
        {"setting": "grace", "value": "90s", "origin": "pulpo.toml"},
        {"setting": "environment.TOKEN", "value": "*****", "origin": "pulpo.toml"},
        {"setting": "routes.mail-out.queue", "value": "sqs://*****@orders", "origin": "PULPO_ROUTES_MAIL_OUT_QUEUE"},
        {"setting": 'routes.mail-out.handlers."a b"', "value": "j:f", "origin": "pulpo.toml"},
    ]
    assert [line.split()[-2] for line in outcome.lines[2:]] == [each["origin"] for each in shown]


def test_config_show_is_itself_a_settings_file(pulpo: Pulpo, application: Application) -> None:
    settings("[pulpo]\nburst = true\n[pulpo.routes.mail]\nqueue = 'memory://x'\npolicy.backoff.base = 0.5\n")
    before = pulpo("config", "show").out

    settings(f"[pulpo]\n{before}")

    assert pulpo("config", "show").out == before
    assert 'routes.mail.policy.backoff.base = "500ms"\n' in before


def test_config_show_tells_defaults_when_asked(pulpo: Pulpo, application: Application) -> None:
    assert pulpo("config", "show").out == ""
    assert "config init" in pulpo("config", "show").complaint
    assert {"setting": "processes", "value": 1, "origin": "default"} in pulpo("config", "show", "--all", "--json").json


def test_config_init_writes_a_file_that_changes_nothing(pulpo: Pulpo, application: Application) -> None:
    assert pulpo("config", "init").lines == ["pulpo.toml"]

    assert pulpo("config", "show", "--json").json == []
    assert Path("pulpo.toml").stat().st_mode & 0o007 == 0


def test_every_line_of_that_file_can_be_commented_in(pulpo: Pulpo, application: Application) -> None:
    pulpo("config", "init", "sample.toml")
    lines = Path("sample.toml").read_text().splitlines()
    live = [line.removeprefix("# ") for line in lines if line.startswith(("[", "# [")) or " = " in line]

    settings("\n".join(line for line in live if "`" not in line))

    shown = [each["setting"] for each in pulpo("config", "show", "--json").json]
    assert len(shown) == sum(" = " in line for line in live)
    assert "routes.mail.policy.backoff.jitter" in shown


def test_config_init_leaves_a_file_that_is_there(pulpo: Pulpo, application: Application) -> None:
    settings("[pulpo]\n")

    outcome = pulpo("config", "init")

    assert outcome.status == 2
    assert "pulpo.toml is there already, and is left as it is" in outcome.complaint
    assert Path("pulpo.toml").read_text() == "[pulpo]\n"


def test_secrets_that_everybody_may_read_are_warned_about_at_every_start(pulpo: Pulpo, url: str, jobs: str) -> None:
    settings("[pulpo]\nenvironment.SHOP_TOKEN = 'hunter2'\n")
    Path("pulpo.toml").chmod(0o644)

    outcome = pulpo("run", f"{jobs}:routes", "--burst", "-q")

    assert outcome.complaint.startswith(
        "pulpo: pulpo.toml holds secrets (environment.SHOP_TOKEN) and everybody here may"
    )
