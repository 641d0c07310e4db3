"""Where settings come from, which of them is stronger, and how wrong ones are told."""

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_core import ConfigurationError
from pulpo_core.config import (
    BannerSettings,
    HandlerSettings,
    RouteSettings,
    Settings,
    WrongSettings,
    load_settings,
    read_settings,
)


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def lines_of(error: pytest.ExceptionInfo[WrongSettings]) -> list[str]:
    return list(error.value.lines)


def test_without_any_source_all_settings_have_their_default(here):
    loaded = read_settings()

    assert loaded.settings == Settings()
    assert (loaded.origins, loaded.warnings, loaded.files) == ({}, (), ())


def test_each_source_is_stronger_than_the_one_before(here, monkeypatch):
    sources = ["pyproject.toml", "pulpo.toml", "named.toml", "further.toml", ".env", "environment", "command line"]
    said = {name: dict.fromkeys(range(place + 1)) for place, name in enumerate(reversed(sources))}
    keys = ["concurrency", "threads", "max_messages", "max_empty_polls", "processes", "health_port", "grace"]

    def table(name: str) -> str:
        return "\n".join(f"{keys[index]} = {sources.index(name) + 1}" for index in said[name])

    write(here / "pyproject.toml", f"[tool.pulpo]\n{table('pyproject.toml')}\n[tool.other]\nx = 1\n")
    for name in ("pulpo.toml", "named.toml", "further.toml"):
        write(here / name, f"[pulpo]\n{table(name)}\n")
    write(here / ".env", "".join(f"PULPO_{keys[index].upper()}=5\n" for index in said[".env"]) + "OTHER=1\n")
    monkeypatch.setenv("PULPO_SETTINGS", "named.toml")
    for index in said["environment"]:
        monkeypatch.setenv(f"PULPO_{keys[index].upper()}", "6")

    loaded = read_settings(files=[Path("further.toml")], command_line={"concurrency": 7})

    values = [getattr(loaded.settings, key) for key in keys]
    assert values == [7, 6, 5, 4, 3, 2, timedelta(seconds=1)]
    assert [loaded.origins[key].shown for key in keys] == [
        *("--concurrency", "PULPO_THREADS", ".env", "further.toml", "named.toml", "pulpo.toml", "pyproject.toml")
    ]
    assert [path.name for path in loaded.files] == ["pyproject.toml", "pulpo.toml", "named.toml", "further.toml"]


def test_what_is_false_or_nothing_is_stronger_too(here, monkeypatch):
    write(here / "pulpo.toml", "[pulpo]\nburst = true\nhealth_port = 8080\nthreads = 3\npoll_interval = '5s'\n")
    monkeypatch.setenv("PULPO_BURST", "false")
    monkeypatch.setenv("PULPO_HEALTH_PORT", "0")
    monkeypatch.setenv("PULPO_THREADS", "")
    monkeypatch.setenv("PULPO_POLL_INTERVAL", "0")

    settings = load_settings()

    assert (settings.burst, settings.health_port, settings.threads) == (False, 0, None)
    assert settings.poll_interval == timedelta()


def test_routes_of_several_sources_are_one_table(here, monkeypatch):
    write(here / "pyproject.toml", "[tool.pulpo.routes.mail]\nqueue = 'memory://a'\nhandlers.x = 'jobs:x'\n")
    write(here / "pulpo.toml", "[pulpo.routes.mail]\nqueue = 'memory://b'\npolicy.max-attempts = 3\n")
    monkeypatch.setenv("PULPO_ROUTES_MAIL_PREFETCH", "2")
    monkeypatch.setenv("PULPO_ROUTES_MAIL_POLICY_BACKOFF_BASE", "1s")

    route = load_settings().routes["mail"]

    assert (route.queue, route.prefetch, route.policy.max_attempts) == ("memory://b", 2, 3)
    assert route.policy.backoff.base == timedelta(seconds=1)
    assert route.handlers == {"x": HandlerSettings(call="jobs:x")}


def test_the_environment_alone_can_make_a_route(here, monkeypatch):
    monkeypatch.setenv("PULPO_ROUTES_MAIL_OUT_QUEUE", "memory://mail")
    monkeypatch.setenv("PULPO_ROUTES_MAIL_OUT_HANDLERS", "send=jobs:send, resend=jobs:again")

    assert load_settings().routes == {
        "mail_out": RouteSettings(
            queue="memory://mail",
            handlers={"send": HandlerSettings(call="jobs:send"), "resend": HandlerSettings(call="jobs:again")},
        )
    }


def test_a_route_keeps_the_name_that_its_file_gives_it(here, monkeypatch):
    write(here / "pulpo.toml", "[pulpo.routes.Mail-out]\nrate-limit = '10/s'\nfalsy-retries = true\n")
    monkeypatch.setenv("PULPO_ROUTES_MAIL_OUT_WEIGHT", "3")
    monkeypatch.setenv("PULPO_ROUTES_MAIL_OUT_QUEUE", "memory://x")

    [(name, route)] = load_settings().routes.items()

    assert (name, route.rate_limit, route.falsy_retries, route.weight) == ("Mail-out", "10/s", True, 3)
    assert route.queue == "memory://x"


