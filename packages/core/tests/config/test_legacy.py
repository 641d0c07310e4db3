"""Settings of loafer and pulpo-messaging, taken over as they are."""

import json
from datetime import timedelta

import attrs
import pytest

from pulpo_core.config import (
    TRANSLATIONS,
    BannerSettings,
    HandlerSettings,
    PolicySettings,
    RouteSettings,
    Settings,
    WrongSettings,
    entries,
    legacy_source,
    read_settings,
)

PULPO_MESSAGING = {
    "queue_adapter_type": "FileQueueAdapter",
    "shutdown_after_number_of_empty_iterations": 3,
    "sleep_duration": 0,
    "enable_output_buffering": "T",
    "enable_statman_reporting": False,
    "banner": {"enable": True, "name": "kessel", "font": "ghost"},
    "file_queue_adapter": {
        "base_path": "/var/spool/kessel/",
        "max_number_of_attempts": 5,
        "skip_random_messages_range": 3,
    },
    "beanstalkd_queue_adapter": {"host": "elsewhere", "max_number_of_attempts": 9},
}


def taken_over(file):
    loaded = read_settings(weakest=legacy_source(str(file)))
    return loaded.settings, loaded.warnings


def test_pulpo_messaging_on_files(here):
    (here / "old.json").write_text(json.dumps(PULPO_MESSAGING))

    settings, warnings = taken_over("old.json")

    assert settings == Settings(
        max_empty_polls=3,
        poll_interval=0,
        output_buffering=True,
        banner=BannerSettings(enabled=True, name="kessel"),
        routes={
            "default": RouteSettings(queue="file:///var/spool/kessel/pulpo.db", policy=PolicySettings(max_attempts=5))
        },
    )
    assert 'old.json: sleep_duration is now poll_interval = "0s"' in warnings
    assert (
        "old.json: queue_adapter_type, file_queue_adapter.base_path: now"
        ' routes.default.queue = "file:///var/spool/kessel/pulpo.db"'
    ) in warnings
    assert any("enable_statman_reporting is not taken over: `pulpo stats`" in warning for warning in warnings)


def test_pulpo_messaging_on_beanstalkd_with_what_its_environment_says(here, monkeypatch):
    monkeypatch.setenv("BEANSTALKD", "queue.internal")
    section = {"host": "$ENV.BEANSTALKD", "port": 11301, "default_tube": "orders", "reserve_timeout": 2}
    (here / "old.json").write_text(
        json.dumps({"queue_adapter_type": "beanstalkd_queue_adapter", "beanstalkd_queue_adapter": section})
    )

    settings, warnings = taken_over("old.json")

    assert settings.routes["default"] == RouteSettings(queue="beanstalkd://queue.internal:11301/orders", wait=2)
    assert settings.max_empty_polls == 5
    assert any("unless something else was said is now max_empty_polls = 5" in warning for warning in warnings)


def test_keys_with_dots_are_as_good_as_tables(here):
    old = {"queue_adapter_type": "file_queue_adapter", "file_queue_adapter.base_path": "/q", "banner.enable": "true"}
    (here / "old.json").write_text(json.dumps(old))

    settings, _ = taken_over("old.json")

    assert (settings.routes["default"].queue, settings.banner.enabled) == ("file:///q/pulpo.db", True)


def test_what_belongs_to_the_application_is_passed_over_and_named(here):
    (here / "old.json").write_text(json.dumps({**PULPO_MESSAGING, "destination_directory": "/tmp/out"}))

    _, warnings = taken_over("old.json")

    assert "old.json: destination_directory is no setting of a predecessor, and is passed over" in warnings


LOAFER = {
    "LOAFER_LOGLEVEL": "WARN",
    "LOAFER_MAX_JOBS": "20",
    "LOAFER_MAX_THREAD_POOL": "",
    "LOAFER_DEFAULT_ROUTE_NAME": "mail",
    "LOAFER_DEFAULT_ROUTE_SOURCE": "orders",
    "LOAFER_DEFAULT_ROUTE_HANDLER": "shop.jobs.send",
    "LOAFER_DEFAULT_MESSAGE_TRANSLATOR_CLASS": "loafer.aws.message_translator.SNSMessageTranslator",
    "LOAFER_DEFAULT_CONSUMER_CLASS": "loafer.aws.consumer.Consumer",
    "LOAFER_DEFAULT_CONSUMER_OPTIONS": '{"WaitTimeSeconds": 5, "VisibilityTimeout": 60}',
}
AS_SETTINGS = Settings(
    log_level="warning",
    concurrency=20,
    routes={
        "mail": RouteSettings(
            queue="sqs://orders?visibility=60s",
            default_handler=HandlerSettings(call="shop.jobs:send"),
            translator="sns",
            wait=timedelta(seconds=5),
        )
    },
)


def write_dotenv(path):
    path.write_text("".join(f"{name}='{value}'\n" for name, value in LOAFER.items()) + "OTHER=1\n")


def write_ini(path):
    path.write_text("[settings]\n" + "".join(f"{name} = {value}\n" for name, value in LOAFER.items()))


