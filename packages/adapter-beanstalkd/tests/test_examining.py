"""What is told about how a beanstalkd is set up."""

from typing import Any

import pytest

from pulpo_adapter_beanstalkd import BeanstalkdAdapter
from pulpo_adapter_beanstalkd.examining import _CHECKS, Seen, _is_private
from pulpo_adapter_beanstalkd.settings import Settings
from pulpo_core import Examiner, Level

STATS = {"version": '"1.12"', "draining": "false", "binlog-current-index": 1, "max-job-size": 65_535}


def levels(
    *, server: dict[str, Any] | None = None, tube: dict[str, Any] | None = None, private: bool = True
) -> dict[str, Level]:
    settings = Settings.of("beanstalkd://queue.example/mail")
    seen = Seen(settings=settings, server={**STATS, **(server or {})}, tube=tube, private=private)
    return {each.check: each.level for check in _CHECKS for each in check(seen)}


def test_the_adapter_can_be_asked():
    assert isinstance(BeanstalkdAdapter(), Examiner)


def test_a_server_with_a_log_for_this_host_alone_is_as_it_should_be():
    assert set(levels().values()) == {Level.OK}


@pytest.mark.parametrize(
    ("check", "level", "seen"),
    [
        ("durability", Level.WARNING, {"server": {"binlog-current-index": 0}}),
        ("job size", Level.WARNING, {"server": {"max-job-size": 1024}}),
        ("access", Level.WARNING, {"private": False}),
        ("server", Level.ERROR, {"server": {"draining": "true"}}),
        ("tube", Level.WARNING, {"tube": {"pause-time-left": 60}}),
    ],
)
def test_what_is_weak_is_told(check: str, level: Level, seen: dict[str, Any]):
    assert levels(**seen)[check] is level


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("beanstalkd://127.0.0.1/mail", True),
        ("beanstalkd://[::1]/mail", True),
        ("beanstalkd://localhost/mail", True),
        ("beanstalkd:///run/beanstalkd.sock?tube=mail", True),
        ("beanstalkd://192.0.2.7/mail", False),
        ("beanstalkd://0.0.0.0/mail", False),
    ],
)
async def test_only_what_this_host_alone_can_reach_is_private(url: str, private: bool):
    assert await _is_private(Settings.of(url)) is private