def test_handlers_can_be_tables_and_their_types_any_text(here):
    write(
        here / "pulpo.toml",
        "[pulpo.routes.mail]\ndefault_handler = 'jobs:g'\n"
        "handlers.'order.created' = {call = 'jobs:f', timeout = '30s'}\n",
    )

    route = load_settings().routes["mail"]

    assert route.handlers == {"order.created": HandlerSettings(call="jobs:f", timeout=timedelta(seconds=30))}
    assert route.default_handler == HandlerSettings(call="jobs:g")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("concurency = 3", "pulpo.toml: concurency: unknown; did you mean 'concurrency'?"),
        ("banner.fnt = 'x'", "pulpo.toml: banner.fnt: unknown; did you mean 'font'?"),
        ("banner = 3", "pulpo.toml: banner: expected a table, not 3"),
        ("routes = 3", "pulpo.toml: routes: expected a table, not 3"),
        ("routes.mail.polcy = {}", "pulpo.toml: routes.mail.polcy: unknown; did you mean 'policy'?"),
        ("routes.mail = 3", "pulpo.toml: routes.mail: expected a table, not 3"),
        (
            "routes.'a.b'.queue = 'memory://x'",
            "pulpo.toml: routes.a.b: expected a name of letters, digits, '-' and '_', not 'a.b'",
        ),
        ("routes.mail.concurrency = 0", "pulpo.toml: routes.mail.concurrency: expected a whole number from 1, not 0"),
        ("burst = 'perhaps'", "pulpo.toml: burst: expected true or false, not 'perhaps'"),
        ("log_format = 'xml'", "pulpo.toml: log_format: expected one of console, json, not 'xml'"),
        ("queue = 3", "pulpo.toml: queue: expected a text, not 3"),
        ("grace = true", "pulpo.toml: grace: expected a time span such as 30s, not True"),
        ("processes = 1.5", "pulpo.toml: processes: expected a whole number from 1, not 1.5"),
        ("health_port = 70000", "pulpo.toml: health_port: expected a whole number from 0 to 65535, not 70000"),
        ("routes.m.policy.fatal = [3]", "pulpo.toml: routes.m.policy.fatal: expected a list of texts, not [3]"),
        ("routes.m.handlers = 'f'", "pulpo.toml: routes.m.handlers: expected name=value with commas between, not 'f'"),
        (
            "routes.m.handlers.x = {cal = 'jobs:f'}",
            "pulpo.toml: routes.m.handlers: x: unknown 'cal'; known: call, timeout, runs_in",
        ),
        ("routes.m.handlers.x = {}", "pulpo.toml: routes.m.handlers: x: expected 'call', which names the handler"),
        ("routes.m.handlers.x = 3", "pulpo.toml: routes.m.handlers: x: expected MODULE:OBJECT or a table, not 3"),
        ("routes.m.policy.backoff.factor = 'x'", "pulpo.toml: routes.m.policy.backoff.factor: expected a number, not"),
        ("environment.A = [1]", "pulpo.toml: environment: A: expected a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(here, text, line):
    write(here / "pulpo.toml", f"[pulpo]\n{text}\n")

    with pytest.raises(WrongSettings) as error:
        load_settings()

    [found] = lines_of(error)
    assert found.startswith(line)


def test_everything_wrong_is_told_at_once_and_where_it_was_said(here, monkeypatch):
    write(here / "pyproject.toml", "[tool.pulpo]\nthreads = 0\ngrce = 1\n")
    write(here / "pulpo.toml", "concurrency = 3\n[pulpo]\nprocesses = 0\n")
    write(here / ".env", "PULPO_GRACE=soon\nPULPO_CONCURENCY=3\n")
    monkeypatch.setenv("PULPO_HEALTH_PORT", "many")

    with pytest.raises(WrongSettings) as error:
        load_settings(command_line={"max_messages": 0})

    assert sorted(lines_of(error)) == [
        "--max-messages: expected a whole number from 1, not 0",
        ".env: PULPO_CONCURENCY: unknown; did you mean 'PULPO_CONCURRENCY'?",
        ".env: PULPO_GRACE: expected a time span such as 500ms, 30s, 5m or 12h, not 'soon'",
        "PULPO_HEALTH_PORT: expected a whole number from 0 to 65535, not 'many'",
        "pulpo.toml: concurrency: unknown; settings stand under [pulpo]",
        "pulpo.toml: processes: expected a whole number from 1, not 0",
        "pyproject.toml: grce: unknown; did you mean 'grace'?",
        "pyproject.toml: threads: expected a whole number from 1, not 0",
    ]


def test_a_value_that_a_stronger_source_replaces_is_not_complained_about(here, monkeypatch):
    write(here / "pulpo.toml", "[pulpo]\nthreads = 0\n")
    monkeypatch.setenv("PULPO_THREADS", "4")

    assert load_settings().threads == 4


def test_a_file_that_is_no_toml_is_named(here):
    write(here / "pulpo.toml", "[pulpo\n")

    with pytest.raises(WrongSettings, match=r"^pulpo.toml: cannot be read: "):
        load_settings()


def test_a_dotenv_that_is_no_text_is_named(here):
    (here / ".env").write_bytes(b"PULPO_GRACE=\xff\n")

    with pytest.raises(WrongSettings, match=r"^\.env: cannot be read: "):
        load_settings()


@pytest.mark.parametrize("line", ["PULPO_GRACE='5s", "if true; then"])
def test_a_dotenv_with_a_line_that_is_none_is_named_and_nothing_else_is_said(here, capfd, line):
    write(here / ".env", f"OTHER=1\n{line}\nPULPO_THREADS=2\n")

    with pytest.raises(WrongSettings, match=r"^\.env: cannot be read: expected NAME=VALUE in line 2$"):
        load_settings()

    assert capfd.readouterr().err == ""


@pytest.fixture
def closed(here):
    """A directory for an ordinary user, whom directories can be closed to."""
    load_settings()  # imports what it needs while its files may be read
    here.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield here
    if root:
        os.seteuid(0)
    here.chmod(0o700)


def test_settings_of_a_directory_that_may_not_be_entered_are_not_taken_for_none(closed):
    with pytest.raises(WrongSettings, match=f"^{closed}: may not be entered"):
        load_settings(closed)


def test_a_directory_called_dotenv_is_somebody_s_environment(here):
    (here / ".env").mkdir()

    assert load_settings() == Settings()


def test_a_file_that_was_named_must_be_there(here, monkeypatch):
    monkeypatch.setenv("PULPO_SETTINGS", "nowhere.toml")

    with pytest.raises(WrongSettings, match=r"^nowhere.toml: cannot be read: "):
        load_settings()


def test_a_variable_that_is_nearly_a_setting_is_warned_about_and_no_other(here, monkeypatch):
    monkeypatch.setenv("PULPO_CONCURENCY", "3")
    monkeypatch.setenv("PULPO_SERVICE_HOST", "10.0.0.1")  # Kubernetes sets such for a service of that name

    assert read_settings().warnings == ("PULPO_CONCURENCY is no setting; did you mean 'PULPO_CONCURRENCY'?",)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pulpo.toml", "[pulpo]\nenvironment.AWS_SECRET_ACCESS_KEY = 'hunter2'\n"),
        (".env", "SENTRY_DSN=hunter2\n"),
    ],
)
def test_secrets_that_everybody_may_read_are_warned_about_without_being_shown(here, name, text):
    write(here / name, text)
    assert read_settings().warnings == ()

    (here / name).chmod(0o644)

    [warning] = read_settings().warnings
    assert warning.startswith(f"{name} holds secrets (")
    assert warning.endswith(f"chmod o-r {here / name}")
    assert "hunter2" not in warning


