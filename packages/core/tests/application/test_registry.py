"""From a URL to an open queue."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from pulpo_core import (
    ConfigurationError,
    Installed,
    InvalidURL,
    SystemClock,
    SystemJitter,
    UnknownScheme,
    adapter_for,
    installed_adapters,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.application.registry import GROUP, choose
from pulpo_core.testing import virtual_time

from .fakes import FaultyAdapter, fresh_url


def installed(scheme: str, distribution: str = "some-adapter", value: str = "nowhere:Adapter") -> Installed:
    point = EntryPoint(name=scheme, value=value, group=GROUP)
    return Installed(scheme=scheme, distribution=distribution, version="1", entry_point=point)


def test_the_memory_adapter_is_always_installed():
    [memory] = [each for each in installed_adapters() if each.scheme == "memory"]

    assert (memory.distribution, bool(memory.version)) == ("pulpo-core", True)
    assert isinstance(memory.load(), MemoryAdapter)


def test_adapters_are_listed_in_the_order_of_their_schemes():
    schemes = [each.scheme for each in installed_adapters()]

    assert schemes == sorted(schemes)


def test_the_scheme_of_a_url_finds_its_adapter_whatever_its_case_and_always_the_same_one():
    assert isinstance(adapter_for("memory://a"), MemoryAdapter)
    assert adapter_for("MEMORY://b") is adapter_for("memory://a")


def test_listing_and_choosing_adapters_imports_none_of_them():
    program = (
        "import sys, pulpo_core\n"
        "pulpo_core.installed_adapters()\n"
        "pulpo_core.adapter_for('memory://x')\n"
        "print(sorted(name for name in sys.modules if name.startswith('pulpo_adapter')))\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("scheme", "distribution"),
    [("file", "pulpo-adapter-file"), ("beanstalkd", "pulpo-adapter-beanstalkd"), ("sqs", "pulpo-adapter-sqs")],
)
def test_a_scheme_that_is_not_installed_is_told_with_what_is_and_what_to_install(scheme, distribution):
    with pytest.raises(UnknownScheme) as caught:
        choose(scheme, (installed("memory"), installed("other")))

    assert f"'{scheme}'" in str(caught.value)
    assert "installed: memory, other" in str(caught.value)
    assert f"pip install {distribution}" in str(caught.value)


def test_a_scheme_that_nobody_knows_is_told_with_what_is_installed():
    with pytest.raises(UnknownScheme, match=r"'kafka' is installed .installed: none.$"):
        choose("kafka", ())


@pytest.mark.parametrize(("scheme", "meant"), [("beanstalk", "beanstalkd"), ("files", "file"), ("othr", "other")])
def test_a_scheme_that_is_nearly_one_is_told_with_it(scheme, meant):
    with pytest.raises(UnknownScheme, match=rf"'{scheme}' is installed .*; did you mean '{meant}'\?$"):
        choose(scheme, (installed("memory"), installed("other")))


def test_two_claims_to_one_scheme_are_told_with_both_names():
    with pytest.raises(ConfigurationError, match="'file' is claimed by one-adapter and other-adapter; uninstall"):
        choose("file", (installed("file", "one-adapter"), installed("file", "other-adapter")))


def raises() -> None:
    raise RuntimeError("a factory broke")


BROKEN = {
    "its module is missing": ("no.such.module:Adapter", "No module named"),
    "its module lacks it": ("pulpo_core.adapters.memory:Nothing", "Nothing"),
    "it cannot be called": ("pulpo_core:DEFAULT_PRIORITY", "not callable"),
    "it raises when it is made": (f"{__name__}:raises", "RuntimeError: a factory broke"),
    "it raises when it is imported": ("antigravity_that_is_not_there:x", "No module named"),
}


@pytest.mark.parametrize(("value", "text"), BROKEN.values(), ids=BROKEN)
def test_an_adapter_that_is_broken_is_told_with_its_distribution(value, text, monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[raises.__module__])
    with pytest.raises(ConfigurationError, match="adapter 'odd' of some-adapter is broken") as caught:
        installed("odd", value=value).load()

    assert text in str(caught.value)
    assert caught.value.__cause__ is not None


def test_an_adapter_whose_import_fails_in_any_way_is_broken(tmp_path, monkeypatch):
    (tmp_path / "broken_adapter_of_a_test.py").write_text("raise ValueError('at import')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigurationError, match="is broken: ValueError: at import"):
        installed("odd", value="broken_adapter_of_a_test:Adapter").load()


@pytest.mark.parametrize("url", ["", "memory", "memory:x", "://x"])
def test_what_is_no_url_is_refused_at_once(url):
    with pytest.raises(InvalidURL):
        open_queue(url)


@virtual_time
async def test_whatever_opens_a_queue_also_takes_an_adapter_directly():
    adapter = FaultyAdapter()
    async with open_queue(fresh_url(), adapter=adapter) as queue:
        assert queue.url.startswith("memory://")

    assert (adapter.opened, adapter.closed) == (1, 1)


async def test_without_any_said_the_system_s_clock_and_chance_are_used():
    given = []

    class Asking(MemoryAdapter):
        def open(self, url, *, clock, jitter):
            given.extend((clock, jitter))
            return MemoryAdapter.open(self, url, clock=clock, jitter=jitter)

    async with open_queue(fresh_url(), adapter=Asking()):
        pass

    assert [type(each) for each in given] == [SystemClock, SystemJitter]
