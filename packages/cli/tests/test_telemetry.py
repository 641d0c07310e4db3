"""Health, metrics and traces of a worker, and what is said where an extra is not installed."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from pulpo_cli.telemetry import beside
from pulpo_core import Dispatcher, Route

from .conftest import Pulpo


async def nothing(message: Any) -> None:
    """A handler."""


def dispatcher() -> Dispatcher:
    return Dispatcher(Route("memory://watched", nothing))


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if these could not be imported, and nothing that needs them had been."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


def test_without_a_port_nothing_is_served() -> None:
    assert beside(dispatcher(), health_port=None, health_host=None) == []


def test_with_a_port_there_are_health_and_metrics() -> None:
    assert len(beside(dispatcher(), health_port=0, health_host=None)) == 2


def test_without_prometheus_there_is_health_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pulpo_core.observers.prometheus")

    [health] = beside(dispatcher(), health_port=0, health_host=None)

    assert health.__self__.metrics is None


def test_health_is_for_this_host_unless_told_otherwise() -> None:
    here, _ = beside(dispatcher(), health_port=0, health_host=None)
    everywhere, _ = beside(dispatcher(), health_port=0, health_host="0.0.0.0")

    assert (here.__self__.host, everywhere.__self__.host) == ("127.0.0.1", "0.0.0.0")


def test_traces_without_opentelemetry_name_the_extra(
    pulpo: Pulpo, url: str, monkeypatch: pytest.MonkeyPatch, application: Callable[[str], str]
) -> None:
    without(monkeypatch, "pulpo_core.observers.otel")
    jobs = application("def note(payload): pass")

    outcome = pulpo("run", "--queue", url, "--handler", f"{jobs}:note", "--burst", "--traces")

    assert outcome.status == 4
    assert outcome.complaint == "pulpo: OpenTelemetry is not installed: pip install 'pulpo-core[otel]'"


def test_top_without_textual_names_the_extra(pulpo: Pulpo, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "textual.app", "textual")
    for name in [name for name in sys.modules if name.startswith("pulpo_cli.top.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("app", "picture"):
        monkeypatch.delattr(f"pulpo_cli.top.{name}", raising=False)

    outcome = pulpo("top", "--queue", url)

    assert outcome.status == 4
    assert outcome.complaint == "pulpo: pulpo top needs textual, which is not installed: pip install 'pulpo-cli[tui]'"
