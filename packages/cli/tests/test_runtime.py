"""Where workers are found: a directory that nobody else can enter, or none at all."""

import os
import stat

import pytest

from pulpo_cli.runtime import runtime_directory
from pulpo_core import ConfigurationError


def test_it_lies_in_the_runtime_directory_of_the_session(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert runtime_directory() == tmp_path / "pulpo"
    assert stat.S_IMODE((tmp_path / "pulpo").stat().st_mode) == 0o700
    assert runtime_directory() == tmp_path / "pulpo", "and is there the next time"


@pytest.mark.parametrize("session", ["", "not/absolute", "/there/is/none"])
def test_without_one_it_is_the_user_s_own_among_temporary_ones(tmp_path, monkeypatch, session):
    monkeypatch.setenv("XDG_RUNTIME_DIR", session)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert runtime_directory() == tmp_path / f"pulpo-{os.getuid()}"


def open_to_others(place):
    place.mkdir()
    place.chmod(0o770)


def somewhere_else(place):
    (place.parent / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(place.parent / "elsewhere")


UNSAFE = {
    "open to others": (open_to_others, "is open to others; chmod 700 it, or set XDG_RUNTIME_DIR"),
    "a link": (somewhere_else, "is not a directory of user"),
    "a file": (lambda place: place.write_text(""), "cannot be made: File exists"),
}


@pytest.mark.parametrize(("make", "said"), UNSAFE.values(), ids=UNSAFE)
def test_what_somebody_else_could_have_put_there_is_refused(tmp_path, monkeypatch, make, said):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    make(tmp_path / "pulpo")

    with pytest.raises(ConfigurationError, match=said):
        runtime_directory()


def test_what_belongs_to_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    runtime_directory()
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    with pytest.raises(ConfigurationError, match="is not a directory of user 12345"):
        runtime_directory()


def test_a_place_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(ConfigurationError, match="cannot be made: No such file or directory"):
        runtime_directory()