def write_module(path):
    path.write_text("import os\n" + "".join(f"{name} = {value!r}\n" for name, value in LOAFER.items()) + "x = os.sep\n")


@pytest.mark.parametrize(
    ("name", "write"),
    [(".env", write_dotenv), ("old.cfg", write_ini), ("old.ini", write_ini), ("settings.py", write_module)],
)
def test_loafer_in_any_of_its_files(here, name, write):
    (here / "old").mkdir()
    write(here / "old" / name)

    settings, warnings = taken_over(here / "old" / name)

    assert settings == AS_SETTINGS
    assert f"{name}: LOAFER_MAX_JOBS is now concurrency = 20" in warnings
    assert f'{name}: LOAFER_DEFAULT_ROUTE_HANDLER is now routes.mail.default_handler = "shop.jobs:send"' in warnings


def test_loafer_in_the_environment(here, monkeypatch):
    for name, value in LOAFER.items():
        monkeypatch.setenv(name, value)

    assert taken_over("env")[0] == AS_SETTINGS


def test_loafers_environment_is_stronger_than_its_file(here, monkeypatch):
    write_dotenv(here / "loafer.env")
    monkeypatch.setenv("LOAFER_MAX_JOBS", "3")

    assert taken_over("loafer.env")[0].concurrency == 3


def test_a_loafer_that_says_little_has_its_own_format_and_one_route(here, monkeypatch):
    monkeypatch.setenv("LOAFER_DEFAULT_ROUTE_SOURCE", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders")

    assert taken_over("env")[0].routes == {
        "default": RouteSettings(
            queue="sqs://?url=https://sqs.eu-west-1.amazonaws.com/123456789012/orders", translator="json"
        )
    }


def test_settings_of_pulpo_are_stronger_than_those_taken_over(here):
    (here / "old.json").write_text(json.dumps(PULPO_MESSAGING))
    (here / "pulpo.toml").write_text("[pulpo]\nmax_empty_polls = 9\n[pulpo.routes.default]\nqueue = 'memory://x'\n")

    settings, _ = taken_over("old.json")

    assert (settings.max_empty_polls, settings.routes["default"].queue) == (9, "memory://x")
    assert settings.routes["default"].policy.max_attempts == 5


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("old.json", "{", ["old.json: cannot be read: Expecting property name"]),
        ("old.json", "[]", ["old.json: expected a table of settings, not list"]),
        ("nowhere.json", None, ["nowhere.json: cannot be read: "]),
        ("nowhere.env", None, ["nowhere.env: cannot be read: "]),
        ("old.yaml", "", ["old.yaml: expected pulpo-messaging's .json, loafer's .env, .cfg, .ini or .py, or 'env'"]),
        (
            "old.json",
            '{"queue_adapter_type": 3, "sleep_duration": "soon"}',
            [
                "old.json: sleep_duration: expected a time span such as",
                "old.json: queue_adapter_type: expected one of FileQueueAdapter, file_queue_adapter, ",
            ],
        ),
        (
            "old.json",
            '{"queue_adapter_type": "file_queue_adapter", "file_queue_adapter": {"base_path": "q"}}',
            ["old.json: file_queue_adapter.base_path: expected a path from the root, not 'q'"],
        ),
        ("old.env", "", ["old.env: LOAFER_DEFAULT_ROUTE_SOURCE: expected the name or the URL of a queue"]),
        (
            "old.env",
            "LOAFER_DEFAULT_ROUTE_SOURCE=x\nLOAFER_DEFAULT_ROUTE_HANDLER=send\n",
            ["old.env: LOAFER_DEFAULT_ROUTE_HANDLER: expected a dotted name, not 'send'"],
        ),
        (
            "old.env",
            "LOAFER_DEFAULT_ROUTE_SOURCE=x\nLOAFER_DEFAULT_CONSUMER_CLASS=my.Consumer\n",
            ["old.env: LOAFER_DEFAULT_CONSUMER_CLASS: 'my.Consumer' is a consumer of your own: it has"],
        ),
        ("old.env", "LOAFER_DEFAULT_CONSUMER_OPTIONS={\n", ["old.env: LOAFER_DEFAULT_CONSUMER_OPTIONS: expected JSON"]),
        ("old.py", "def\n", ["old.py: cannot be read: invalid syntax"]),
        ("old.py", "LOAFER_MAX_JOBS = f()\n", ["old.py: cannot be read: malformed node"]),
    ],
    ids=range(13),
)
def test_what_cannot_be_taken_over_is_named(here, name, text, lines):
    if text is not None:
        (here / name).write_text(text)

    with pytest.raises(WrongSettings) as error:
        legacy_source(name)

    assert len(error.value.lines) == len(lines)
    for found, expected in zip(error.value.lines, lines, strict=True):
        assert found.startswith(expected)


@pytest.mark.parametrize("translation", TRANSLATIONS, ids=lambda translation: translation.old)
def test_every_setting_of_a_predecessor_is_a_setting_or_says_what_became_of_it(translation):
    paths = {entry.path.replace("routes.mail", "routes.default") for entry in entries()} | {"routes.default"}

    assert translation.new in paths or (translation.new is None and translation.note)
    assert attrs.fields(type(translation)).old.name