def test_a_file_without_secrets_may_be_read_by_everybody(here):
    write(here / "pulpo.toml", "[pulpo]\nenvironment.AWS_PROFILE = 'shop'\n")
    (here / "pulpo.toml").chmod(stat.S_IRUSR | stat.S_IROTH)

    assert read_settings().warnings == ()


def test_settings_made_in_python_are_read_alike():
    settings = Settings(grace="20s", concurrency="5", banner=BannerSettings(font="PLAIN"))

    assert (settings.grace, settings.concurrency, settings.banner.font) == (timedelta(seconds=20), 5, "plain")
    with pytest.raises(ConfigurationError, match=r"^grace: expected a time span"):
        Settings(grace=-1)


def test_a_secret_that_is_wrong_is_not_shown(here, monkeypatch):
    monkeypatch.setenv("PULPO_ENVIRONMENT", "hunter2")

    with pytest.raises(WrongSettings) as error:
        load_settings()
    assert lines_of(error) == ["PULPO_ENVIRONMENT: expected name=value with commas between"]
    with pytest.raises(ConfigurationError) as error:
        Settings(environment={"TOKEN": ["hunter2"]})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"), [("", "hunter2"), ("A=B", "hunter2"), ("A\\u0000", "hunter2"), ("A", "hunter\\u00002")]
)
def test_a_variable_that_no_system_takes_is_told_without_its_value(here, name, value):
    write(here / "pulpo.toml", f'[pulpo.environment]\n"{name}" = "{value}"\n')

    with pytest.raises(WrongSettings) as error:
        load_settings()

    [line] = lines_of(error)
    assert line.startswith("pulpo.toml: environment: ")
    assert line.endswith(": expected a name without '=', and no NUL")
    assert "hunter" not in line


def test_secrets_are_no_part_of_what_settings_print():
    assert "hunter2" not in repr(Settings(environment={"TOKEN": "hunter2"}))


def test_without_the_extra_settings_can_be_made_and_not_loaded():
    code = (
        "import sys; sys.modules['typed_settings'] = None\n"
        "from pulpo_core.config import *\n"
        "Settings()\n"
        "try: load_settings()\n"
        "except Exception as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "settings files need an extra: pip install 'pulpo-core[config]'"
