"""What a ``file://`` URL may say."""

from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file.settings import Archive, Durability, Settings
from pulpo_core import InvalidURL


def test_a_path_alone_is_enough() -> None:
    settings = Settings.of("file:///var/spool/shop.db")

    assert settings.path == Path("/var/spool/shop.db")
    assert settings.queue == "default"
    assert settings.lease == timedelta(seconds=30)
    assert settings.durability is Durability.PUBLISH
    assert settings.archive is None


def test_everything_can_be_said() -> None:
    settings = Settings.of("file://localhost/a%20b.db?queue=orders&lease=500ms&durability=full&archive=7d&timeout=2s")

    assert settings.path == Path("/a b.db")
    assert settings.queue == "orders"
    assert settings.lease == timedelta(milliseconds=500)
    assert settings.durability is Durability.FULL
    assert settings.archive == Archive(age=timedelta(days=7))
    assert settings.timeout == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        pytest.param("file://shop.db", "third slash", id="a relative path looks like a host"),
        pytest.param("file://./shop.db", "third slash", id="so does a dot"),
        pytest.param("file://~/shop.db", "third slash", id="and a tilde"),
        pytest.param("file:///~/shop.db", "not expanded", id="a tilde is not a home"),
        pytest.param("file:///", "does not name a file", id="the root is not a file"),
        pytest.param("file:///var/spool/", "does not name a file", id="nor is a folder"),
        pytest.param("file:///a%00b", "does not name a file", id="nor is what no system can open"),
        pytest.param("file:///a.db?que=x", "unknown parameter 'que'", id="unknown parameters are named"),
        pytest.param("file:///a.db?queue=", "queue", id="a queue has a name"),
        pytest.param("file:///a.db?queue=a%0Ab", "queue", id="of printable characters"),
        pytest.param("file:///a.db?queue=" + "x" * 201, "queue", id="and not endless"),
        pytest.param("file:///a.db?lease=0", "lease", id="a lease takes time"),
        pytest.param("file:///a.db?lease=soon", "lease", id="and is a duration"),
        pytest.param("file:///a.db?durability=best", "full, publish, normal", id="levels are listed"),
        pytest.param("file:///a.db?archive=0", "archive", id="an archive of nothing is off"),
        pytest.param("file:///a.db?archive=yes", "archive", id="an archive has an end"),
        pytest.param("file:///a.db?max_body=0", "max_body", id="a body may be of some length"),
        pytest.param("file:///a.db?max_body=1000000000", "max_body", id="but not of any"),
        pytest.param("file:///a.db?timeout=1ms", "timeout", id="a call takes time"),
    ],
)
def test_what_is_not_clear_is_refused_in_one_line(url: str, named: str) -> None:
    with pytest.raises(InvalidURL) as refusal:
        Settings.of(url)

    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "archive"),
    [
        pytest.param("off", None, id="off"),
        pytest.param("1000", Archive(count=1000), id="a number of messages"),
        pytest.param("12h", Archive(age=timedelta(hours=12)), id="a time"),
    ],
)
def test_an_archive_is_limited_by_number_or_by_time(text: str, archive: Archive | None) -> None:
    assert Archive.read(text) == archive


def test_every_level_states_its_promise() -> None:
    promises = {level.promise for level in Durability}

    assert len(promises) == len(Durability)
    assert all("power failure" in promise for promise in promises)
